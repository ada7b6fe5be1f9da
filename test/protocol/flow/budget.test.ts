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
});
