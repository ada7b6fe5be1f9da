/** What was spent, on disk: a budget does not start anew because the gateway did. */

import { closeSync, openSync, write } from 'node:fs';

import type { Amounts, PeriodStamp } from 'mycel/flow';

import { encodeRow, isFull, readRows, startRows } from './row-file.ts';
import type { DiskTrouble } from './row-file.ts';

/** Settlements that wait for the disk line by line; from there on those of one account and day are added together. */
export const spendWaitingMax = 4096;

/** Between two tries to write what the disk did not take, in ms. */
const againMs = 1_000;

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
  /** Undefined while the disk takes what it is given. */
  trouble(): DiskTrouble | undefined;
  /** Tries once more to write what waits. Gives what the disk did not take to the end. */
  close(): Promise<DiskTrouble | undefined>;
}

/**
 * Reads the file, joins what belongs together, and opens it for more. A killed process loses none that the system was
 * given, a power cut at most what the disk had not taken. A disk that takes nothing costs no request: what was spent waits
 * in memory, is told of, and is written where it broke off as soon as there is room. That holds from the start: what was
 * spent before is read all the same.
 * @param told called when the disk stops taking it, and with undefined when it has everything again.
 * @throws the system's error when the file cannot be read, or not be written for another reason than a full disk.
 */
export function openSpendLog(
  file: string,
  now: PeriodStamp,
  told: (trouble: DiskTrouble | undefined) => void = () => undefined,
): SpendLog {
  const before = joined(readRows(file, decode), now);
  /** Undefined while a full disk has no room for the file itself. */
  let disk: number | undefined;
  let waiting: SpendLine[] = [];
  let joinAt = spendWaitingMax;
  /** What is being written, from where the disk broke off, and the lines that it came from. */
  let rest: Buffer = Buffer.alloc(0);
  let restLines = 0;
  let isWriting = false;
  let timer: NodeJS.Timeout | undefined;
  let reason: string | undefined;
  let idle: (() => void) | undefined;
  let isClosed = false;

  const trouble = (): DiskTrouble | undefined =>
    reason === undefined ? undefined : { reason, waiting: restLines + waiting.length };

  /** @throws the system's error. */
  function openDisk(): void {
    rest = Buffer.from(startRows(file, before.map(rowOf)));
    disk = openSync(file, 'a', 0o600);
  }

  function pump(): void {
    if (isWriting || timer !== undefined) return;
    if (disk === undefined) {
      try {
        openDisk();
      } catch (error) {
        return failed((error as NodeJS.ErrnoException).code ?? String(error));
      }
      return pump();
    }
    if (rest.length === 0) {
      rest = Buffer.from(waiting.map((line) => encodeRow(rowOf(line))).join(''));
      restLines = waiting.length;
      waiting = [];
      joinAt = spendWaitingMax;
    }
    if (rest.length === 0) return taken();
    isWriting = true;
    write(disk, rest, 0, rest.length, null, (error, count) => {
      isWriting = false;
      if (error !== null) return failed(error.code ?? error.message);
      rest = rest.subarray(count);
      if (rest.length === 0) restLines = 0;
      pump();
    });
  }

  /** The disk has everything. */
  function taken(): void {
    if (reason !== undefined) {
      reason = undefined;
      told(undefined);
    }
    idle?.();
  }

  function failed(why: string): void {
    const isNew = reason === undefined;
    reason = why;
    if (isNew) told(trouble());
    if (idle !== undefined) return idle();
    timer = setTimeout(again, againMs).unref();
  }

  function again(): void {
    clearTimeout(timer);
    timer = undefined;
    pump();
  }

  try {
    openDisk();
    pump();
  } catch (error) {
    if (!isFull(error)) throw error;
    failed((error as NodeJS.ErrnoException).code ?? String(error));
  }

  return {
    before,
    trouble,
    append(line) {
      if (isClosed) return;
      waiting.push(line);
      if (waiting.length >= joinAt) {
        waiting = [...joined(waiting, line.stamp)];
        joinAt = Math.max(spendWaitingMax, 2 * waiting.length);
      }
      pump();
    },
    async close() {
      await new Promise<void>((resolve) => {
        idle = resolve;
        again();
      });
      isClosed = true;
      if (disk !== undefined) closeSync(disk);
      return trouble();
    },
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
