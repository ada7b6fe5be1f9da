import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createMessageRing } from '../../../src/protocol/routing/message-ring.ts';

describe('a message ring', () => {
  test('finds every event by its sequence number, however it grew and was trimmed', () => {
    const moves = fc.array(fc.tuple(fc.nat(200), fc.nat(250)), { maxLength: 30 });
    fc.assert(
      fc.property(moves, (steps) => {
        const ring = createMessageRing(10_000, 1e9);
        const model = new Map<number, Uint8Array>();
        for (const [appended, trimmed] of steps) {
          for (let count = 0; count < appended; count += 1) {
            const raw = new Uint8Array(count % 7);
            ring.append(raw);
            model.set(ring.last(), raw);
          }
          const until = ring.first() + trimmed - 1;
          ring.trim(until);
          for (const seq of model.keys()) if (seq <= until) model.delete(seq);
          expect(ring.count()).toBe(model.size);
          let bytes = 0;
          for (const [seq, raw] of model) {
            expect(ring.at(seq)).toBe(raw);
            bytes += raw.byteLength;
          }
          expect(ring.bytes()).toBe(bytes);
          expect(ring.at(ring.first() - 1)).toBeUndefined();
          expect(ring.at(ring.last() + 1)).toBeUndefined();
        }
      }),
    );
  });

  test('has room for so many events and bytes, and for a large one when it is empty', () => {
    const ring = createMessageRing(2, 100);
    expect(ring.hasRoom(1_000)).toBe(true);
    ring.append(new Uint8Array(60));
    expect(ring.hasRoom(40)).toBe(true);
    expect(ring.hasRoom(41)).toBe(false);
    ring.append(new Uint8Array(1));
    expect(ring.hasRoom(1)).toBe(false);
  });
});
