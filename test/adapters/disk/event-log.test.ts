import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openDiskEventLog } from '../../../src/adapters/disk/event-log.ts';
import { createMemoryEventLog } from '../../../src/adapters/memory/event-log.ts';
import type { EventLog } from '../../../src/ports/event-log.ts';

const entry = (text: string): Uint8Array => new TextEncoder().encode(text);
const texts = ({ found }: EventLog): string[] => found.map((one) => new TextDecoder().decode(one));

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
    expect(texts(first)).toEqual([]);
    await Promise.all([first.append([entry('a'), entry('b')]), first.append([entry('c')])]);
    await first.close();
    const second = await open();
    expect(texts(second)).toEqual(['a', 'b', 'c']);
    expect(second.bytesWritten()).toBe(0);
    await second.append([entry('d')]);
    await second.replace([entry('x')]);
    await second.append([entry('y')]);
    expect(second.bytesWritten()).toBeGreaterThan(0);
    await second.close();
    await expect(second.append([entry('late')])).rejects.toThrow('MYCEL_STORE_FAILED');
    const third = await open();
    expect(texts(third)).toEqual(['x', 'y']);
    await third.close();
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
      expect(texts(torn), `${size} bytes`).toEqual(kept);
      await torn.append([entry('more')]);
      await torn.close();
      const again = await openDiskEventLog(directory);
      expect(texts(again), `${size} bytes`).toEqual([...kept, 'more']);
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
      expect(texts(journal), `byte ${at}`).toEqual(at < 13 ? [] : ['first']);
      await journal.close();
    }
  });

  test('refuses an entry that is larger than any event, and takes the next one', async () => {
    const directory = await place();
    const journal = await openDiskEventLog(directory);
    await journal.append([entry('kept')]);
    await expect(journal.append([new Uint8Array(2 * 1024 * 1024)])).rejects.toThrow(RangeError);
    await journal.append([entry('next')]);
    await journal.close();
    const again = await openDiskEventLog(directory);
    expect(texts(again)).toEqual(['kept', 'next']);
    await again.close();
  });
});
