import { describe, expect, test } from 'vitest';
import { createPeerQueue } from '../../../src/protocol/routing/peer-queue.ts';

const byte = (value: number, length = 1): Uint8Array => new Uint8Array(length).fill(value);

function flushed(queue: ReturnType<typeof createPeerQueue>, room = Infinity): string[] {
  const out: string[] = [];
  queue.flush((raw, isEvent) => {
    if (out.length >= room) return false;
    out.push(`${isEvent ? 'event' : 'signal'} ${raw[0]}`);
    return true;
  });
  return out;
}

describe('the queue of a saturated link', () => {
  test('keeps events in order and goes on where the link stopped', () => {
    const queue = createPeerQueue({});
    for (const value of [1, 2, 3]) queue.keepEvent(byte(value));
    expect(flushed(queue, 2)).toEqual(['event 1', 'event 2']);
    expect(flushed(queue)).toEqual(['event 3']);
    expect(queue.length()).toBe(0);
  });

  test('keeps the latest signal of each topic and says how many were lost by it', () => {
    const queue = createPeerQueue({ signalsMax: 2 });
    expect(queue.keepSignal('a', byte(1))).toBe(0);
    expect(queue.keepSignal('a', byte(2))).toBe(1);
    expect(queue.keepSignal('b', byte(3))).toBe(0);
    expect(queue.keepSignal('c', byte(4))).toBe(1);
    expect(flushed(queue)).toEqual(['signal 3', 'signal 4']);
  });

  test('refuses the newest event when the count or the bytes are used up', () => {
    const queue = createPeerQueue({ relayMax: 3, relayBytesMax: 10 });
    expect(queue.keepEvent(byte(1, 50))).toBe(true);
    expect(queue.keepEvent(byte(2))).toBe(false);
    expect(flushed(queue)).toEqual(['event 1']);
    for (const value of [1, 2, 3]) expect(queue.keepEvent(byte(value))).toBe(true);
    expect(queue.keepEvent(byte(4))).toBe(false);
  });

  test('copies what it keeps', () => {
    const queue = createPeerQueue({});
    const frame = byte(7);
    queue.keepEvent(frame);
    queue.keepSignal('a', frame);
    frame.fill(0);
    expect(flushed(queue)).toEqual(['signal 7', 'event 7']);
  });
});
