/**
 * Budgets that are never overspent by those who ask at once: the most an answer may cost is reserved before it is
 * asked for, and what it did cost is settled afterwards. Amounts are whole numbers, so that sums are exact. Of a budget
 * that several hold in parts, a part may be given away: only its holder gives, and says the sum of all it ever gave to
 * one receiver, so that lost and repeated words change nothing (Balegas et al., "Extending eventually consistent cloud
 * databases for enforcing numeric invariants", 2015).
 */

import { BoundedMap } from '../../kernel/bounded-map.ts';

/** What is counted. Money is in nano-dollars. */
export const budgetUnits = ['tokens', 'usd', 'requests'] as const;
export type BudgetUnit = (typeof budgetUnits)[number];

/** Over which time. */
export const budgetPeriods = ['minute', 'day', 'month', 'total'] as const;
export type BudgetPeriod = (typeof budgetPeriods)[number];

/** Nano-dollars in a dollar. */
export const nanoPerUsd = 1_000_000_000;

/** Limits with something against them; beyond, the one longest untouched is forgotten. */
export const ledgerPagesMax = 65_536;

/** Holders of one budget that rights are exchanged with; what others offer is not taken. */
export const holdersMax = 64;

/** A bound on one unit over one period. */
export interface BudgetLimit {
  /** Whose: a principal, a group, the mesh. */
  readonly account: string;
  readonly unit: BudgetUnit;
  readonly period: BudgetPeriod;
  readonly max: number;
}

/** The number of the running minute, day and month; a new number is a new budget. */
export type PeriodStamp = Readonly<Record<BudgetPeriod, number>>;

/** How much of each unit. */
export type Amounts = Readonly<Record<BudgetUnit, number>>;

/** A promise to settle. */
export interface Reservation {
  readonly accounts: readonly string[];
  readonly amounts: Amounts;
  readonly stamp: PeriodStamp;
  isSettled: boolean;
}

/** Which limit. */
export type LimitName = Pick<BudgetLimit, 'account' | 'unit' | 'period'>;

/** What stands against one limit. Its `max` counts what was given away and what was got. */
export interface BudgetLine extends BudgetLimit {
  readonly spent: number;
  readonly reserved: number;
}

/** The books. */
export interface Ledger {
  /** Sets aside the amounts in every account, or in none: then it gives the limit that does not allow it. */
  reserve(
    accounts: readonly string[],
    amounts: Amounts,
    stamp: PeriodStamp,
  ): Reservation | BudgetLine;
  /** Books what it did cost and gives the rest back. Once; a second time changes nothing. */
  settle(reservation: Reservation, amounts: Amounts): void;
  /** Books what was spent elsewhere or before a restart. */
  book(account: string, amounts: Amounts, stamp: PeriodStamp): void;
  /**
   * Gives up to so much of what is neither spent nor reserved to another holder. Gives the sum of all that it was ever
   * given in this period: that is what it must be told.
   */
  give(limit: LimitName, to: string, amount: number, stamp: PeriodStamp): number;
  /** Another holder says what it gave in all, to this one or (as remembered) this one to it. Smaller sums are old words. */
  transferred(
    limit: LimitName,
    way: 'given' | 'taken',
    holder: string,
    sum: number,
    stamp: PeriodStamp,
  ): void;
  /** Every limit of an account with what stands against it. */
  lines(account: string, stamp: PeriodStamp): readonly BudgetLine[];
  /**
   * What is left of a unit in the tightest of the accounts; Infinity when nothing bounds it.
   * `unspent` counts what is only reserved as left: it may come back.
   */
  left(
    accounts: readonly string[],
    unit: BudgetUnit,
    stamp: PeriodStamp,
  ): { readonly free: number; readonly unspent: number };
}

interface Page {
  stamp: number;
  spent: number;
  reserved: number;
  /** Sums of what was given to and taken from other holders. */
  readonly given: Map<string, number>;
  readonly taken: Map<string, number>;
}

/** Whether a `reserve` was refused. */
export function isRefusal(result: Reservation | BudgetLine): result is BudgetLine {
  return 'max' in result;
}

