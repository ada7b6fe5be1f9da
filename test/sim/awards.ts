/** Tasks awarded on a faulty network, in virtual time: how often an effect happens twice, and whether any is lost. */

import type { Core, Millis } from '../../src/kernel/core.ts';
import { createRandom } from '../../src/kernel/random.ts';
import { createAuctioneer } from '../../src/protocol/agreement/auctioneer.ts';
import type {
  AuctioneerEffect,
  AuctioneerInput,
} from '../../src/protocol/agreement/auctioneer-words.ts';
import { createContractor } from '../../src/protocol/agreement/contractor.ts';
import type { ContractorEffect, ContractorInput } from '../../src/protocol/agreement/contractor.ts';
import { createFence } from '../../src/protocol/agreement/fence.ts';
import type { LedgerRecord } from '../../src/protocol/agreement/ledger.ts';
import { EventHeap } from './event-heap.ts';
import { createNaiveAuctioneer } from './naive-awards.ts';

/** The rows of the table: two without a ledger, the ledger alone, and the ledger with a fence at the sink. */
export type AwardPolicy = 'naive' | 'acknowledged' | 'leased' | 'fenced';

/** What goes wrong, as probabilities: per message, per run, per task, per run. */
export interface AwardFaults {
  readonly loss: number;
  readonly bidderCrash: number;
  readonly auctioneerCrash: number;
  readonly longPause: number;
}

/** None at all. */
export const noAwardFaults: AwardFaults = {
  loss: 0,
  bidderCrash: 0,
  auctioneerCrash: 0,
  longPause: 0,
};

/** A tenth of everything. */
export const heavyAwardFaults: AwardFaults = {
  loss: 0.1,
  bidderCrash: 0.1,
  auctioneerCrash: 0.05,
  longPause: 0.1,
};

/** What came of it. */
export interface AwardReport {
  readonly tasks: number;
  /** Tasks whose effect happened more than once. */
  readonly duplicated: number;
  /** Tasks whose effect never happened, or that did not end as done. */
  readonly lost: number;
  readonly startsPerTask: number;
  /** From submission to the first effect, in virtual ms. */
  readonly meanMs: number;
}

const bidderCount = 5;
const leaseMs = 300;
const biddingMs = 50;
const naiveTimeoutMs = 1_200;
const tasksPerWorld = 25;

/** Simulates so many tasks, in worlds of 25 that share five bidders. Same arguments, same report. */
export function simulateAwards(
  policy: AwardPolicy,
  faults: AwardFaults,
  tasks: number,
  seed: number,
): AwardReport {
  const sums = { duplicated: 0, lost: 0, starts: 0, totalMs: 0, tasks: 0 };
  for (let world = 0; world * tasksPerWorld < tasks; world += 1) {
    const count = Math.min(tasksPerWorld, tasks - world * tasksPerWorld);
    runWorld(policy, faults, count, Math.imul(seed, 7919) + world, sums);
  }
  return {
    tasks,
    duplicated: sums.duplicated,
    lost: sums.lost,
    startsPerTask: sums.starts / tasks,
    meanMs: sums.totalMs / Math.max(1, tasks - sums.lost),
  };
}

interface Sums {
  duplicated: number;
  lost: number;
  starts: number;
  totalMs: number;
}

interface Job {
  isStopped: boolean;
}

/** A process: what reaches it while it is paused waits; what reaches it while it is down is gone. */
interface Process<Input, Effect> {
  readonly tick: Input;
  core: Core<Input, Effect, unknown>;
  life: number;
  isDown: boolean;
  pausedUntil: Millis;
  wakeAt: Millis;
  jobs: Map<string, Job>;
}

