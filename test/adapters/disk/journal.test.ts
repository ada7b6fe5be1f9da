import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openJournal } from '../../../src/adapters/disk/journal.ts';
import { diskFiles } from '../../../src/adapters/disk/journal-files.ts';
import { createMemoryClock } from '../../../src/adapters/memory/clock.ts';
import { createMemoryJournal } from '../../../src/adapters/memory/journal.ts';
import { createMemoryLog } from '../../../src/adapters/memory/log.ts';
import { createSystemClock } from '../../../src/adapters/system/clock.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import type { Random } from '../../../src/kernel/random.ts';
import type { Journal } from '../../../src/ports/journal.ts';
import { journalContract } from '../../contract/journal.ts';
import { SimFiles } from './sim-files.ts';

journalContract('disk', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'mycel-journal-'));
  const files = diskFiles(directory);
  const world = { files, name: 'state', clock: createSystemClock(), log: createMemoryLog() };
  return {
    open: (replay) => openJournal(world, replay),
    dispose: () => rm(directory, { recursive: true, force: true }),
  };
});

journalContract('memory', async () => {
  const records: Uint8Array[] = [];
  return {
    open: async (replay) => createMemoryJournal(records, replay),
    dispose: async () => {},
  };
});

/** A journal on a simulated disk. */
async function simulated(files: SimFiles) {
  const clock = createMemoryClock();
  const log = createMemoryLog();
  const records: string[] = [];
  const journal = await openJournal({ files, name: 'state', clock, log }, (record) =>
    records.push(new TextDecoder().decode(record)),
  );
  return { journal, records, clock, log };
}

const put = (journal: Journal, words: string, durability: 'now' | 'lazy' = 'now'): Promise<void> =>
  journal.append(new TextEncoder().encode(words), durability);

/** What must be there after the power was cut, and what may be there instead. */
interface Expected {
  acknowledged: string[];
  /** The snapshot that was being put in place when the power went: it may be there, whole. */
  told: string[] | undefined;
}

/** Appends and compacts until the power goes. */
async function live(journal: Journal, expected: Expected, random: Random, life: string) {
  for (let step = 0; step < 30; step += 1) {
    if (random.below(8) === 0) {
      const told = [`snapshot ${life} ${step}`, ...expected.acknowledged.slice(-3)];
      const isDone = await journal.compact(told.map((one) => new TextEncoder().encode(one)));
      if (!isDone) {
        expected.told = told;
        return;
      }
      expected.acknowledged = told;
      continue;
    }
    const words = `${life} ${step} ${'x'.repeat(random.below(700))}`;
    const isLazy = random.below(6) === 0;
    await put(journal, words, isLazy ? 'lazy' : 'now');
    // A lazy one is on its way with those that follow it; here, nothing does.
    if (journal.view().trouble !== undefined || isLazy) return;
    expected.acknowledged.push(words);
  }
}

test('a journal whose power is cut has every acknowledged record, in order, and none that was never appended', async () => {
  for (let seed = 1; seed <= 150; seed += 1) {
    const random = createRandom(seed);
    const files = new SimFiles(random.split());
    const expected: Expected = { acknowledged: [], told: undefined };
    for (let life = 0; life < 4; life += 1) {
      const { journal, records } = await simulated(files);
      const where = `seed ${seed}, life ${life}`;
      if (expected.told !== undefined && records[0] === expected.told[0]) {
        expected.acknowledged = expected.told;
      }
      expected.told = undefined;
      const { length } = expected.acknowledged;
      expect(records.slice(0, length), where).toEqual(expected.acknowledged);
      expect(new Set(records).size, where).toBe(records.length);
      expect(journal.findings.hasLosses, where).toBe(false);
      expected.acknowledged = records.slice();
      files.stepsLeft = random.below(60);
      await live(journal, expected, random, `${life}`);
      files.cut();
    }
  }
});

