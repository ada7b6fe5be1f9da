/** Any node's way to the group: find the leader, ask, ask the next one when it has moved, and never do anything twice. */

import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import type { Command, Outcome } from '../../protocol/consensus/machine-types.ts';
import { decodeReply, encodeAsk, encodeWrite, resultReaders } from '../../wire/consensus-calls.ts';
import type { Awaited, LeaderReply, Query, QueryResults } from '../../wire/consensus-calls.ts';
import type { Group } from './group-types.ts';
import type { Service } from './service.ts';

/** How long a caller waits for a decision when it does not say, in ms. */
export const patienceMsDefault: Millis = 5_000;

/** One attempt at one node, in ms: then the next one is asked. */
const attemptMs: Millis = 1_500;

/** Names under which this node asks; each has as many requests open as the group remembers of a client, less some. */
const namesMax = 4;
const openPerNameMax = 96;

/** How to ask. */
export interface AskOptions {
  /** How long to try, in ms. @default 5_000 */
  readonly deadlineMs?: Millis | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The way to the group. */
export interface GroupClient {
  /** Has a command decided, once. @throws {MycelError} MYCEL_NO_QUORUM, MYCEL_GROUP_FULL, MYCEL_TOO_LARGE */
  submit(command: Command, options?: AskOptions): Promise<Outcome>;
  /** Asks what is decided by now. @throws {MycelError} MYCEL_NO_QUORUM */
  query<Type extends Query['type']>(
    query: Extract<Query, { type: Type }>,
    options?: AskOptions,
  ): Promise<QueryResults[Type]>;
  /** Waits for something. @returns its number, 0 when it cannot come true any more, -1 when the time is over */
  wait(awaited: Awaited, options?: AskOptions): Promise<number>;
}

/** Builds it. */
export function createGroupClient(group: Group, service: Service, random: Random): GroupClient {
  const { clock, mesh, calls } = group.world;
  const base = `${mesh.self}/${mesh.boot()}/${random.below(2 ** 30)}`;
  const names = Array.from({ length: namesMax }, (_, at) => ({
    name: `${base}/${at}`,
    number: 0,
    open: 0,
  }));
  const queue: (() => void)[] = [];
  let nextVoter = 0;

  /** A name with room for one more request: the group remembers a bounded number of each. */
  async function takeName(): Promise<(typeof names)[number]> {
    for (;;) {
      const free = names.reduce((best, one) => (one.open < best.open ? one : best));
      if (free.open < openPerNameMax) return free;
      await new Promise<void>((resolve) => queue.push(resolve));
    }
  }

  async function ask<Result>(
    local: () => Promise<LeaderReply<unknown>>,
    remote: { readonly method: string; readonly body: Uint8Array },
    resultOf: (value: unknown) => Result | undefined,
    options: AskOptions & { readonly attemptMs?: Millis },
  ): Promise<Result> {
    const endsAt = clock.now() + (options.deadlineMs ?? patienceMsDefault);
    let lastProblem = 'Nobody leads the group.';
    for (let attempt = 0; ; attempt += 1) {
      options.signal?.throwIfAborted();
      const leftMs = endsAt - clock.now();
      if (leftMs <= 0) throw noQuorum(lastProblem);
      const at = where(attempt);
      const perAttempt = Math.min(leftMs, options.attemptMs ?? attemptMs);
      const reply = await attemptAt(at, perAttempt).catch((error: unknown) => {
        options.signal?.throwIfAborted();
        const isMoved = error instanceof Error && error.name === 'AbortError';
        if (!isMoved && !(MycelError.is(error) && passing.has(error.code))) throw error;
        lastProblem = `${at?.slice(0, 8) ?? 'The leader'} does not answer.`;
        if (at !== undefined) group.doubt(at);
        return undefined;
      });
      if (reply?.type === 'ok') return reply.result;
      if (reply?.type === 'refused') {
        if (reply.reason !== 'overloaded') throw refusedError(reply.reason);
        lastProblem = 'The leader has more to do than it can.';
      }
      if (reply?.type === 'elsewhere') {
        if (reply.hint !== undefined) group.learn(reply.hint);
        const leader = group.hint()?.leader;
        // A fresh hint to somebody else is followed at once.
        if (leader !== undefined && leader !== at && attempt < 3) continue;
      }
      await pause(Math.min(endsAt - clock.now(), 10 + random.below(20 * Math.min(8, attempt + 1))));
    }

    async function attemptAt(
      at: NodeId | undefined,
      deadlineMs: Millis,
    ): Promise<LeaderReply<Result> | undefined> {
      if (at === undefined) return undefined;
      if (at === mesh.self) {
        const reply = await within(local(), deadlineMs);
        if (reply.type !== 'ok') return reply;
        const result = resultOf(reply.result ?? null);
        return result === undefined ? undefined : { type: 'ok', result };
      }
      const control = new AbortController();
      const forward = (): void => control.abort(options.signal?.reason);
      options.signal?.addEventListener('abort', forward);
      // Somebody else leads now: asking there again is safe, because the group does nothing twice.
      const stop = group.onChange(() => {
        const leader = group.hint()?.leader;
        if (leader !== undefined && leader !== at)
          control.abort(new DOMException('moved', 'AbortError'));
      });
      try {
        const { method, body } = remote;
        const callOptions = { deadlineMs, signal: control.signal };
        return decodeReply(await calls.call(at, method, body, callOptions), resultOf);
      } finally {
        stop();
        options.signal?.removeEventListener('abort', forward);
      }
    }
  }

  /** The leader, or whoever may know it: the voters in turn, the founder, any member. */
  function where(attempt: number): NodeId | undefined {
    const hint = group.hint();
    if (group.isLeader()) return mesh.self;
    if (hint?.leader !== undefined && attempt % 4 !== 3) return hint.leader;
    const others = hint?.voters.filter((node) => node !== mesh.self) ?? [];
    if (others.length > 0) {
      nextVoter += 1;
      return others[nextVoter % others.length];
    }
    const { founder } = group.world.home();
    if (founder !== undefined && attempt % 2 === 0) return founder;
    const everybody = [mesh.self, ...mesh.peers()].sort();
    return everybody[Math.floor(attempt / 2) % everybody.length];
  }

  /** This node's own group may be unable to decide: its caller's patience ends all the same. */
  function within<Result>(work: Promise<Result>, ms: Millis): Promise<Result> {
    return new Promise((resolve, reject) => {
      const cancel = clock.alarm(clock.now() + ms, () => reject(new MycelError('MYCEL_DEADLINE')));
      work.then(resolve, reject).finally(cancel);
    });
  }

  function pause(ms: Millis): Promise<void> {
    return new Promise((resolve) => {
      // Not in the same turn of the loop: those who wait could keep each other going, and the loop from all else.
      const stop = group.onChange(() => {
        cancel();
        cancel = clock.alarm(clock.now() + 1, done);
      });
      let cancel = clock.alarm(clock.now() + Math.max(1, ms), done);
      function done(): void {
        stop();
        cancel();
        resolve();
      }
    });
  }

  function noQuorum(problem: string): MycelError {
    const voters = group.hint()?.voters.map((node) => node.slice(0, 8)) ?? [];
    const known =
      voters.length === 0 ? 'No voter is known.' : `The voters are ${voters.join(', ')}.`;
    return new MycelError('MYCEL_NO_QUORUM', { reason: `${problem} ${known}` });
  }

  return {
    async submit(command, options = {}) {
      const name = await takeName();
      name.open += 1;
      name.number += 1;
      const { number } = name;
      try {
        const outcome = await ask(
          () => service.write(name.name, number, command),
          { method: 'consensus.write', body: encodeWrite(name.name, number, command) },
          resultReaders.outcome,
          options,
        );
        if (outcome.type === 'refused' && outcome.reason === 'full') {
          throw new MycelError('MYCEL_GROUP_FULL');
        }
        return outcome;
      } finally {
        name.open -= 1;
        queue.shift()?.();
      }
    },
    async query<Type extends Query['type']>(
      query: Extract<Query, { type: Type }>,
      options: AskOptions = {},
    ) {
      const reader = resultReaders[query.type] as (
        value: unknown,
      ) => { found: QueryResults[Type] } | undefined;
      const asked = { method: 'consensus.read', body: encodeAsk(query) };
      const { found } = await ask(() => service.query(query), asked, reader, options);
      return found;
    },
    async wait(awaited, options = {}) {
      const deadlineMs = options.deadlineMs ?? patienceMsDefault;
      const endsAt = clock.now() + deadlineMs;
      const asked = { method: 'consensus.wait', body: encodeAsk(awaited) };
      for (;;) {
        const leftMs = endsAt - clock.now();
        if (leftMs <= 0) return -1;
        const chunkMs = Math.min(leftMs, 10_000);
        const control = new AbortController();
        const cancel = clock.alarm(clock.now() + chunkMs, () => control.abort());
        const signal =
          options.signal === undefined
            ? control.signal
            : AbortSignal.any([control.signal, options.signal]);
        const local = (): Promise<LeaderReply<unknown>> => service.wait(awaited, signal);
        try {
          const { token } = await ask(local, asked, resultReaders.token, {
            deadlineMs: leftMs,
            attemptMs: chunkMs,
            signal: options.signal,
          });
          if (token >= 0) return token;
        } catch (error) {
          if (!MycelError.is(error) || error.code !== 'MYCEL_NO_QUORUM') throw error;
          return -1;
        } finally {
          cancel();
        }
      }
    },
  };
}

/** What says nothing about the request, only about the way to the node. */
const passing: ReadonlySet<string> = new Set([
  'MYCEL_UNREACHABLE',
  'MYCEL_DEADLINE',
  'MYCEL_CALL_LOST',
  'MYCEL_CALL_BUSY',
  'MYCEL_UNKNOWN_METHOD',
  'MYCEL_NOT_RUNNING',
]);

function refusedError(reason: string): MycelError {
  return reason === 'too-large'
    ? new MycelError('MYCEL_TOO_LARGE', { fix: 'Keep a value below 16 KiB.' })
    : new MycelError('MYCEL_NO_QUORUM', { reason: `The leader refused it: ${reason}.` });
}
