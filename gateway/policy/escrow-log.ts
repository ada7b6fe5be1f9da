/** Parts of budgets that were given to and got from other gateways, on disk: what was given is never spent after a restart. */

import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

import type { BudgetPeriod, BudgetUnit, PeriodStamp } from 'mycel/flow';

import { encodeRow, isFull, readRows, startRows } from './row-file.ts';

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

/**
 * Reads the file, keeps what is of a running period, and opens it for more. On a full disk nothing is given away until it
 * has room. @throws the system's error.
 */
export async function openEscrowLog(file: string, now: PeriodStamp): Promise<EscrowLog> {
  const last = new Map<string, Transfer>();
  for (const transfer of readRows(file, decode)) {
    if (transfer.stamp < now[transfer.period]) continue;
    const { account, unit, period, stamp, way, holder } = transfer;
    const key = JSON.stringify([account, unit, period, stamp, way, holder]);
    if ((last.get(key)?.sum ?? 0) < transfer.sum) last.set(key, transfer);
  }
  const before = [...last.values()];
  let handle: FileHandle | undefined;
  /** Ends a line that the disk took only half of, so that the next one is not lost with it. */
  let lineEnd = '';
  const openFile = async (): Promise<FileHandle> => {
    lineEnd = startRows(file, before.map(rowOf));
    return open(file, 'a', 0o600);
  };
  try {
    handle = await openFile();
  } catch (error) {
    if (!isFull(error)) throw error;
  }
  let writing: Promise<void> = Promise.resolve();
  return {
    before,
    append(transfer) {
      const done = writing.then(async () => {
        handle ??= await openFile();
        const text = lineEnd + encodeRow(rowOf(transfer));
        lineEnd = '\n';
        await handle.appendFile(text);
        await handle.datasync();
        lineEnd = '';
      });
      writing = done.catch(() => undefined);
      return done;
    },
    async close() {
      await writing;
      await handle?.close();
    },
  };
}

function rowOf({ account, unit, period, stamp, way, holder, sum }: Transfer): readonly unknown[] {
  return [account, unit, period, stamp, way, holder, sum];
}

/** A line that is none was never answered for: it is left out. */
function decode(values: readonly unknown[]): Transfer | undefined {
  if (values.length !== 7) return undefined;
  const [account, unit, period, stamp, way, holder, sum] = values as Transfer[keyof Transfer][];
  if (!Number.isSafeInteger(stamp) || !Number.isSafeInteger(sum)) return undefined;
  return { account, unit, period, stamp, way, holder, sum } as Transfer;
}
