/** The door for those who build gateways: rates, breakers, queues and budgets as pure parts. */

export { createBreaker } from './protocol/flow/circuit-breaker.ts';
export type { Breaker, BreakerConfig, BreakerState } from './protocol/flow/circuit-breaker.ts';
export { createFairQueue } from './protocol/flow/fair-queue.ts';
export type {
  FairQueue,
  FairQueueConfig,
  FairQueueEffect,
  FairQueueInput,
  QueueClass,
} from './protocol/flow/fair-queue.ts';
export { createLedger, isRefusal, nanoPerUsd } from './protocol/flow/budget.ts';
export type {
  Amounts,
  BudgetLimit,
  BudgetLine,
  BudgetPeriod,
  BudgetUnit,
  Ledger,
  LimitName,
  PeriodStamp,
  Reservation,
} from './protocol/flow/budget.ts';
export { createTokenBucket } from './protocol/flow/token-bucket.ts';
export type { TokenBucket, TokenBucketConfig } from './protocol/flow/token-bucket.ts';
