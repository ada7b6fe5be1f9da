/** The events that a node keeps: bounded by count, bytes and age, the latest ones, in order. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventShelf, isBefore } from '../../../src/runtime/chronicle/event-shelf.ts';
import type { ChronicleEvent } from '../../../src/wire/event-codec.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

const limits = { countMax: 20, bytesMax: 1_000, ageMsMax: 5_000 };

function eventOf(id: number, wallMs: number, count = 0): ChronicleEvent {
  const type = id % 2 === 0 ? 'door.opened' : 'lamp.on';
  const about = { correlation: `story ${id % 3}`, causation: undefined, data: null };
  return { id: String(id), type, at: { wallMs, count }, node: simNodeId(id % 4), ...about };
}

test('whatever comes in whatever order, a shelf keeps its bounds, the latest events, and their order', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          passMs: fc.nat(400),
          agoMs: fc.nat(6_000),
          count: fc.nat(3),
          bytes: fc.integer({ min: 1, max: 300 }),
        }),
        { maxLength: 120 },
      ),
      (steps) => {
        const shelf = new EventShelf(limits);
        const sizes = new Map<string, number>();
        let now = 1_000_000;
        for (const [id, { passMs, agoMs, count, bytes }] of steps.entries()) {
          now += passMs;
          const before = [...shelf.all()];
          const event = eventOf(id, now - agoMs, count);
          sizes.set(event.id, bytes);
          const gone = shelf.put(event, bytes, now);
          const kept = [...shelf.all()];
          const weight = kept.reduce((sum, one) => sum + (sizes.get(one.id) ?? 0), 0);
          expect(shelf.size).toBe(kept.length);
          expect(shelf.bytes).toBe(weight);
          expect(kept.length).toBeLessThanOrEqual(limits.countMax);
          expect(weight).toBeLessThanOrEqual(limits.bytesMax);
          for (const { at } of kept) expect(at.wallMs).toBeGreaterThanOrEqual(now - 5_000);
          // What is left are the latest of all that were there, and nothing goes without need.
          const all = [...before, event].sort((left, right) => (isBefore(left, right) ? -1 : 1));
          expect(kept).toEqual(all.slice(gone));
          const last = all[gone - 1];
          if (last === undefined) continue;
          const isNeeded =
            kept.length + 1 > limits.countMax ||
            weight + (sizes.get(last.id) ?? 0) > limits.bytesMax ||
            last.at.wallMs < now - limits.ageMsMax;
          expect(isNeeded).toBe(true);
        }
      },
    ),
  );
});

test('events that nobody adds to grow old, too', () => {
  const shelf = new EventShelf(limits);
  for (let id = 0; id < 10; id += 1) shelf.put(eventOf(id, 1_000 * id), 10, 1_000 * id);
  expect([...shelf.all()].map(({ id }) => id)).toEqual(['4', '5', '6', '7', '8', '9']);
  expect(shelf.prune(13_500)).toBe(5);
  expect([shelf.size, shelf.bytes]).toEqual([1, 10]);
});

test('a query gives the latest that fit, oldest first: by type, by the beginning of one, by time, by story', () => {
  const shelf = new EventShelf({ ...limits, ageMsMax: 1e9 });
  for (let id = 0; id < 12; id += 1) shelf.put(eventOf(id, 1_000 * id), 10, 1_000 * id);
  const ids = (filter: Partial<Parameters<EventShelf['query']>[0]>): number[] =>
    shelf.query({ limit: 100, ...filter }).map(({ id }) => Number(id));
  expect(ids({ type: 'lamp.on' })).toEqual([1, 3, 5, 7, 9, 11]);
  expect(ids({ type: 'door.*', limit: 2 })).toEqual([8, 10]);
  expect(ids({ type: 'door' })).toEqual([]);
  expect(ids({ sinceMs: 3_000, untilMs: 5_000 })).toEqual([3, 4, 5]);
  expect(ids({ correlation: 'story 2', sinceMs: 4_000 })).toEqual([5, 8, 11]);
});
