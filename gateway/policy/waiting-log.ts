/** Requests that wait for a target to come back, on disk: they wait on when the gateway starts again. */

import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

import type { JsonObject } from '../events.ts';
import type { Ask } from './ask.ts';
import { idOf } from './ask.ts';
import { encodeRow, isFull, readRows, replaceRows } from './row-file.ts';
import type { DiskTrouble } from './row-file.ts';

/** All that is written down at once, in bytes; what comes on top waits in memory alone. */
export const waitingBytesMax: number = 8 * 1024 * 1024;

/** Between two tries to write what the disk did not take, in ms. */
const againMs = 1_000;

/** A request that waited when the gateway ended, with the name of its principal. */
export interface WaitingAsk extends Omit<Ask, 'principal' | 'isIdGiven' | 'isPatient'> {
  readonly principal: string;
  /** Whether a target was being asked for it when the gateway ended: it may have been paid for. */
  readonly isDoubtful: boolean;
}

/** An open file. */
export interface WaitingLog {
  /** What waited when it was opened and has time left, oldest first. */
  readonly before: readonly WaitingAsk[];
  /** It waits, for `leftMs` at most. One that nobody could come back for, for want of an id, is not written down. */
  put(ask: Ask, leftMs: number): void;
  /** A target is asked for it. `put` takes that back. */
  asked(ask: Ask): void;
  /** It does not wait any more: it is answered, or given up. */
  drop(ask: Ask): void;
  /** From here on what ends, ends because the gateway does, and waits on. */
  freeze(): void;
  /** Undefined while the disk takes what it is given. */
  trouble(): DiskTrouble | undefined;
  /** Tries once more to write what the disk did not take. Gives what it did not take to the end. */
  close(): Promise<DiskTrouble | undefined>;
}

/**
 * Reads the file and opens it for more. A full disk costs the memory of what waits, never the gateway, from its start on:
 * it is told of, and once there is room again, everything is written down.
 * @param now wall time, in ms.
 * @param told called when the disk stops taking it, and with undefined when it has everything again.
 * @throws the system's error when it cannot be read, or not be written for another reason than a full disk.
 */
