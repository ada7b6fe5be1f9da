/**
 * A node that bids for tasks and runs what it is awarded: it starts only when told to start, renews its lease at a third
 * of it, stops by its own clock when the lease is over, and reports until it is heard.
 */

import type { Core, Millis } from '../../kernel/core.ts';
import { unreachable } from '../../kernel/invariant.ts';
import type { TaskSpec } from './ledger.ts';

/** Renewals of one lease that may be answered at once. */
export const renewalsMax = 16;

/** How a node takes part. */
export interface ContractorConfig<Body> {
  /** Tasks it accepted and has not finished at once. @default 16 */
  readonly slots?: number;
  /** Time between two sendings of the same word that got no answer, in ms. @default 300 */
  readonly repeatMs?: Millis;
  /** Sendings of an acceptance before it is given up. @default 5 */
  readonly acceptsMax?: number;
  /** Calls remembered while their award may come. @default 256 */
  readonly callsMax?: number;
  /** Sendings of a report before it is given up. @default 60 */
  readonly reportsMax?: number;
  /** What this task would cost now; undefined: it cannot or will not. */
  quote(spec: TaskSpec<Body>, load: number): number | undefined;
}

/** Facts for a contractor. */
export type ContractorInput<Body> =
  | { readonly type: 'tick' }
  | {
      readonly type: 'called';
      readonly from: string;
      readonly epoch: number;
      readonly spec: TaskSpec<Body>;
    }
  | {
      readonly type: 'awarded' | 'revoked' | 'acknowledged';
      readonly from: string;
      readonly task: string;
      readonly epoch: number;
    }
  | {
      readonly type: 'started';
      readonly from: string;
      readonly task: string;
      readonly epoch: number;
      readonly leaseMs: Millis;
    }
  | {
      readonly type: 'renewal';
      readonly task: string;
      readonly epoch: number;
      readonly turn: number;
      readonly isHeld: boolean;
    }
  /** Another node answers for the task now. */
  | { readonly type: 'moved'; readonly task: string; readonly to: string }
  /** The work here has ended. */
  | {
      readonly type: 'completed';
      readonly task: string;
      readonly epoch: number;
      readonly outcome: 'done' | 'failed';
      readonly result: unknown;
    };

/** Orders of a contractor. */
export type ContractorEffect<Body> =
  | {
      readonly type: 'bid';
      readonly to: string;
      readonly task: string;
      readonly epoch: number;
      readonly cost: number;
    }
  | {
      readonly type: 'decline' | 'accept';
      readonly to: string;
      readonly task: string;
      readonly epoch: number;
    }
  | {
      readonly type: 'renew';
      readonly to: string;
      readonly task: string;
      readonly epoch: number;
      /** Counts the renewals of one lease: an answer to an earlier one must not prolong it from the later. */
      readonly turn: number;
    }
  | { readonly type: 'run'; readonly spec: TaskSpec<Body>; readonly epoch: number }
  | {
      readonly type: 'stop';
      readonly task: string;
      readonly epoch: number;
      readonly reason: 'lease' | 'revoked';
    }
  | {
      readonly type: 'report';
      readonly to: string;
      readonly task: string;
      readonly epoch: number;
      readonly outcome: 'done' | 'failed';
      readonly result: unknown;
    };

/** What a contractor is at. */
export interface ContractorView {
  readonly jobs: readonly {
    readonly task: string;
    readonly epoch: number;
    readonly phase: 'accepting' | 'running' | 'reporting';
  }[];
}

interface Job<Body> {
  readonly spec: TaskSpec<Body>;
  readonly epoch: number;
  auctioneer: string;
  phase: 'accepting' | 'running' | 'reporting';
  leaseMs: Millis;
  /** The lease counts from when its renewal was asked for: it ends here before it ends in the ledger. */
  askedAt: Millis;
  turn: number;
  /** Renewals that are not answered yet, and when they were asked for. */
  readonly asked: Map<number, Millis>;
  leaseUntil: Millis;
  nextAt: Millis;
  sends: number;
  outcome: 'done' | 'failed';
  result: unknown;
}

