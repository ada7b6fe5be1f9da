/**
 * Budgets that are never overspent by those who ask at once: the most an answer may cost is reserved before it is
 * asked for, and what it did cost is settled afterwards. Amounts are whole numbers, so that sums are exact.
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

/** What stands against one limit. */
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
    const fresh = { stamp: stamp[period], spent: 0, reserved: 0 };
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

  return {
    reserve(accounts, wanted, stamp) {
      const amounts = cleaned(wanted);
      let refusal: BudgetLine | undefined;
      each(accounts, stamp, (limit, { spent, reserved }) => {
        if (spent + reserved + amounts[limit.unit] > limit.max) {
          refusal ??= { ...limit, spent, reserved };
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
      each([account], stamp, (limit, { spent, reserved }) =>
        lines.push({ ...limit, spent, reserved }),
      );
      return lines;
    },
    left(accounts, unit, stamp) {
      let free = Infinity;
      let unspent = Infinity;
      each(accounts, stamp, (limit, { spent, reserved }) => {
        if (limit.unit !== unit) return;
        free = Math.min(free, limit.max - spent - reserved);
        unspent = Math.min(unspent, limit.max - spent);
      });
      return { free, unspent };
    },
  };
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
