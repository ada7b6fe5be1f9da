/** What was spent, on disk: a budget does not start anew because the gateway did. */

import { createWriteStream } from 'node:fs';
import type { WriteStream } from 'node:fs';

import type { Amounts, PeriodStamp } from 'mycel/flow';

import { encodeRow, readRows, replaceRows } from './row-file.ts';

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
  const before = joined(readRows(file, decode), now);
  replaceRows(file, before.map(rowOf));
  const out: WriteStream = createWriteStream(file, { flags: 'a', mode: 0o600 });
  // A full disk costs the memory of what was spent, never the gateway.
  out.on('error', () => undefined);
  return {
    before,
    append: (line) => void out.write(encodeRow(rowOf(line))),
    close: () => new Promise((resolve) => out.end(() => resolve())),
  };
}

function rowOf({ account, amounts, stamp }: SpendLine): readonly unknown[] {
  const { tokens, usd, requests } = amounts;
  return [account, tokens, usd, requests, stamp.minute, stamp.day, stamp.month];
}

function decode(values: readonly unknown[]): SpendLine | undefined {
  const [account, tokens, usd, requests, minute, day, month] = values;
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
