/** What was spent, on disk: a budget does not start anew because the gateway did. */

import { createWriteStream, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { WriteStream } from 'node:fs';
import { dirname } from 'node:path';

import type { Amounts, PeriodStamp } from 'mycel/flow';

/** One settlement of one account, or several of one day together. */
export interface SpendLine {
  readonly account: string;
  readonly amounts: Amounts;
  readonly stamp: PeriodStamp;
}

/** An open file. */
export interface SpendLog {
  /** What it held when it was opened, oldest first. */
  readonly before: readonly SpendLine[];
  append(line: SpendLine): void;
  close(): Promise<void>;
}

/**
 * Reads the file, joins what belongs together, and opens it for more. Every line is one write: a killed process loses
 * none that it settled, a power cut at most what the disk had not taken.
 * @throws the system's error when the directory cannot be written.
 */
export function openSpendLog(file: string, now: PeriodStamp): SpendLog {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const before = joined(read(file), now);
  const fresh = `${file}.new`;
  writeFileSync(fresh, before.map(encode).join(''), { mode: 0o600 });
  renameSync(fresh, file);
  const out: WriteStream = createWriteStream(file, { flags: 'a', mode: 0o600 });
  // A full disk costs the memory of what was spent, never the gateway.
  out.on('error', () => undefined);
  return {
    before,
    append: (line) => void out.write(encode(line)),
    close: () => new Promise((resolve) => out.end(() => resolve())),
  };
}

function encode({ account, amounts, stamp }: SpendLine): string {
  const { tokens, usd, requests } = amounts;
  return `${JSON.stringify([account, tokens, usd, requests, stamp.minute, stamp.day, stamp.month])}\n`;
}

function read(file: string): SpendLine[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return text.split('\n').flatMap((line) => decode(line) ?? []);
}

/** A torn or damaged line is left out. */
function decode(line: string): SpendLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  const [account, tokens, usd, requests, minute, day, month] = value as unknown[];
  const numbers = [tokens, usd, requests, minute, day, month];
  if (typeof account !== 'string' || !numbers.every((number) => Number.isFinite(number)))
    return undefined;
  return {
    account,
    amounts: { tokens, usd, requests } as Amounts,
    stamp: { minute, day, month, total: 0 } as PeriodStamp,
  };
}

/** One line for each account and day of this month, one for all that is older. */
function joined(lines: readonly SpendLine[], now: PeriodStamp): readonly SpendLine[] {
  const sums = new Map<string, SpendLine>();
  for (const { account, amounts, stamp } of lines) {
    const isOld = stamp.month !== now.month;
    const minute = stamp.minute === now.minute ? stamp.minute : 0;
    const place = isOld ? { minute: 0, day: 0, month: 0, total: 0 } : { ...stamp, minute };
    const key = JSON.stringify([account, place.month, place.day, place.minute]);
    const sum = sums.get(key)?.amounts ?? { tokens: 0, usd: 0, requests: 0 };
    const { tokens, usd, requests } = sum;
    sums.set(key, {
      account,
      stamp: place,
      amounts: {
        tokens: tokens + amounts.tokens,
        usd: usd + amounts.usd,
        requests: requests + amounts.requests,
      },
    });
  }
  return [...sums.values()].toSorted(
    (left, right) => left.stamp.day - right.stamp.day || left.stamp.minute - right.stamp.minute,
  );
}