/** Opens empty books for these limits; the same account, unit and period twice: the lower one holds. */
export function createLedger(limits: readonly BudgetLimit[]): Ledger {
  const byAccount = new Map<string, BudgetLimit[]>();
  for (const limit of limits) {
    byAccount.set(limit.account, [...(byAccount.get(limit.account) ?? []), limit]);
  }
  const pages = new BoundedMap<string, Page>(ledgerPagesMax);

  function pageOf({ account, unit, period }: BudgetLimit, stamp: PeriodStamp): Page {
    const key = `${unit}/${period}/${account}`;
    const page = pages.get(key);
    if (page !== undefined && page.stamp >= stamp[period]) return page;
    const fresh: Page = {
      stamp: stamp[period],
      spent: 0,
      reserved: 0,
      given: new Map(),
      taken: new Map(),
    };
    pages.set(key, fresh);
    return fresh;
  }

  function each(
    accounts: readonly string[],
    stamp: PeriodStamp,
    visit: (limit: BudgetLimit, page: Page) => void,
  ): void {
    for (const account of accounts) {
      for (const limit of byAccount.get(account) ?? []) visit(limit, pageOf(limit, stamp));
    }
  }

  function find({ account, unit, period }: LimitName): BudgetLimit | undefined {
    return byAccount.get(account)?.find((limit) => limit.unit === unit && limit.period === period);
  }

  return {
    give(name, to, amount, stamp) {
      const limit = find(name);
      if (limit === undefined) return 0;
      const page = pageOf(limit, stamp);
      const before = page.given.get(to) ?? 0;
      const isKnown = page.given.has(to) || page.given.size < holdersMax;
      if (page.stamp !== stamp[limit.period] || !isKnown) return before;
      const free = rightsOf(limit, page) - page.spent - page.reserved;
      const sum = before + Math.max(0, Math.min(Math.floor(amount) || 0, free));
      page.given.set(to, sum);
      return sum;
    },
    transferred(name, way, holder, sum, stamp) {
      const limit = find(name);
      if (limit === undefined || !Number.isSafeInteger(sum)) return;
      const page = pageOf(limit, stamp);
      const sums = page[way];
      if (page.stamp !== stamp[limit.period]) return;
      if (!sums.has(holder) && sums.size >= holdersMax) return;
      sums.set(holder, Math.max(sums.get(holder) ?? 0, sum));
    },
    reserve(accounts, wanted, stamp) {
      const amounts = cleaned(wanted);
      let refusal: BudgetLine | undefined;
      each(accounts, stamp, (limit, page) => {
        const { spent, reserved } = page;
        const max = rightsOf(limit, page);
        if (spent + reserved + amounts[limit.unit] > max) {
          refusal ??= { ...limit, max, spent, reserved };
        }
      });
      if (refusal !== undefined) return refusal;
      each(accounts, stamp, ({ unit }, page) => {
        page.reserved += amounts[unit];
      });
      return { accounts, amounts, stamp, isSettled: false };
    },
    settle(reservation, actual) {
      if (reservation.isSettled) return;
      reservation.isSettled = true;
      const { accounts, amounts, stamp } = reservation;
      const costs = cleaned(actual);
      each(accounts, stamp, ({ unit, period }, page) => {
        // The period of the reservation may be over: what it held is gone with it, what it cost is not carried over.
        if (page.stamp !== stamp[period]) return;
        page.reserved = Math.max(0, page.reserved - amounts[unit]);
        page.spent += costs[unit];
      });
    },
    book(account, amounts, stamp) {
      const costs = cleaned(amounts);
      each([account], stamp, ({ unit, period }, page) => {
        if (page.stamp === stamp[period]) page.spent += costs[unit];
      });
    },
    lines(account, stamp) {
      const lines: BudgetLine[] = [];
      each([account], stamp, (limit, page) => {
        const { spent, reserved } = page;
        lines.push({ ...limit, max: rightsOf(limit, page), spent, reserved });
      });
      return lines;
    },
    left(accounts, unit, stamp) {
      let free = Infinity;
      let unspent = Infinity;
      each(accounts, stamp, (limit, page) => {
        if (limit.unit !== unit) return;
        const rest = rightsOf(limit, page) - page.spent;
        free = Math.min(free, rest - page.reserved);
        unspent = Math.min(unspent, rest);
      });
      return { free, unspent };
    },
  };
}

/** What may be spent in all: the part, less what was given away, and what was got. */
function rightsOf({ max }: BudgetLimit, { given, taken }: Page): number {
  let rights = max;
  for (const sum of given.values()) rights -= sum;
  for (const sum of taken.values()) rights += sum;
  return rights;
}

/** Whole, finite and not negative, rounded up: a fraction of a nano-dollar is somebody's. */
function cleaned(amounts: Amounts): Amounts {
  const clean = (value: number): number =>
    value > 0 ? Math.min(Math.ceil(value), Number.MAX_SAFE_INTEGER) : 0;
  return {
    tokens: clean(amounts.tokens),
    usd: clean(amounts.usd),
    requests: clean(amounts.requests),
  };
}