/** Builds a contractor without jobs. */
export function createContractor<Body = unknown>(
  config: ContractorConfig<Body>,
): Core<ContractorInput<Body>, ContractorEffect<Body>, ContractorView> {
  const slots = Math.max(1, config.slots ?? 16);
  const repeatMs = Math.max(1, config.repeatMs ?? 300);
  const acceptsMax = Math.max(1, config.acceptsMax ?? 5);
  const reportsMax = Math.max(1, config.reportsMax ?? 60);
  const callsMax = Math.max(1, config.callsMax ?? 256);
  const calls = new Map<string, { spec: TaskSpec<Body>; epoch: number }>();
  const jobs = new Map<string, Job<Body>>();

  type Effects = ContractorEffect<Body>[];
  const load = (): number => [...jobs.values()].filter(({ phase }) => phase !== 'reporting').length;

  function hearCall(from: string, epoch: number, spec: TaskSpec<Body>): Effects {
    const task = spec.id;
    const job = jobs.get(task);
    const isAtIt = job !== undefined && job.phase !== 'reporting';
    const cost = isAtIt || load() >= slots ? undefined : config.quote(spec, load());
    if (cost === undefined || !Number.isFinite(cost))
      return [{ type: 'decline', to: from, task, epoch }];
    calls.delete(task);
    calls.set(task, { spec, epoch });
    if (calls.size > callsMax) calls.delete(calls.keys().next().value as string);
    return [{ type: 'bid', to: from, task, epoch, cost }];
  }

  function hearAward(now: Millis, from: string, task: string, epoch: number): Effects {
    const job = jobs.get(task);
    if (job !== undefined && job.epoch >= epoch) {
      return job.epoch === epoch && job.phase === 'accepting' ? [accept(now, job)] : [];
    }
    const call = calls.get(task);
    if (call === undefined || call.epoch !== epoch || load() >= slots) {
      return [{ type: 'decline', to: from, task, epoch }];
    }
    calls.delete(task);
    const stopped: Effects =
      job?.phase === 'running' ? [{ type: 'stop', task, epoch: job.epoch, reason: 'revoked' }] : [];
    const next: Job<Body> = {
      spec: call.spec,
      epoch,
      auctioneer: from,
      phase: 'accepting',
      leaseMs: 0,
      askedAt: now,
      turn: 0,
      asked: new Map(),
      leaseUntil: Infinity,
      nextAt: now,
      sends: 0,
      outcome: 'done',
      result: undefined,
    };
    jobs.set(task, next);
    return [...stopped, accept(now, next)];
  }

  function accept(now: Millis, job: Job<Body>): ContractorEffect<Body> {
    job.sends += 1;
    job.nextAt = now + repeatMs;
    // The first acceptance counts: any later start may answer that one.
    if (job.sends === 1) job.askedAt = now;
    return { type: 'accept', to: job.auctioneer, task: job.spec.id, epoch: job.epoch };
  }

  function hearStart(now: Millis, task: string, epoch: number, leaseMs: Millis): Effects {
    const job = jobs.get(task);
    if (job?.epoch !== epoch || job.phase !== 'accepting') return [];
    if (!(leaseMs > 0)) return [];
    const until = job.askedAt + leaseMs;
    if (now >= until) {
      jobs.delete(task);
      return [];
    }
    job.phase = 'running';
    job.leaseMs = leaseMs;
    job.leaseUntil = until;
    job.nextAt = Math.max(now + 1, job.askedAt + leaseMs / 3);
    return [{ type: 'run', spec: job.spec, epoch }];
  }

  function hearRenewal(
    now: Millis,
    task: string,
    epoch: number,
    turn: number,
    isHeld: boolean,
  ): Effects {
    const job = jobs.get(task);
    if (job?.epoch !== epoch || job.phase !== 'running') return [];
    if (!isHeld) return stop(job, 'revoked');
    const askedAt = job.asked.get(turn);
    if (askedAt === undefined) return [];
    job.leaseUntil = Math.max(job.leaseUntil, askedAt + job.leaseMs);
    job.nextAt = Math.max(now + 1, askedAt + job.leaseMs / 3);
    job.asked.clear();
    return [];
  }

  function stop(job: Job<Body>, reason: 'lease' | 'revoked'): Effects {
    jobs.delete(job.spec.id);
    const isRunning = job.phase === 'running';
    return isRunning ? [{ type: 'stop', task: job.spec.id, epoch: job.epoch, reason }] : [];
  }

  function finish(
    now: Millis,
    task: string,
    epoch: number,
    outcome: 'done' | 'failed',
    result: unknown,
  ): Effects {
    const job = jobs.get(task);
    if (job?.epoch !== epoch || job.phase !== 'running') return [];
    Object.assign(job, { phase: 'reporting', outcome, result, sends: 0 });
    return [report(now, job)];
  }

  function report(now: Millis, job: Job<Body>): ContractorEffect<Body> {
    job.sends += 1;
    job.nextAt = now + repeatMs;
    const { spec, epoch, outcome, result, auctioneer } = job;
    return { type: 'report', to: auctioneer, task: spec.id, epoch, outcome, result };
  }

  function elapse(now: Millis): Effects {
    const effects: Effects = [];
    for (const job of jobs.values()) {
      const task = job.spec.id;
      if (job.phase === 'running' && job.leaseUntil <= now) {
        effects.push(...stop(job, 'lease'));
      } else if (job.nextAt <= now) {
        if (job.phase === 'running') {
          // Unanswered, it is asked again soon; a lease counts from the asking that was answered.
          job.turn += 1;
          job.asked.set(job.turn, now);
          if (job.asked.size > renewalsMax)
            job.asked.delete(job.asked.keys().next().value as number);
          job.nextAt = now + Math.max(1, Math.min(repeatMs, job.leaseMs / 3));
          const { auctioneer, epoch, turn } = job;
          effects.push({ type: 'renew', to: auctioneer, task, epoch, turn });
        } else if (job.sends >= (job.phase === 'accepting' ? acceptsMax : reportsMax)) {
          jobs.delete(task);
        } else effects.push(job.phase === 'accepting' ? accept(now, job) : report(now, job));
      }
    }
    return effects;
  }

  function take(now: Millis, input: ContractorInput<Body>): Effects {
    switch (input.type) {
      case 'tick':
        return [];
      case 'called':
        return hearCall(input.from, input.epoch, input.spec);
      case 'awarded':
        return hearAward(now, input.from, input.task, input.epoch);
      case 'started':
        return hearStart(now, input.task, input.epoch, input.leaseMs);
      case 'renewal':
        return hearRenewal(now, input.task, input.epoch, input.turn, input.isHeld);
      case 'revoked': {
        const job = jobs.get(input.task);
        return job !== undefined && job.epoch <= input.epoch ? stop(job, 'revoked') : [];
      }
      case 'acknowledged': {
        const job = jobs.get(input.task);
        if (job?.phase === 'reporting' && job.epoch === input.epoch) jobs.delete(input.task);
        return [];
      }
      case 'moved': {
        const job = jobs.get(input.task);
        if (job !== undefined) job.auctioneer = input.to;
        return [];
      }
      case 'completed':
        return finish(now, input.task, input.epoch, input.outcome, input.result);
      default:
        return unreachable(input);
    }
  }

  return {
    // The work's own end comes before the clock: what it did is done, and the sink judges it.
    step(now, input) {
      if (input.type !== 'completed') return [...elapse(now), ...take(now, input)];
      const ended = take(now, input);
      return [...ended, ...elapse(now)];
    },
    deadline() {
      let soonest = Infinity;
      for (const job of jobs.values()) {
        soonest = Math.min(
          soonest,
          job.nextAt,
          job.phase === 'running' ? job.leaseUntil : Infinity,
        );
      }
      return soonest;
    },
    view: () => ({
      jobs: [...jobs.values()].map(({ spec, epoch, phase }) => ({ task: spec.id, epoch, phase })),
    }),
  };
}
