/** Whose budgets a request falls under, what is set aside for it, and what it did cost in the end. */

import { createLedger, isRefusal, nanoPerUsd } from 'mycel/flow';
import type {
  Amounts,
  BudgetLimit,
  BudgetLine,
  LimitName,
  PeriodStamp,
  Reservation,
} from 'mycel/flow';

import type { GatewayConfig, PrincipalConfig } from '../config/load.ts';
import type { BudgetConfig, Price } from '../config/schema.ts';
import type { Usage } from '../events.ts';
import { LlmFailure } from '../failure.ts';
import type { Halt } from '../halt.ts';
import type { Ask } from './ask.ts';
import { outputMax, statedOutput } from './estimate.ts';
import { costOf } from './prices.ts';

/** The account of everybody together. */
const everybody = 'mesh';

/** Share of what is free that one answer without a stated limit may take. */
const freeShare = 1 / 32;

/** Longest wait for answers under way to give back what they do not use, in ms. */
const settleWaitMs = 30_000;

/** Between two questions to the other gateways while something may come back there, in ms. */
const againMs = 1_000;

/** What a request is going to use. */
export interface Forecast {
  readonly inputTokens: number;
  /** Likely upper bound of the output, in tokens. */
  readonly outputTokens: number;
  /** Undefined: unknown. */
  readonly price: Price | undefined;
}

/** Money and tokens set aside. */
export interface Hold {
  readonly reservation: Reservation;
  /** Largest output that is paid for; undefined: nothing bounds it. */
  readonly outputTokens: number | undefined;
}

/** The books of a gateway. */
export interface Accounts {
  /**
   * Sets aside what a request may use; waits while others may still give something back.
   * @throws {LlmFailure} budget, with what to change.
   */
  hold(ask: Ask, forecast: Forecast, halt: Halt): Promise<Hold>;
  /** Books what was used. */
  settle(hold: Hold, usage: Usage, price: Price | undefined): void;
  /** Called with every settlement, once for each account. */
  onSettled(listener: (account: string, amounts: Amounts, stamp: PeriodStamp) => void): void;
  /** What stands against the budgets of a principal. */
  lines(principal: PrincipalConfig): readonly BudgetLine[];
  /** Books what was spent before a restart. */
  restore(account: string, amounts: Amounts, stamp: PeriodStamp): void;
  accountsOf(principal: PrincipalConfig): readonly string[];
  /** Whether the account has any limit. */
  isBounded(account: string): boolean;
  stamp(): PeriodStamp;
  /** The part of a limit that this gateway began with; undefined: there is no such limit. */
  part(limit: LimitName): number | undefined;
  /** What is left of a limit; `unspent` counts what is only reserved. */
  rest(limit: LimitName): { readonly free: number; readonly unspent: number };
  give(limit: LimitName, to: string, amount: number, stamp: PeriodStamp): number;
  /** A sum that another gateway told, or that was remembered; gives what is new in it. */
  transferred(
    limit: LimitName,
    way: 'given' | 'taken',
    holder: string,
    sum: number,
    stamp: PeriodStamp,
  ): number;
  /** Asked when this gateway's part is not enough; gives whether there may be more later. */
  beforeRefusal(borrow: (line: BudgetLine, amount: number) => Promise<boolean>): void;
}

