import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openDiskEventLog } from '../../../src/adapters/disk/event-log.ts';
import { createMemoryEventLog } from '../../../src/adapters/memory/event-log.ts';
import type { EventLog } from '../../../src/ports/event-log.ts';

const entry = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** All entries, read in steps of so many bytes. */
async function texts(log: EventLog, step = 10): Promise<string[]> {
  const all: string[] = [];
  for (let at = 0, some = await log.read(at, step); some.length > 0;) {
    for (const placed of some) {
      all.push(textOf(placed.entry));
      at = log.after(placed);
    }
    some = await log.read(at, step);
  }
  return all;
}

async function place(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'mycel-event-log-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return join(directory, 'outbox');
}

const kinds = {
  disk: async (): Promise<() => Promise<EventLog>> => {
    const directory = await place();
    return () => openDiskEventLog(directory);
  },
  memory: async (): Promise<() => Promise<EventLog>> => {
    const entries: Uint8Array[] = [];
    return async () => createMemoryEventLog(entries);
  },
};

describe.each(Object.entries(kinds))('a %s journal', (_kind, make) => {
  test('has what was appended when it is opened again, in order, and what replaced it', async () => {
    const open = await make();
    const first = await open();
    expect(await texts(first)).toEqual([]);
    await Promise.all([first.append([entry('a'), entry('b')]), first.append([entry('c')])]);
    await first.close();
    const second = await open();
    expect(await texts(second)).toEqual(['a', 'b', 'c']);
    expect(second.bytesWritten()).toBe(0);
    await second.append([entry('d')]);
    await second.rewrite([entry('x')], () => undefined, []);
    await second.append([entry('y')]);
    expect(second.bytesWritten()).toBeGreaterThan(0);
    await second.close();
    await expect(second.append([entry('late')])).rejects.toThrow('MYCEL_STORE_FAILED');
    const third = await open();
    expect(await texts(third)).toEqual(['x', 'y']);
    await third.close();
  });

  test('finds entries by the places it told, also after it was written anew with some of them', async () => {
    const log = await (await make())();
    const at = (place: number | undefined) =>
      log.read(place ?? -1, 1).then(([first]) => textOf(first?.entry ?? new Uint8Array()));
    const places = await log.append(['a', 'bb', 'ccc', 'dddd'].map(entry));
    expect(await Promise.all(places.map(at))).toEqual(['a', 'bb', 'ccc', 'dddd']);
    const moved: number[] = [];
    const last = await log.rewrite(
      [entry('first')],
      (one, place) => {
        if (one.length % 2 === 1) return undefined;
        moved.push(place);
        return entry(`${textOf(one)}!`);
      },
      [entry('y'), entry('z')],
    );
    expect(await texts(log)).toEqual(['first', 'bb!', 'dddd!', 'y', 'z']);
    expect(await Promise.all([...moved, ...last].map(at))).toEqual(['bb!', 'dddd!', 'y', 'z']);
    const [more] = await log.append([entry('more')]);
    expect(await at(more)).toBe('more');
    await log.close();
  });

  test('reads an entry that is larger than what was asked for, and steps over blocks of any size', async () => {
    const log = await (await make())();
    const long = 'x'.repeat(900_000);
    const all = ['short', long, ...Array.from({ length: 3000 }, (_, at) => `entry ${at}`), long];
    await log.append(all.map(entry));
    for (const step of [1, 100_000]) expect(await texts(log, step), `${step}`).toEqual(all);
    await log.rewrite([], (one) => one, []);
    expect(await texts(log, 1_000_000)).toEqual(all);
    await log.close();
  });
});

describe('a journal on disk', () => {
  test('ends with the last whole entry wherever its tail was torn, and goes on from there', async () => {
    const directory = await place();
    const whole = await openDiskEventLog(directory);
    await whole.append([entry('first'), entry('second')]);
    await whole.append([entry('third')]);
    await whole.close();
    const [name = ''] = await readdir(directory);
    const bytes = await readFile(join(directory, name));
    const ends = [8 + 5, 8 + 5 + 8 + 6, bytes.length];
    for (let size = 0; size <= bytes.length; size += 1) {
      await writeFile(join(directory, name), bytes.subarray(0, size));
      const torn = await openDiskEventLog(directory);
      const kept = ['first', 'second', 'third'].slice(0, ends.filter((end) => end <= size).length);
      expect(await texts(torn), `${size} bytes`).toEqual(kept);
      await torn.append([entry('more')]);
      await torn.close();
      const again = await openDiskEventLog(directory);
      expect(await texts(again), `${size} bytes`).toEqual([...kept, 'more']);
      await again.close();
    }
  });

  test('believes nothing from a flipped bit on', async () => {
    const directory = await place();
    const whole = await openDiskEventLog(directory);
    await whole.append([entry('first'), entry('second')]);
    await whole.close();
    const [name = ''] = await readdir(directory);
    const bytes = await readFile(join(directory, name));
    for (let at = 0; at < bytes.length; at += 1) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      await writeFile(join(directory, name), flipped);
      const journal = await openDiskEventLog(directory);
      expect(await texts(journal), `byte ${at}`).toEqual(at < 13 ? [] : ['first']);
      await journal.close();
    }
  });

  test('is not written anew without entries that have become unreadable', async () => {
    const directory = await place();
    const journal = await openDiskEventLog(directory);
    await journal.append([entry('first'), entry('second')]);
    const [name = ''] = await readdir(directory);
    const bytes = await readFile(join(directory, name));
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    await writeFile(join(directory, name), bytes);
    const kept = journal.rewrite([], (one) => one, []);
    await expect(kept).rejects.toMatchObject({ code: 'MYCEL_STORE_FAILED' });
    expect(await texts(journal)).toEqual(['first']);
    await journal.close();
  });

  test('refuses an entry that is larger than any event, and takes the next one', async () => {
    const directory = await place();
    const journal = await openDiskEventLog(directory);
    await journal.append([entry('kept')]);
    await expect(journal.append([new Uint8Array(2 * 1024 * 1024)])).rejects.toThrow(RangeError);
    await journal.append([entry('next')]);
    await journal.close();
    const again = await openDiskEventLog(directory);
    expect(await texts(again)).toEqual(['kept', 'next']);
    await again.close();
  });
});