function runWorld(
  policy: AwardPolicy,
  faults: AwardFaults,
  count: number,
  seed: number,
  sums: Sums,
): void {
  const random = createRandom(seed);
  const heap = new EventHeap();
  const fence = createFence();
  const isNaive = policy === 'naive' || policy === 'acknowledged';
  const ledger = new Map<string, LedgerRecord<string>>();
  const applied = new Map<string, number>();
  const submittedAt = new Map<string, Millis>();
  const exponential = (mean: number): Millis => -mean * Math.log(1 - random.unit());
  const names = Array.from({ length: bidderCount }, (_, at) => `w${at}`);
  let now: Millis = 0;

  const at = (when: Millis, call: () => void): void => heap.push(when, random.unit(), call);

  function newAuctioneer(): Core<AuctioneerInput<string>, AuctioneerEffect<string>, unknown> {
    if (isNaive) {
      const acknowledges = policy === 'acknowledged';
      return createNaiveAuctioneer({ biddingMs, timeoutMs: naiveTimeoutMs, acknowledges });
    }
    const limits = { attemptsMax: 40, emptyAuctionsMax: 200 };
    return createAuctioneer<string>({
      biddingMs,
      acceptMs: 150,
      leaseMs,
      backoffMs: 200,
      ...limits,
    });
  }

  function newContractor(): Core<ContractorInput<string>, ContractorEffect<string>, unknown> {
    return createContractor<string>({
      // The naive contractor says everything once.
      repeatMs: policy === 'naive' ? 1e9 : 50,
      quote: (_, load) => load + random.unit(),
    });
  }

  const process = <Input, Effect>(
    core: Core<Input, Effect, unknown>,
    tick: Input,
  ): Process<Input, Effect> => ({
    tick,
    core,
    life: 0,
    isDown: false,
    pausedUntil: 0,
    wakeAt: Infinity,
    jobs: new Map(),
  });
  const auctioneer = process(newAuctioneer(), { type: 'tick' });
  const workers = new Map(names.map((name) => [name, process(newContractor(), { type: 'tick' })]));

  /** Runs it now, after the pause, or never. */
  function within<Input, Effect>(
    host: Process<Input, Effect>,
    life: number,
    call: () => void,
  ): void {
    if (host.isDown || host.life !== life) return;
    if (host.pausedUntil > now) at(host.pausedUntil, () => within(host, life, call));
    else call();
  }

  function post(call: () => void): void {
    if (random.unit() < faults.loss) return;
    at(now + 1 + exponential(1.5), call);
  }

  function feed<Input, Effect>(
    host: Process<Input, Effect>,
    input: Input,
    run: (effect: Effect) => void,
  ): void {
    for (const effect of host.core.step(now, input)) run(effect);
    const deadline = host.core.deadline();
    if (deadline === Infinity || deadline === host.wakeAt) return;
    host.wakeAt = deadline;
    const { life } = host;
    at(deadline, () =>
      within(host, life, () => {
        if (host.core.deadline() > now) return;
        host.wakeAt = Infinity;
        feed(host, host.tick, run);
      }),
    );
  }

  const feedAuctioneer = (input: AuctioneerInput<string>): void =>
    feed(auctioneer, input, runAuctioneer);

  function feedWorker(name: string, input: ContractorInput<string>): void {
    const host = workers.get(name);
    if (host === undefined) return;
    feed(host, input, (effect: ContractorEffect<string>) => runWorker(name, effect));
  }

  const toWorker = (name: string, input: ContractorInput<string>): void =>
    post(() => {
      const host = workers.get(name);
      if (host !== undefined) within(host, host.life, () => feedWorker(name, input));
    });

  const toAuctioneer = (input: AuctioneerInput<string>): void =>
    post(() => within(auctioneer, auctioneer.life, () => feedAuctioneer(input)));

  function runAuctioneer(effect: AuctioneerEffect<string>): void {
    const from = 'auctioneer';
    if (effect.type === 'record') ledger.set(effect.record.spec.id, effect.record);
    if (effect.type === 'call') {
      toWorker(effect.to, { type: 'called', from, epoch: effect.epoch, spec: effect.spec });
    }
    if (effect.type === 'award') {
      const { task, epoch, to } = effect;
      toWorker(to, { type: 'awarded', from, task, epoch });
    }
    if (effect.type === 'start') {
      const { task, epoch, to } = effect;
      toWorker(to, { type: 'started', from, task, epoch, leaseMs: effect.leaseMs });
    }
    if (effect.type === 'renewal') {
      const { task, epoch, to, turn, isHeld } = effect;
      toWorker(to, { type: 'renewal', task, epoch, turn, isHeld });
    }
    if (effect.type === 'revoke') {
      toWorker(effect.to, { type: 'revoked', from, task: effect.task, epoch: effect.epoch });
    }
    if (effect.type === 'acknowledge') {
      toWorker(effect.to, { type: 'acknowledged', from, task: effect.task, epoch: effect.epoch });
    }
  }

  function runWorker(name: string, effect: ContractorEffect<string>): void {
    const from = name;
    if (effect.type === 'bid') {
      toAuctioneer({
        type: 'bidden',
        from,
        task: effect.task,
        epoch: effect.epoch,
        cost: effect.cost,
      });
    }
    if (effect.type === 'decline') {
      toAuctioneer({ type: 'declined', from, task: effect.task, epoch: effect.epoch });
    }
    if (effect.type === 'accept') {
      const { task, epoch } = effect;
      toAuctioneer({ type: 'accepted', from, task, epoch });
      // Without a ledger the award itself is the start.
      if (isNaive) {
        const start = { type: 'started', from: 'auctioneer', task, epoch, leaseMs: 1e9 } as const;
        at(now, () => feedWorker(name, start));
      }
    }
    if (effect.type === 'renew') {
      const { task, epoch, turn } = effect;
      toAuctioneer({ type: 'renewed', from, task, epoch, turn });
    }
    if (effect.type === 'report') {
      const { task, epoch, outcome, result } = effect;
      toAuctioneer({ type: 'finished', from, task, epoch, outcome, result });
    }
    if (effect.type === 'run') work(name, effect.spec.id, effect.epoch);
    if (effect.type === 'stop') {
      const job = workers.get(name)?.jobs.get(`${effect.task} ${effect.epoch}`);
      if (job !== undefined) job.isStopped = true;
    }
  }

  function work(name: string, task: string, epoch: number): void {
    const host = workers.get(name);
    if (host === undefined) return;
    sums.starts += 1;
    const job: Job = { isStopped: false };
    host.jobs.set(`${task} ${epoch}`, job);
    const lastsMs = 100 + exponential(300);
    const { life } = host;
    if (random.unit() < faults.bidderCrash)
      at(now + random.unit() * lastsMs, () => crash(name, life));
    if (random.unit() < faults.longPause) {
      at(now + random.unit() * lastsMs, () => {
        host.pausedUntil = Math.max(host.pausedUntil, now + 300 + exponential(500));
      });
    }
    at(now + lastsMs, () =>
      within(host, life, () => {
        if (job.isStopped) return;
        const verdict = act(task, epoch);
        const outcome = verdict === 'stale' ? 'failed' : 'done';
        feedWorker(name, { type: 'completed', task, epoch, outcome, result: verdict });
      }),
    );
  }

  /** The sink: what a device or an outbox would do. */
  function act(task: string, epoch: number): string {
    const verdict = policy === 'fenced' ? fence.finish(task, epoch) : 'accepted';
    if (verdict !== 'accepted') return verdict;
    const times = (applied.get(task) ?? 0) + 1;
    applied.set(task, times);
    if (times === 1) sums.totalMs += now - (submittedAt.get(task) ?? 0);
    return verdict;
  }

  function crash(name: string, life: number): void {
    const host = workers.get(name);
    if (host === undefined || host.life !== life || host.isDown) return;
    host.isDown = true;
    at(now + 500, () => {
      Object.assign(host, process(newContractor(), { type: 'tick' }), { life: life + 1 });
    });
  }

  function crashAuctioneer(): void {
    if (auctioneer.isDown) return;
    auctioneer.isDown = true;
    const life = auctioneer.life + 1;
    at(now + 400, () => {
      Object.assign(auctioneer, process(newAuctioneer(), { type: 'tick' }), { life });
      feedAuctioneer({ type: 'bidders', ids: names });
      for (const record of ledger.values()) {
        if (isNaive) {
          // Nothing but the call for bids is on record: whoever takes over calls again.
          if (!naiveDone.has(record.spec.id))
            feedAuctioneer({ type: 'submitted', spec: record.spec });
        } else feedAuctioneer({ type: 'adopted', record });
      }
    });
  }

  const naiveDone = new Set<string>();
  feedAuctioneer({ type: 'bidders', ids: names });
  for (let index = 0; index < count; index += 1) {
    const spec = { id: `t${index}`, effect: 'fenced', body: '' } as const;
    at(index * 120, function submit() {
      if (auctioneer.isDown) return at(now + 50, submit);
      submittedAt.set(spec.id, now);
      const record = { spec, state: 'open', epoch: 0, winner: undefined, attempts: 0 } as const;
      if (isNaive) ledger.set(spec.id, { ...record, result: undefined });
      feedAuctioneer({ type: 'submitted', spec });
      if (random.unit() < faults.auctioneerCrash) at(now + random.unit() * 500, crashAuctioneer);
    });
  }
  for (;;) {
    now = Math.max(now, heap.nextAt());
    const call = heap.pop();
    if (call === undefined) break;
    call();
    if (isNaive) for (const task of applied.keys()) naiveDone.add(task);
  }
  for (let index = 0; index < count; index += 1) {
    const times = applied.get(`t${index}`) ?? 0;
    const isDone = isNaive || ledger.get(`t${index}`)?.state === 'done';
    if (times > 1) sums.duplicated += 1;
    if (times === 0 || !isDone) sums.lost += 1;
  }
}
