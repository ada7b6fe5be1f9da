import { describe, expect, test } from 'vitest';
import { createReceipts } from '../../../src/protocol/routing/receipts.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';
import { ann, origins } from './arbitraries.ts';

const bob = origins[1] ?? ann;

describe('receipts', () => {
  test('are due with the 64th message, or 2 ms after the first', () => {
    const receipts = createReceipts();
    for (let count = 1; count < 64; count += 1) expect(receipts.note(5, ann, false)).toBe(false);
    expect(receipts.deadline()).toBe(7);
    expect(receipts.due(6)).toEqual([]);
    expect(receipts.due(7)).toEqual([ann]);
    expect(receipts.note(6, ann, false)).toBe(true);
    receipts.take(ann);
    expect(receipts.deadline()).toBe(Infinity);
  });

  test('of each origin wait for themselves, the first one first', () => {
    const receipts = createReceipts({ delayMs: 20 });
    receipts.note(0, ann, false);
    receipts.note(3, bob, false);
    expect(receipts.due(20)).toEqual([ann]);
    receipts.take(ann);
    receipts.note(21, ann, false);
    expect(receipts.deadline()).toBe(23);
  });

  test('remember that a message was a repeat until they are sent', () => {
    const receipts = createReceipts();
    receipts.note(0, ann, true);
    receipts.note(1, ann, false);
    expect(receipts.take(ann)).toBe(true);
    expect(receipts.take(ann)).toBe(false);
  });

  test('are owed to 4096 origins at most', () => {
    const receipts = createReceipts();
    for (let at = 0; at < 5_000; at += 1) receipts.note(0, simNodeId(at), false);
    expect(receipts.due(20)).toHaveLength(4_096);
  });
});
