import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import { createInflow } from '../../../src/protocol/command/inflow.ts';
import { callBodyBytesMax, pieceBytesMax, pieceWindow } from '../../../src/kernel/call.ts';
import type { Credit, Piece } from '../../../src/protocol/command/messages.ts';
import { createOutflow, inFlightBytesMax } from '../../../src/protocol/command/outflow.ts';

const body = (size: number, mark: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, at) => (at * 31 + mark) & 0xff);

describe('a flow', () => {
  test('brings every body whole and in order, whatever is lost, doubled or late', () => {
    const sizes = fc.array(fc.constantFrom(0, 1, 500, 29_999, 30_000, 30_001, 200_000), {
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(sizes, fc.integer(), fc.constantFrom(0, 0.05, 0.3), (list, seed, loss) => {
        const random = createRandom(seed);
        const out = createOutflow();
        const into = createInflow(callBodyBytesMax);
        const bodies = list.map(body);
        const got: Uint8Array[] = [];
        bodies.forEach((one, at) => out.add(one, at === bodies.length - 1, false));
        let wire: Piece[] = [];
        let backward: { credit: Credit; isAsking: boolean }[] = [];
        for (let now = 0; !out.isDone(); now += 50) {
          expect(now, 'it must come to an end').toBeLessThan(4_000_000);
          wire.push(...out.take(now), ...out.resend(now));
          expect(wire.length).toBeLessThanOrEqual(4 * pieceWindow);
          const arriving = wire;
          wire = [];
          for (const piece of arriving) {
            if (random.unit() < loss) continue;
            if (random.unit() < 0.1) wire.push(piece);
            const verdict = into.take(piece);
            if (verdict.kind === 'whole') {
              got.push(verdict.arrival.bytes);
              into.read();
              backward.push({ credit: into.credit(), isAsking: false });
            } else if (verdict.kind === 'credit') {
              backward.push({ credit: into.credit(), isAsking: verdict.isAsking });
            }
          }
          const answers = backward;
          backward = [];
          for (const { credit, isAsking } of answers) {
            if (random.unit() < loss) continue;
            out.credited(now, credit);
            if (isAsking) wire.push(...out.again(now));
          }
        }
        expect(got.map(({ length }) => length)).toEqual(bodies.map(({ length }) => length));
        expect(got.every((one, at) => Buffer.compare(one, bodies[at] ?? one) === 0)).toBe(true);
        expect(out.heldBytes()).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test('sends no more than credit and the bytes in flight allow', () => {
    const out = createOutflow(2);
    out.add(body(100_000, 1), true, false);
    expect(out.take(0).map(({ seq }) => seq)).toEqual([0, 1]);
    expect(out.take(0)).toEqual([]);
    out.credited(0, { next: 2, upTo: 100 });
    expect(out.take(0).map(({ seq }) => seq)).toEqual([2, 3]);
    const large = createOutflow();
    large.add(new Uint8Array(4 * inFlightBytesMax), true, false);
    const first = large.take(0);
    expect(first.length * pieceBytesMax).toBeLessThan(inFlightBytesMax + pieceBytesMax);
  });

  test('stops an unread stream, and goes on as it is read', () => {
    const out = createOutflow();
    const into = createInflow(callBodyBytesMax);
    for (let at = 0; at < 200; at += 1) out.add(body(10, at), false, false);
    let count = 0;
    const carry = (): void => {
      for (const piece of out.take(0)) if (into.take(piece).kind === 'whole') count += 1;
    };
    carry();
    expect(count).toBe(pieceWindow);
    out.credited(0, into.credit());
    carry();
    expect(count).toBe(pieceWindow);
    for (let at = 0; at < 10; at += 1) into.read();
    out.credited(0, into.credit());
    carry();
    expect(count).toBe(pieceWindow + 10);
  });

  test('refuses a body that grows beyond its bound, and believes no credit for what was never sent', () => {
    const into = createInflow(50_000);
    const piece = { isItemEnd: false, isEnd: false, isError: false };
    expect(into.take({ ...piece, seq: 0, bytes: new Uint8Array(30_000) }).kind).toBe('more');
    expect(into.take({ ...piece, seq: 1, bytes: new Uint8Array(30_000) }).kind).toBe('too-large');
    const out = createOutflow(1);
    out.add(body(100_000, 1), true, false);
    out.take(0);
    out.credited(0, { next: 9, upTo: 1_000 });
    expect(out.take(0)).toEqual([]);
    expect(out.isDone()).toBe(false);
  });
});
