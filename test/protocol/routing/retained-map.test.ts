import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareHlc } from '../../../src/kernel/hlc.ts';
import { createRetainedMap } from '../../../src/protocol/routing/retained-map.ts';
import type { RetainedEntry } from '../../../src/protocol/routing/retained-map.ts';
import { ann, origins } from './arbitraries.ts';

const entries: fc.Arbitrary<RetainedEntry[]> = fc.uniqueArray(
  fc.record({
    topic: fc.constantFrom('a', 'b/c', 'd', 'e', 'f/g/h'),
    hlc: fc.record({ wallMs: fc.nat(6), count: fc.nat(2) }),
    origin: fc.constantFrom(...origins),
    boot: fc.constant(1),
    seq: fc.nat(9),
    payload: fc.uint8Array({ maxLength: 3 }),
  }),
  // A clock never gives one stamp twice.
  { selector: ({ hlc, origin }) => `${hlc.wallMs} ${hlc.count} ${origin}`, maxLength: 60 },
);

function entryOf(topic: string, wallMs: number, bytes = 1): RetainedEntry {
  const payload = new Uint8Array(bytes).fill(1);
  return { topic, hlc: { wallMs, count: 0 }, origin: ann, boot: 1, seq: 0, payload };
}

/** The newest entry of each topic, by plain sorting. */
function newest(all: readonly RetainedEntry[]): Map<string, RetainedEntry> {
  const sorted = [...all].sort(
    (left, right) => compareHlc(left.hlc, right.hlc) || (left.origin < right.origin ? -1 : 1),
  );
  return new Map(sorted.map((entry) => [entry.topic, entry]));
}

describe('a retained map', () => {
  test('keeps the last written value of each topic, whatever the order of arrival', () => {
    fc.assert(
      fc.property(entries, (all) => {
        const map = createRetainedMap();
        for (const entry of all) map.merge([entry]);
        const wanted = newest(all);
        for (const [topic, entry] of wanted) expect(map.get(topic)).toEqual(entry);
        const live = [...wanted.values()].filter((entry) => entry.payload.byteLength > 0);
        expect(map.view()).toMatchObject({
          live: live.length,
          tombstones: wanted.size - live.length,
          bytes: live.reduce((sum, entry) => sum + entry.payload.byteLength, 0),
        });
      }),
    );
  });

  test('is the same on two nodes after each sent the other its differences, and then silent', () => {
    fc.assert(
      fc.property(entries, entries, (left, right) => {
        const here = createRetainedMap();
        const there = createRetainedMap();
        const unique = right.filter(({ hlc, origin }) =>
          left.every((other) => compareHlc(other.hlc, hlc) !== 0 || other.origin !== origin),
        );
        here.merge(left);
        there.merge(unique);
        const sent = here.differences(there.digest());
        const back = there.differences(here.digest());
        there.merge(sent);
        here.merge(back);
        expect([...here.digest()]).toEqual([...there.digest()]);
        expect(here.differences(there.digest())).toEqual([]);
        for (const [topic, entry] of newest([...left, ...unique])) {
          expect(here.get(topic)).toEqual(entry);
          expect(there.get(topic)).toEqual(entry);
        }
      }),
    );
  });

  test('says which entries won, and only those', () => {
    const map = createRetainedMap();
    expect(map.merge([entryOf('a', 2), entryOf('a', 1), entryOf('b', 1)])).toHaveLength(2);
    expect(map.merge([entryOf('a', 2)])).toEqual([]);
  });

  test('does not let a deleted value come back from a node that slept', () => {
    const map = createRetainedMap();
    map.merge([entryOf('a', 1)]);
    map.merge([entryOf('a', 5, 0)]);
    expect(map.merge([entryOf('a', 3)])).toEqual([]);
    expect(map.get('a')?.payload.byteLength).toBe(0);
  });

  test('forgets the oldest value, of all nodes the same, when there are too many or too big ones', () => {
    const forgotten: string[] = [];
    const map = createRetainedMap({ liveMax: 3, bytesMax: 10 }, (topic) => forgotten.push(topic));
    map.merge([entryOf('c', 3), entryOf('a', 1), entryOf('b', 2)]);
    expect(map.merge([entryOf('d', 4)])).toHaveLength(1);
    expect(map.merge([entryOf('z', 0)])).toEqual([]);
    expect(forgotten).toEqual(['a', 'z']);
    map.merge([entryOf('e', 5, 9)]);
    expect(forgotten).toEqual(['a', 'z', 'b', 'c']);
    expect(map.view()).toEqual({ live: 2, tombstones: 0, bytes: 10, forgotten: 4 });
  });

  test('forgets the oldest tombstone when there are too many', () => {
    const map = createRetainedMap({ tombstonesMax: 2 });
    map.merge([entryOf('a', 1, 0), entryOf('b', 2, 0), entryOf('c', 3, 0)]);
    expect(map.get('a')).toBeUndefined();
    expect(map.view().tombstones).toBe(2);
  });

  test('sends everything to a peer whose digest is none', () => {
    const map = createRetainedMap();
    map.merge([entryOf('a', 1), entryOf('b', 1)]);
    expect(map.differences(new Uint8Array(3))).toHaveLength(2);
  });
});