describe('damage', () => {
  async function written(): Promise<SimFiles> {
    const files = new SimFiles(createRandom(1));
    const { journal } = await simulated(files);
    for (let at = 0; at < 20; at += 1) await put(journal, `record ${at} ${'y'.repeat(40)}`);
    await journal.close();
    return files;
  }

  test('at the end is cut off, and told', async () => {
    const files = await written();
    files.edit('state.journal', (content) => content.subarray(0, content.length - 7));
    const { journal, records } = await simulated(files);
    expect(records).toHaveLength(19);
    expect(journal.findings).toMatchObject({ hasLosses: false });
    expect(journal.findings.notes[0]).toMatch(/incomplete and cut off/);
    await put(journal, 'next');
    await journal.close();
    expect((await simulated(files)).records.at(-1)).toBe('next');
  });

  test('in the middle is set aside under a clear name; the records around it are kept', async () => {
    const files = await written();
    files.edit('state.journal', (content) => {
      content[Math.floor(content.length / 2)] = (content[Math.floor(content.length / 2)] ?? 0) ^ 1;
      return content;
    });
    const { journal, records, log } = await simulated(files);
    expect(records).toHaveLength(19);
    expect(journal.findings.hasLosses).toBe(true);
    expect(files.names()).toContain('state.journal.damaged-1');
    expect(log.take().some(({ level }) => level === 'warn')).toBe(true);
    expect(journal.wantsCompaction()).toBe(true);
  });

  test('of every single byte never stops the node and never invents a record', async () => {
    const whole = await written();
    const { records: all } = await simulated(whole);
    let size = 0;
    whole.edit('state.journal', (content) => {
      size = content.length;
      return content;
    });
    for (let at = 0; at < size; at += 7) {
      const files = await written();
      files.edit('state.journal', (content) => {
        content[at] = (content[at] ?? 0) ^ 0x55;
        return content;
      });
      const { records } = await simulated(files);
      expect(records.every((one) => all.includes(one))).toBe(true);
      expect(records.length).toBeGreaterThanOrEqual(at < 8 ? 0 : 19);
    }
  });

  test('a journal of a newer version is set aside whole, and the node starts without it', async () => {
    const files = await written();
    files.edit('state.journal', (content) => {
      content.writeUInt32BE(2, 4);
      return content;
    });
    const { journal, records } = await simulated(files);
    expect(records).toEqual([]);
    expect(files.names()).toContain('state.journal.newer-2');
    expect(journal.findings.hasLosses).toBe(true);
    expect(journal.findings.notes.join(' ')).toMatch(/newer version \(2\)/);
  });
});

describe('a disk that refuses', () => {
  test.for([
    ['ENOSPC', /full/],
    ['EROFS', /read-only/],
    ['EIO', /errors/],
  ] as const)(
    '%s costs durability and says so; what was written meanwhile is told again',
    async ([errno, words]) => {
      const files = new SimFiles(createRandom(1));
      const { journal, clock, log } = await simulated(files);
      await put(journal, 'before');
      files.errno = errno;
      await put(journal, 'meanwhile');
      expect(journal.view().trouble).toMatch(words);
      expect(log.take().filter(({ level }) => level === 'error')).toHaveLength(1);
      expect(journal.wantsCompaction()).toBe(false);
      clock.advance(10_000);
      expect(journal.wantsCompaction()).toBe(true);
      const all = ['before', 'meanwhile'].map((one) => new TextEncoder().encode(one));
      expect(await journal.compact(all)).toBe(false);
      files.errno = undefined;
      clock.advance(10_000);
      expect(await journal.compact(all)).toBe(true);
      expect(journal.view().trouble).toBeUndefined();
      await journal.close();
      expect((await simulated(files)).records).toEqual(['before', 'meanwhile']);
    },
  );
});

test('many appends at once share few syncs, and a compacted journal is small', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'mycel-journal-'));
  const world = {
    files: diskFiles(directory),
    name: 'state',
    clock: createSystemClock(),
    log: createMemoryLog(),
  };
  const journal = await openJournal(world, () => {});
  await Promise.all(Array.from({ length: 1_000 }, (_, at) => put(journal, `${at}`)));
  expect(journal.view().syncCount).toBeLessThan(20);
  await journal.compact([new Uint8Array(8)]);
  expect(journal.view().bytes).toBeLessThan(100);
  expect(await readdir(directory)).toEqual(['state.journal']);
  await journal.close();
  await rm(directory, { recursive: true });
});