/** Opens the books. */
export function createAccounts(config: GatewayConfig): Accounts {
  const limitsOf = (account: string, budget: BudgetConfig): BudgetLimit[] =>
    shareOf(account, budget, config.gateways);
  const limits = [
    ...config.principals.flatMap(({ name, budget }) => limitsOf(`principal:${name}`, budget)),
    ...config.groups.flatMap(({ name, budget }) => limitsOf(`group:${name}`, budget ?? {})),
    ...limitsOf(everybody, config.budget),
  ];
  const ledger = createLedger(limits);
  const parts = new Map(limits.map((limit) => [nameOf(limit), limit.max]));
  let borrow: ((line: BudgetLine, amount: number) => Promise<boolean>) | undefined;
  const settledListeners: ((account: string, amounts: Amounts, stamp: PeriodStamp) => void)[] = [];
  let waiters: (() => void)[] = [];
  const names = new Map<string, readonly string[]>();

  function accountsOf({ name, group }: PrincipalConfig): readonly string[] {
    let known = names.get(name);
    if (known === undefined) {
      known = [`principal:${name}`, ...(group === undefined ? [] : [`group:${group}`]), everybody];
      names.set(name, known);
    }
    return known;
  }

  function stamp(): PeriodStamp {
    const now = new Date();
    const minute = Math.floor(now.getTime() / 60_000);
    return {
      minute,
      day: Math.floor(minute / 1440),
      month: now.getUTCFullYear() * 12 + now.getUTCMonth(),
      total: 0,
    };
  }

  /** Largest output that the budgets leave, in tokens. `free`: now; `unspent`: once all that is reserved came back. */
  function room(
    accounts: readonly string[],
    forecast: Forecast,
    at: PeriodStamp,
  ): { free: number; unspent: number } {
    const tokens = ledger.left(accounts, 'tokens', at);
    const usd = ledger.left(accounts, 'usd', at);
    const { price, inputTokens } = forecast;
    const affordable = (nano: number): number => {
      if (nano === Infinity || price === undefined) return Infinity;
      const rest = nano - costOf(price, usageOf(inputTokens, 0));
      return rest < 0
        ? -1
        : price.output === 0
          ? Infinity
          : Math.floor((rest * 1e6) / (price.output * nanoPerUsd));
    };
    return {
      free: Math.min(tokens.free - inputTokens, affordable(usd.free)),
      unspent: Math.min(tokens.unspent - inputTokens, affordable(usd.unspent)),
    };
  }

  function tryHold(
    ask: Ask,
    forecast: Forecast,
    accounts: readonly string[],
  ): Hold | BudgetLine | 'wait' {
    const at = stamp();
    const { free, unspent } = room(accounts, forecast, at);
    const stated = ask.kind === 'embeddings' ? 0 : statedOutput(ask.body);
    const wanted =
      stated ??
      Math.max(
        1,
        Math.min(free, Math.max(forecast.outputTokens, Math.min(outputMax, free * freeShare))),
      );
    const output = Math.floor(Math.min(wanted, stated ?? outputMax));
    const amounts = amountsOf(usageOf(forecast.inputTokens, output), forecast.price);
    const result = ledger.reserve(accounts, amounts, at);
    if (!isRefusal(result)) {
      return { reservation: result, outputTokens: free === Infinity ? undefined : output };
    }
    // Some of it may come back: what is reserved is more than what is used.
    const least = stated ?? 1;
    const mayComeBack = result.unit === 'requests' ? false : unspent >= least;
    return mayComeBack ? 'wait' : result;
  }

  function lineOf(limit: LimitName): BudgetLine | undefined {
    const { account, unit, period } = limit;
    return ledger
      .lines(account, stamp())
      .find((line) => line.unit === unit && line.period === period);
  }

  /** Asks others for what this gateway's part lacks for a whole answer. Gives whether waiting may help. */
  async function fetchMissing(
    ask: Ask,
    forecast: Forecast,
    accounts: readonly string[],
  ): Promise<boolean> {
    const stated = ask.kind === 'embeddings' ? 0 : statedOutput(ask.body);
    const likely = usageOf(forecast.inputTokens, stated ?? forecast.outputTokens);
    const wanted = amountsOf(likely, forecast.price);
    const lacking = accounts
      .flatMap((account) => ledger.lines(account, stamp()))
      .map((line) => ({ line, lack: wanted[line.unit] - (line.max - line.spent - line.reserved) }))
      .filter(({ lack }) => lack > 0);
    const told = await Promise.all(
      lacking.map(({ line, lack }) => borrow?.(line, lack) ?? Promise.resolve(false)),
    );
    return told.length > 0 && told.every(Boolean);
  }

  return {
    accountsOf,
    stamp,
    part: (limit) => parts.get(nameOf(limit)),
    rest(limit) {
      const line = lineOf(limit);
      const unspent = line === undefined ? 0 : line.max - line.spent;
      return { unspent, free: unspent - (line?.reserved ?? 0) };
    },
    give: (limit, to, amount, at) => ledger.give(limit, to, amount, at),
    transferred(limit, way, holder, sum, at) {
      const before = lineOf(limit)?.max ?? 0;
      ledger.transferred(limit, way, holder, sum, at);
      return Math.abs((lineOf(limit)?.max ?? 0) - before);
    },
    beforeRefusal(next) {
      borrow = next;
    },
    async hold(ask, forecast, halt) {
      const accounts = accountsOf(ask.principal);
      if (forecast.price === undefined && ledger.left(accounts, 'usd', stamp()).free < Infinity) {
        throw new LlmFailure(
          'budget',
          `The price of this model is unknown, and '${ask.principal.name}' has a budget in money. Give its price under prices: in the gateway's configuration.`,
          { code: 'price_unknown' },
        );
      }
      const until = performance.now() + Math.min(settleWaitMs, ask.ttlMs);
      for (;;) {
        const mayBeMore = borrow !== undefined && (await fetchMissing(ask, forecast, accounts));
        halt.throwIfCalled();
        const held = tryHold(ask, forecast, accounts);
        if (held !== 'wait' && !isLine(held)) return held;
        const leftMs = until - performance.now();
        if ((held === 'wait' || mayBeMore) && leftMs > 0)
          await settled(mayBeMore ? Math.min(leftMs, againMs) : leftMs, halt);
        else throw exhausted(held === 'wait' ? undefined : held, ask.principal);
      }
    },
    settle({ reservation }, usage, price) {
      const amounts = amountsOf(usage, price);
      ledger.settle(reservation, amounts);
      for (const account of reservation.accounts) {
        for (const listener of settledListeners) listener(account, amounts, reservation.stamp);
      }
      const waking = waiters;
      waiters = [];
      for (const wake of waking) wake();
    },
    isBounded: (account) => ledger.lines(account, stamp()).length > 0,
    onSettled: (listener) => void settledListeners.push(listener),
    lines: (principal) =>
      accountsOf(principal).flatMap((account) => ledger.lines(account, stamp())),
    restore: (account, amounts, at) => ledger.book(account, amounts, at),
  };

  function settled(ms: number, halt: Halt): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(wake, ms);
      function wake(): void {
        clearTimeout(timer);
        halt.off(stop);
        resolve();
      }
      function stop(): void {
        clearTimeout(timer);
        reject(halt.reason);
      }
      halt.onCall(stop);
      waiters.push(wake);
    });
  }
}

