/** Parts of budgets that move between gateways: who has used its own asks the others, and nobody gives what it may need back. */

import type { LlmHandle, LlmLoan, LlmLoanWish, NodeId } from 'mycel';
import type { BudgetLine, LimitName } from 'mycel/flow';

import type { Accounts } from '../policy/accounts.ts';
import type { EscrowLog } from '../policy/escrow-log.ts';

/** How long the others are not asked again after they had nothing, in ms. */
const pauseMs = 1_000;

/** Share of what is free that is given when less was asked for: the next question comes later. */
const giftShare = 0.5;

/** The escrow of one gateway. */
export interface Escrow {
  /** Asks the others for so much of a limit. Gives whether there may be more later. */
  borrow(line: BudgetLine, amount: number): Promise<boolean>;
  /** Another gateway asks. */
  lend(wish: LlmLoanWish, to: NodeId): Promise<LlmLoan | undefined>;
}

/** What it works with. */
export interface EscrowWorld {
  readonly accounts: Accounts;
  readonly gateways: number;
  readonly llm: Pick<LlmHandle, 'claimer'>;
  /** Undefined: nothing is remembered, as of what was spent. */
  readonly log: EscrowLog | undefined;
}

/** Builds it. */
export function createEscrow({ accounts, gateways, llm, log }: EscrowWorld): Escrow {
  const asking = new Map<string, Promise<boolean>>();
  const fruitless = new Map<string, { readonly until: number; readonly mayBeMore: boolean }>();
  const keyOf = ({ account, unit, period }: LimitName): string => `${unit}/${period}/${account}`;

  async function ask(name: LimitName, amount: number): Promise<boolean> {
    const { claimer } = llm;
    const { account, unit, period } = name;
    const max = accounts.part(name);
    if (claimer === undefined || max === undefined) return false;
    let missing = amount;
    let mayBeMore = false;
    for (const gateway of claimer.gateways()) {
      const stamp = accounts.stamp();
      const wish = { account, unit, period, stamp: stamp[period], max, gateways, amount: missing };
      const loan = await claimer.borrow(gateway, wish);
      if (loan === undefined || !Number.isSafeInteger(loan.sum)) continue;
      mayBeMore ||= loan.mayBeMore;
      const got = accounts.transferred(name, 'taken', gateway, loan.sum, stamp);
      if (got > 0) {
        // Forgetting it costs a question after a restart, never money.
        const transfer = { ...name, stamp: stamp[period], way: 'taken', holder: gateway } as const;
        log?.append({ ...transfer, sum: loan.sum }).catch(() => undefined);
      }
      missing -= got;
      if (missing <= 0) return true;
    }
    fruitless.set(keyOf(name), { until: performance.now() + pauseMs, mayBeMore });
    return mayBeMore;
  }

  return {
    borrow({ account, unit, period }, amount) {
      const name = { account, unit, period };
      const key = keyOf(name);
      const tired = fruitless.get(key);
      if (tired !== undefined && tired.until > performance.now())
        return Promise.resolve(tired.mayBeMore);
      const running = asking.get(key);
      if (running !== undefined) return running;
      const asked = ask(name, amount).finally(() => asking.delete(key));
      asking.set(key, asked);
      return asked;
    },
    async lend(wish, to) {
      const { account, unit, period } = wish as LlmLoanWish & LimitName;
      const name = { account, unit, period };
      const part = accounts.part(name);
      const stamp = accounts.stamp();
      // Another configuration, or another day there: nothing is shared that is not the same.
      const isSame = part === wish.max && gateways === wish.gateways && gateways > 1;
      if (part === undefined || !isSame || stamp[period] !== wish.stamp) return undefined;
      const { free, unspent } = accounts.rest(name);
      const amount = Math.max(wish.amount, Math.floor(free * giftShare));
      const sum = accounts.give(name, to, amount, stamp);
      // Told only when no restart can forget it.
      if (sum > 0)
        await log?.append({ ...name, stamp: stamp[period], way: 'given', holder: to, sum });
      return { sum, mayBeMore: unspent > free };
    },
  };
}
