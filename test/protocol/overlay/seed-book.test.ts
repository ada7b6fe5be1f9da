import { describe, expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import { createSeedBook } from '../../../src/protocol/overlay/seed-book.ts';

const config = { seedsMax: 2, dialMsMax: 1_000, backoff: { msMin: 100, msMax: 400 } };
const at = (host: string): { host: string; port: number }[] => [{ host, port: 1 }];
const keys = (book: ReturnType<typeof createSeedBook>, now: number, hasLinks = false): string[] =>
  book.due(now, hasLinks).map((seed) => seed.key);

describe('a seed book', () => {
  test('holds each seed once, and no more than it may', () => {
    const book = createSeedBook(config, createRandom(1));
    for (const host of ['a', 'a', 'b', 'c']) book.add(0, at(host));
    book.add(0, []);
    expect(keys(book, 0)).toEqual(['a 1', 'b 1']);
  });

  test('takes a dial that reports nothing for a failed one', () => {
    const book = createSeedBook(config, createRandom(1));
    book.add(0, at('a'));
    const [seed] = book.due(0, false);
    expect(seed && book.dialled(0, seed)).toBe(1);
    expect(book.dialCount()).toBe(1);
    expect(book.deadline(true, false)).toBe(1_000);
    book.timeOut(1_000);
    expect(book.dialCount()).toBe(0);
    const again = book.deadline(true, false);
    expect(again).toBeGreaterThanOrEqual(1_050);
    expect(again).toBeLessThanOrEqual(1_150);
    expect(seed && book.dialled(again, seed)).toBe(2);
  });

  test('leaves an answered seed alone while this node has links', () => {
    const book = createSeedBook(config, createRandom(1));
    book.add(0, at('a'));
    book.answered(5, 'a 1');
    expect(keys(book, 1_000, true)).toEqual([]);
    expect(book.deadline(true, true)).toBe(Infinity);
    expect(book.deadline(true, false)).toBe(105);
    expect(keys(book, 104)).toEqual([]);
    expect(keys(book, 105)).toEqual(['a 1']);
  });

  test('wants no tick for dials that have no free slot', () => {
    const book = createSeedBook(config, createRandom(1));
    book.add(0, at('a'));
    expect(book.deadline(false, false)).toBe(Infinity);
  });
});