function nameOf({ account, unit, period }: LimitName): string {
  return JSON.stringify([account, unit, period]);
}

function isLine(value: Hold | BudgetLine): value is BudgetLine {
  return 'max' in value;
}

/** The part of a budget that this gateway begins with. What it holds in escrow nobody else can spend: partitions change nothing. */
function shareOf(account: string, budget: BudgetConfig, gateways: number): BudgetLimit[] {
  return (['tokens', 'usd', 'requests'] as const).flatMap((unit) =>
    (['minute', 'day', 'month', 'total'] as const).flatMap((period) => {
      const max = budget[unit]?.[period];
      return max === undefined
        ? []
        : [
            {
              account,
              unit,
              period,
              max: Math.floor((unit === 'usd' ? Math.round(max * nanoPerUsd) : max) / gateways),
            },
          ];
    }),
  );
}

function usageOf(inputTokens: number, outputTokens: number): Usage {
  return { inputTokens, outputTokens, cachedTokens: 0, reasoningTokens: 0 };
}

function amountsOf(usage: Usage, price: Price | undefined): Amounts {
  return {
    tokens: usage.inputTokens + usage.outputTokens,
    usd: price === undefined ? 0 : costOf(price, usage),
    requests: 1,
  };
}

function exhausted(line: BudgetLine | undefined, principal: PrincipalConfig): LlmFailure {
  if (line === undefined) {
    return new LlmFailure(
      'budget',
      `What is left of the budget of '${principal.name}' is held by answers under way. Ask for fewer tokens (max_tokens), or ask later.`,
    );
  }
  const inUnits = (amount: number): string =>
    line.unit === 'usd' ? `${dollars(amount)} USD` : `${amount} ${line.unit}`;
  const whose = line.account
    .replace(/^(\w+):(.*)$/, "$1 '$2'")
    .replace(/^mesh$/, 'everybody together');
  const span = line.period === 'total' ? 'in all' : `a ${line.period}`;
  const left = Math.max(0, line.max - line.spent);
  const ways = [
    ...(line.unit === 'requests' ? [] : ['ask for less (max_tokens)']),
    ...(line.period === 'total' ? [] : [`wait for the next ${line.period}`]),
    "raise the budget in the gateway's configuration",
  ].join(', or ');
  return new LlmFailure(
    'budget',
    `The budget of ${whose} does not allow this request: ${inUnits(line.max)} ${span}, ${inUnits(line.spent)} spent, ${inUnits(left)} left. You can ${ways}.`,
  );
}

/** Exact to the nano-dollar, without zeros that say nothing. */
function dollars(nano: number): string {
  return (nano / nanoPerUsd).toFixed(9).replace(/\.?0+$/, '');
}