export async function openWaitingLog(
  file: string,
  now: () => number,
  told: (trouble: DiskTrouble | undefined) => void = () => undefined,
): Promise<WaitingLog> {
  const live = new Map<string, Line>();
  const before: WaitingAsk[] = [];
  for (const row of lastRows(readRows(file, decode))) {
    // A clock that was set back must not make it wait longer than it was to.
    const ttlMs = Math.min(row.until - now(), row.leftMs);
    if (ttlMs <= 0) continue;
    const { isDoubtful } = row.ask;
    live.set(row.key, { text: encodeRow(rowOf(row)), isAsked: isDoubtful });
    before.push({ ...row.ask, ttlMs });
  }
  const replace = (): void =>
    replaceRows(
      file,
      [...live].flatMap(([key, line]) => linesOf(key, line)),
    );
  let handle: FileHandle | undefined;
  let bytes = sizeOf(live);
  let fileBytes = bytes;
  let pending = '';
  /** The disk took something not, or half of it: the next write is the whole file. */
  let isBehind = true;
  let isFrozen = false;
  let writing: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let reason: string | undefined;

  const trouble = (): DiskTrouble | undefined =>
    reason === undefined ? undefined : { reason, waiting: live.size };

  /** @throws the system's error. */
  async function write(): Promise<void> {
    while (pending !== '' || isBehind) {
      const text = pending;
      pending = '';
      fileBytes += text.length;
      if (isBehind || handle === undefined || fileBytes > 2 * waitingBytesMax) {
        isBehind = true;
        await handle?.close();
        handle = undefined;
        replace();
        handle = await open(file, 'a', 0o600);
        fileBytes = bytes;
        isBehind = false;
      } else {
        isBehind = true;
        await handle.appendFile(text);
        await handle.datasync();
        isBehind = false;
      }
    }
    if (reason === undefined) return;
    reason = undefined;
    told(undefined);
  }

  function failed(error: unknown): void {
    const isNew = reason === undefined;
    reason = (error as NodeJS.ErrnoException).code ?? String(error);
    if (isNew) told(trouble());
    timer = setTimeout(start, againMs).unref();
  }

  function start(): void {
    clearTimeout(timer);
    writing ??= write()
      .catch(failed)
      .finally(() => {
        writing = undefined;
        if (pending !== '' && reason === undefined) start();
      });
  }

  function append(text: string): void {
    // While the disk takes nothing, it is tried again in a second, with the whole file.
    if (reason !== undefined && writing === undefined) return;
    pending += text;
    if (reason === undefined) start();
  }

  try {
    await write();
  } catch (error) {
    if (!isFull(error)) throw error;
    failed(error);
  }

  return {
    before,
    put(ask, leftMs) {
      const key = idOf(ask);
      if (!ask.isIdGiven || isFrozen) return;
      const known = live.get(key);
      if (known !== undefined) {
        if (known.isAsked) append(encodeRow(['again', key]));
        known.isAsked = false;
        return;
      }
      const { principal, isIdGiven: _given, isPatient: _patient, ...rest } = ask;
      const stored = { ...rest, principal: principal.name, isDoubtful: false };
      const text = encodeRow(rowOf({ key, until: now() + leftMs, leftMs, ask: stored }));
      if (bytes + text.length > waitingBytesMax) return;
      live.set(key, { text, isAsked: false });
      bytes += text.length;
      append(text);
    },
    asked(ask) {
      const line = live.get(idOf(ask));
      if (line === undefined || line.isAsked || isFrozen) return;
      line.isAsked = true;
      append(encodeRow(['asked', idOf(ask)]));
    },
    drop(ask) {
      const key = idOf(ask);
      const line = live.get(key);
      if (line === undefined || isFrozen) return;
      live.delete(key);
      bytes -= line.text.length;
      append(encodeRow(['out', key]));
    },
    freeze() {
      isFrozen = true;
    },
    trouble,
    async close() {
      if (reason !== undefined) start();
      await writing;
      clearTimeout(timer);
      await handle?.close();
      return trouble();
    },
  };
}

interface Row {
  readonly key: string;
  /** Wall time, in ms. */
  readonly until: number;
  readonly leftMs: number;
  readonly ask: WaitingAsk;
}

/** What is on disk of a request. */
interface Line {
  readonly text: string;
  isAsked: boolean;
}

function linesOf(key: string, { text, isAsked }: Line): readonly (readonly unknown[])[] {
  const row = JSON.parse(text) as readonly unknown[];
  return isAsked ? [row, ['asked', key]] : [row];
}

/** What came in and did not go out, in the order in which it came. */
function lastRows(rows: readonly (Row | Word)[]): readonly Row[] {
  const live = new Map<string, Row>();
  for (const row of rows) {
    const known = live.get(row.key);
    if (!('word' in row)) live.set(row.key, row);
    else if (row.word === 'out') live.delete(row.key);
    else if (known !== undefined) {
      live.set(row.key, { ...known, ask: { ...known.ask, isDoubtful: row.word === 'asked' } });
    }
  }
  return [...live.values()];
}

/** What became of a request that is on disk. */
interface Word {
  readonly key: string;
  readonly word: 'asked' | 'again' | 'out';
}

function rowOf({ key, until, leftMs, ask }: Row): readonly unknown[] {
  return ['in', key, Math.round(until), Math.round(leftMs), ask];
}

/** A line that is torn was never answered for: it is left out. */
function decode(values: readonly unknown[]): Row | Word | undefined {
  const [what, key, until, leftMs, ask] = values;
  if (typeof key !== 'string') return undefined;
  if (what === 'out' || what === 'asked' || what === 'again') return { key, word: what };
  const isWhole =
    what === 'in' &&
    Number.isFinite(until) &&
    Number.isFinite(leftMs) &&
    typeof (ask as { body?: JsonObject } | undefined)?.body === 'object';
  if (!isWhole) return undefined;
  return { key, until, leftMs, ask } as Row;
}

function sizeOf(live: ReadonlyMap<string, Line>): number {
  let bytes = 0;
  for (const { text } of live.values()) bytes += text.length;
  return bytes;
}
