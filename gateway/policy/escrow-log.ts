/** Parts of budgets that were given to and got from other gateways, on disk: what was given is never spent after a restart. */

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';

import type { BudgetPeriod, BudgetUnit, PeriodStamp } from 'mycel/flow';

/** The sum of all that went one way between two gateways, for one limit in one period. */
export interface Transfer {
  readonly account: string;
  readonly unit: BudgetUnit;
  readonly period: BudgetPeriod;
  /** The number of the period. */
  readonly stamp: number;
  readonly way: 'given' | 'taken';
  readonly holder: string;
  readonly sum: number;
}

/** An open file. */
export interface EscrowLog {
  /** What it held when it was opened: the last word on each. */
  readonly before: readonly Transfer[];
  /** Resolves when the disk has it. @throws the system's error when it has not. */
  append(transfer: Transfer): Promise<void>;
  close(): Promise<void>;
}

/** Reads the file, keeps what is of a running period, and opens it for more. @throws the system's error. */
export async function openEscrowLog(file: string, now: PeriodStamp): Promise<EscrowLog> {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const last = new Map<string, Transfer>();
  for (const transfer of read(file)) {
    if (transfer.stamp < now[transfer.period]) continue;
    const { account, unit, period, stamp, way, holder } = transfer;
    const key = JSON.stringify([account, unit, period, stamp, way, holder]);
    if ((last.get(key)?.sum ?? 0) < transfer.sum) last.set(key, transfer);
  }
  const before = [...last.values()];
  const fresh = `${file}.new`;
  writeFileSync(fresh, before.map(encode).join(''), { mode: 0o600, flush: true });
  renameSync(fresh, file);
  const handle = await open(file, 'a', 0o600);
  let writing: Promise<void> = Promise.resolve();
  return {
    before,
    append(transfer) {
      const done = writing.then(async () => {
        await handle.appendFile(encode(transfer));
        await handle.datasync();
      });
      writing = done.catch(() => undefined);
      return done;
    },
    async close() {
      await writing;
      await handle.close();
    },
  };
}

function encode({ account, unit, period, stamp, way, holder, sum }: Transfer): string {
  return `${JSON.stringify([account, unit, period, stamp, way, holder, sum])}\n`;
}

function read(file: string): Transfer[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return text.split('\n').flatMap((line) => decode(line) ?? []);
}

/** A torn or damaged line was never answered for: it is left out. */
function decode(line: string): Transfer | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value) || value.length !== 7) return undefined;
  const [account, unit, period, stamp, way, holder, sum] = value as Transfer[keyof Transfer][];
  if (!Number.isSafeInteger(stamp) || !Number.isSafeInteger(sum)) return undefined;
  return { account, unit, period, stamp, way, holder, sum } as Transfer;
}
