/** Markets of a node: others place orders there, and hear what they traded when it clears. */

import * as z from 'zod/mini';
import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import {
  clearMcAfee,
  clearUniform,
  clearingOrdersMax,
  createOrderBook,
} from '../../protocol/agreement/market.ts';
import type { Trade } from '../../protocol/agreement/market.ts';
import type { PartWorld } from '../parts.ts';
import type { ActionContext } from '../services/host.ts';
import type { Services } from '../services/services.ts';
import { answering, serviceOf } from './offered.ts';

export type { Trade };

const namespace = '$market';

/** Time between two clearings when nobody says, in ms. */
const periodMsDefault = 1_000;

/** How long an order waits for a trade when nobody says, in ms. */
const waitMsDefault = 10_000;

/** What the answer needs on its way beyond that, in ms. */
const answerMs = 5_000;

/** How a market clears. */
export interface MarketOptions {
  /**
   * `uniform`: one price for all, between the last bid and the last ask that trade. `mcafee`: under which the truth is
   * everybody's best word. `continuous`: an order trades at once with the best standing one. @default uniform
   */
  readonly rule?: 'uniform' | 'mcafee' | 'continuous';
  /** Time between two clearings, in ms; not for `continuous`. @default 1000 */
  readonly periodMs?: number;
  /** Hears of every trade at this node. */
  readonly traded?: (trade: Trade) => void;
}

/** One unit, wanted or offered. */
export interface Order {
  readonly side: 'buy' | 'sell';
  /** The most that is paid, or the least that is taken. */
  readonly amount: number;
  /** Who trades, when a node has several traders. @default '' */
  readonly trader?: string;
  /** How long it waits for a trade, in ms. @default 10_000 */
  readonly waitMs?: number;
}

/** A market of this node. */
export interface Market {
  /** Trades since it was opened, and what is left with the market of what was paid. */
  figures(): { readonly trades: number; readonly surplus: number; readonly waiting: number };
  /** Ends it: what waits is told that nothing was traded. */
  close(): void;
}

const order = z.object({
  side: z.enum(['buy', 'sell']),
  amount: z.number(),
  trader: z.string().check(z.maxLength(64)),
  waitMs: z.number().check(z.gte(1), z.lte(86_400_000)),
});
const trade = z.union([
  z.object({ buyer: z.string(), seller: z.string(), pays: z.number(), gets: z.number() }),
  z.null(),
]);

interface Waiting {
  readonly side: Order['side'];
  readonly amount: number;
  readonly name: string;
  readonly until: number;
  settle(trade: Trade | null): void;
}

/** Markets of one node, and orders at others. */
export interface Markets {
  open(name: string, options: MarketOptions): Market;
  order(name: string, order: Order, node?: NodeId): Promise<Trade | undefined>;
}

/** Builds them. */
export function createMarkets({ clock, log }: PartWorld, services: Services): Markets {
  function open(name: string, options: MarketOptions): Market {
    const { rule = 'uniform', periodMs = periodMsDefault, traded } = options;
    if (!(periodMs >= 10 && periodMs <= 86_400_000)) {
      throw new MycelError('MYCEL_BAD_OPTION', {
        reason: 'A market clears every 10 ms to once a day.',
      });
    }
    /** By a number of their own: one trader may have many orders, of which each is one unit. */
    const waiting = new Map<string, Waiting>();
    const sides = { buy: 0, sell: 0 };
    const book = createOrderBook();
    const totals = { trades: 0, surplus: 0 };
    let nextOrder = 1;
    let cancelAlarm = (): void => {};
    let isClosed = false;

    function take(id: string): Waiting | undefined {
      const one = waiting.get(id);
      if (one === undefined) return undefined;
      waiting.delete(id);
      sides[one.side] -= 1;
      return one;
    }

    /** Both hear of it by the names of the traders. */
    function settle({ buyer, seller, pays, gets }: Trade): void {
      const [buys, sells] = [take(buyer), take(seller)];
      const told = { buyer: buys?.name ?? buyer, seller: sells?.name ?? seller, pays, gets };
      totals.trades += 1;
      totals.surplus += pays - gets;
      buys?.settle(told);
      sells?.settle(told);
      try {
        traded?.(told);
      } catch (error) {
        // It was called by a clearing, which is nobody's call: the trades after this one go on.
        log.warn({ error, market: name }, 'a listener to trades threw');
      }
    }

    function clear(): void {
      const of = (side: Order['side']) =>
        [...waiting]
          .filter(([, one]) => one.side === side)
          .map(([bidder, { amount }]) => ({ bidder, amount }));
      const cleared = (rule === 'mcafee' ? clearMcAfee : clearUniform)(of('buy'), of('sell'));
      for (const one of cleared.trades) settle(one);
    }

    function expire(): void {
      const now = clock.now();
      for (const [id, one] of waiting) if (now >= one.until) withdraw(id)?.settle(null);
    }

    function withdraw(id: string): Waiting | undefined {
      const one = take(id);
      if (one !== undefined && rule === 'continuous') book.remove(one.side, id);
      return one;
    }

    function tick(): void {
      cancelAlarm = clock.alarm(clock.now() + periodMs, () => {
        if (rule !== 'continuous') clear();
        expire();
        if (!isClosed) tick();
      });
    }

    function place(given: z.infer<typeof order>, context: ActionContext): Promise<Trade | null> {
      const { side, amount, waitMs } = given;
      if (sides[side] >= clearingOrdersMax) {
        throw new MycelError('MYCEL_SERVICE_BUSY', {
          reason: `${clearingOrdersMax} orders to ${side} wait at '${name}' already.`,
        });
      }
      const id = String(nextOrder);
      nextOrder += 1;
      return new Promise((resolve) => {
        const trader = given.trader === '' ? context.from : `${context.from}/${given.trader}`;
        const until = clock.now() + waitMs;
        waiting.set(id, { side, amount, name: trader, until, settle: resolve });
        sides[side] += 1;
        // Whoever does not wait any more trades no more.
        context.signal.addEventListener('abort', () => withdraw(id)?.settle(null), { once: true });
        if (rule !== 'continuous') return;
        const made = book.place(side, id, amount);
        if (made !== undefined) settle(made);
      });
    }

    const actions = { place: answering(order, trade, place) };
    const end = services.provide(serviceOf(namespace, name, actions, 2 * clearingOrdersMax));
    tick();
    return {
      figures: () => ({ ...totals, waiting: waiting.size }),
      close() {
        if (isClosed) return;
        isClosed = true;
        cancelAlarm();
        end();
        for (const id of waiting.keys()) withdraw(id)?.settle(null);
      },
    };
  }

  return {
    open,
    async order(name, { side, amount, trader = '', waitMs = waitMsDefault }, node) {
      if (!Number.isFinite(amount)) {
        throw new MycelError('MYCEL_BAD_OPTION', { reason: 'The amount of an order is a number.' });
      }
      const how = {
        namespace,
        timeoutMs: waitMs + answerMs,
        retries: 0,
        ...(node === undefined ? {} : { node }),
      };
      const made = await services.call(`${name}.place`, { side, amount, trader, waitMs }, how);
      return (made as Trade | null) ?? undefined;
    },
  };
}
