/** The books balance: what is reserved and spent never exceeds a limit, and every settlement counts once. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { createLedger, isRefusal } from '../../../src/protocol/flow/budget.ts';
import type { Amounts, PeriodStamp, Reservation } from '../../../src/protocol/flow/budget.ts';

const stamp = (day: number): PeriodStamp => ({ minute: day * 1440, day, month: 1, total: 0 });
const tokens = (count: number): Amounts => ({ tokens: count, usd: 0, requests: 1 });

describe('a ledger', () => {
  test('reserves in every account or in none', () => {
    const ledger = createLedger([
      { account: 'a', unit: 'tokens', period: 'day', max: 100 },
      { account: 'mesh', unit: 'tokens', period: 'day', max: 50 },
    ]);
    expect(ledger.reserve(['a', 'mesh'], tokens(60), stamp(1))).toMatchObject({
      account: 'mesh',
      max: 50,
      spent: 0,
    });
    expect(ledger.lines('a', stamp(1))).toMatchObject([{ reserved: 0 }]);
    expect(isRefusal(ledger.reserve(['a', 'mesh'], tokens(50), stamp(1)))).toBe(false);
    expect(isRefusal(ledger.reserve(['a', 'mesh'], tokens(1), stamp(1)))).toBe(true);
  });

  test('a new day is a new budget; a settlement of yesterday leaves today alone', () => {
    const ledger = createLedger([{ account: 'a', unit: 'tokens', period: 'day', max: 100 }]);
    const held = ledger.reserve(['a'], tokens(100), stamp(1)) as Reservation;
    expect(ledger.left(['a'], 'tokens', stamp(2))).toEqual({ free: 100, unspent: 100 });
    ledger.settle(held, tokens(90));
    expect(ledger.left(['a'], 'tokens', stamp(2))).toEqual({ free: 100, unspent: 100 });
  });

  test('hostile amounts change nothing for the better', () => {
    const ledger = createLedger([{ account: 'a', unit: 'tokens', period: 'total', max: 10 }]);
    for (const amount of [-5, Number.NaN, -Infinity]) {
      const held = ledger.reserve(['a'], tokens(amount), stamp(1)) as Reservation;
      ledger.settle(held, tokens(amount));
    }
    expect(ledger.left(['a'], 'tokens', stamp(1))).toEqual({ free: 10, unspent: 10 });
    expect(isRefusal(ledger.reserve(['a'], tokens(Infinity), stamp(1)))).toBe(true);
  });

  test('with honest settlements spent and reserved stay below the limit, and the sums are exact', () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant('ask' as const), amount: fc.nat(40) }),
      fc.record({
        type: fc.constant('end' as const),
        which: fc.nat(20),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (history) => {
        const max = 300;
        const ledger = createLedger([{ account: 'a', unit: 'tokens', period: 'total', max }]);
        const open: Reservation[] = [];
        let spent = 0;
        for (const input of history) {
          if (input.type === 'ask') {
            const held = ledger.reserve(['a'], tokens(input.amount), stamp(1));
            if (!isRefusal(held)) open.push(held);
          } else {
            const [held] = open.splice(input.which % Math.max(1, open.length), 1);
            if (held === undefined) continue;
            const used = Math.floor(held.amounts.tokens * input.share);
            spent += used;
            ledger.settle(held, tokens(used));
            ledger.settle(held, tokens(used));
          }
          const [line] = ledger.lines('a', stamp(1));
          expect(line?.spent).toBe(spent);
          expect(line?.reserved).toBe(open.reduce((sum, { amounts }) => sum + amounts.tokens, 0));
          expect(spent + (line?.reserved ?? 0)).toBeLessThanOrEqual(max);
        }
      }),
    );
  });

  test('parts that move between holders never allow more in all, whatever words are lost or come twice', () => {
    const limit = { account: 'a', unit: 'tokens', period: 'day' } as const;
    const step = fc.record({
      type: fc.constantFrom('ask' as const, 'end' as const, 'move' as const),
      at: fc.nat(2),
      to: fc.nat(2),
      amount: fc.nat(120),
      isHeard: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (history) => {
        const ledgers = [0, 1, 2].map(() => createLedger([{ ...limit, max: 100 }]));
        const open: { readonly at: number; readonly held: Reservation }[] = [];
        const words: { to: number; from: number; sum: number }[] = [];
        for (const { type, at, to, amount, isHeard } of history) {
          const ledger = ledgers[at];
          if (type === 'ask') {
            const held = ledger?.reserve(['a'], tokens(amount), stamp(1));
            if (held !== undefined && !isRefusal(held)) open.push({ at, held });
          } else if (type === 'end') {
            const [ended] = open.splice(amount % Math.max(1, open.length), 1);
            if (ended !== undefined) ledgers[ended.at]?.settle(ended.held, tokens(amount / 2));
          } else if (at !== to && ledger !== undefined) {
            const sum = ledger.give(limit, `${to}`, amount, stamp(1));
            words.push({ to, from: at, sum });
            // Some words are lost; old ones come again.
            const word = words[isHeard ? words.length - 1 : amount % words.length];
            if (word !== undefined)
              ledgers[word.to]?.transferred(limit, 'taken', `${word.from}`, word.sum, stamp(1));
          }
          const lines = ledgers.flatMap((one) => one.lines('a', stamp(1)));
          expect(lines.reduce((sum, line) => sum + line.max, 0)).toBeLessThanOrEqual(300);
          expect(lines.every((line) => line.reserved <= line.max || line.spent > 0)).toBe(true);
        }
      }),
    );
  });

  test('a part that was given is gone for this period, and back in the next', () => {
    const limit = { account: 'a', unit: 'tokens', period: 'day' } as const;
    const ledger = createLedger([{ ...limit, max: 100 }]);
    expect(ledger.give(limit, 'b', 30, stamp(1))).toBe(30);
    expect(ledger.give(limit, 'b', 90, stamp(1))).toBe(100);
    expect(isRefusal(ledger.reserve(['a'], tokens(1), stamp(1)))).toBe(true);
    expect(ledger.left(['a'], 'tokens', stamp(2)).free).toBe(100);
    ledger.transferred(limit, 'taken', 'b', 50, stamp(1));
    expect(ledger.left(['a'], 'tokens', stamp(2)).free).toBe(100);
  });
});
