/** What a leader does for everybody: decides their commands, answers their questions, and tells them when they may go on. */

import type { CallContext } from '../../ports/calls.ts';
import { unreachable } from '../../kernel/invariant.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { Command } from '../../protocol/consensus/machine-types.ts';
import type { Machine } from '../../protocol/consensus/machine.ts';
import {
  decodeAwaited,
  decodeQuery,
  decodeSeat,
  decodeWrite,
  encodeReply,
} from '../../wire/consensus-calls.ts';
import type { Awaited, LeaderReply, LockView, Query } from '../../wire/consensus-calls.ts';
import type { Group } from './group-types.ts';
import { RefusedError } from './replica-world.ts';

/** Those who wait at this leader at once; more are told to come again. */
const waitersMax = 2048;

/** The leader's side, also for this node itself. */
export interface Service {
  write(client: string, number: number, command: Command): Promise<LeaderReply<unknown>>;
  query(query: Query): Promise<LeaderReply<unknown>>;
  /** Answers when it has come true, or when the caller's patience ends: then with `pending`. */
  wait(awaited: Awaited, signal: AbortSignal): Promise<LeaderReply<unknown>>;
  stop(): void;
}

/** Serves the calls of a group. */
export function serveGroup(group: Group): Service {
  const { calls, clock } = group.world;
  const waiting = new Set<() => void>();
  let cancelExpiry = (): void => {};

  const wake = (): void => {
    for (const look of waiting) look();
    watchExpiry();
  };
  const stoppers = [
    group.onTouched(wake),
    group.onChange(wake),
    calls.serve('consensus.write', async (body, { from }) => {
      group.asked(from);
      const ask = decodeWrite(body);
      if (ask === undefined) throw new MycelError('MYCEL_BAD_BYTES');
      return encodeReply(await service.write(ask.client, ask.number, ask.command));
    }),
    calls.serve('consensus.read', async (body, { from }) => {
      group.asked(from);
      const query = decodeQuery(body);
      if (query === undefined) throw new MycelError('MYCEL_BAD_BYTES');
      return encodeReply(await service.query(query));
    }),
    calls.serve('consensus.wait', async (body, context) => {
      const awaited = decodeAwaited(body);
      if (awaited === undefined) throw new MycelError('MYCEL_BAD_BYTES');
      return encodeReply(await service.wait(awaited, patienceOf(context)));
    }),
    calls.serve('consensus.where', async () => {
      await group.begin();
      return encodeReply({ type: 'elsewhere', hint: group.hint() });
    }),
    calls.serve('consensus.seat', async (body) => {
      const seat = decodeSeat(body);
      if (seat === undefined) throw new MycelError('MYCEL_BAD_BYTES');
      await group.takeSeat(seat.group, seat.seat);
      return new Uint8Array();
    }),
  ];

  /** Ends a little before the caller's patience does, so that the answer still finds it. */
  function patienceOf(context: CallContext): AbortSignal {
    const control = new AbortController();
    const at = clock.now() + Math.max(10, context.deadlineMs * 0.8);
    const cancel = clock.alarm(at, () => control.abort());
    context.signal.addEventListener('abort', () => {
      cancel();
      control.abort();
    });
    return control.signal;
  }

  const elsewhere = (): LeaderReply<unknown> => ({ type: 'elsewhere', hint: group.hint() });

  /** The machine's time moves with requests: when nothing else comes, what expires needs one. */
  function watchExpiry(): void {
    cancelExpiry();
    cancelExpiry = () => undefined;
    const replica = group.replica();
    if (replica === undefined || !replica.view().isSettled) return;
    const at = replica.machine.nextExpiry();
    if (at === Infinity) return;
    const leftMs = at - replica.machine.time - replica.sinceStampMs();
    cancelExpiry = clock.alarm(clock.now() + Math.max(1, leftMs + 1), () => {
      group
        .replica()
        ?.submit('', 0, { op: 'clock' })
        .then(watchExpiry, () => undefined);
    });
  }

  async function led<Result>(run: () => Promise<Result>): Promise<LeaderReply<Result>> {
    await group.begin();
    if (group.replica()?.view().role !== 'leader') return { type: 'elsewhere', hint: group.hint() };
    try {
      return { type: 'ok', result: await run() };
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      if (error.reason === 'overloaded' || error.reason === 'too-large') {
        return { type: 'refused', reason: error.reason };
      }
      return { type: 'elsewhere', hint: group.hint() };
    }
  }

  const service: Service = {
    write: (client, number, command) =>
      led(async () => group.replica()?.submit(client, number, command)),
    query: (query) =>
      led(async () => {
        const replica = group.replica();
        if (replica === undefined) throw new RefusedError('stopped');
        await replica.read();
        return answer(replica.machine, query);
      }),
    wait(awaited, signal) {
      if (waiting.size >= waitersMax)
        return Promise.resolve({ type: 'refused', reason: 'overloaded' });
      return new Promise((resolve) => {
        const finish = (reply: LeaderReply<unknown>): void => {
          waiting.delete(look);
          signal.removeEventListener('abort', giveUp);
          resolve(reply);
        };
        const giveUp = (): void => finish({ type: 'ok', result: -1 });
        const look = (): void => {
          const replica = group.replica();
          if (replica?.view().role !== 'leader') return finish(elsewhere());
          const token = outcomeOfWait(replica.machine, awaited);
          if (token !== undefined) finish({ type: 'ok', result: token });
        };
        waiting.add(look);
        if (signal.aborted) return giveUp();
        signal.addEventListener('abort', giveUp);
        look();
      });
    },
    stop() {
      cancelExpiry();
      for (const stop of stoppers) stop();
      for (const look of waiting) look();
    },
  };
  watchExpiry();
  return service;
}

/** What came of a wait: a token, 0 when it cannot come true any more, undefined while it may. */
function outcomeOfWait(machine: Machine, awaited: Awaited): number | undefined {
  switch (awaited.type) {
    case 'grant': {
      const { name, session, owner } = awaited;
      const isMine = (one: { session: number; owner: string }): boolean =>
        one.session === session && one.owner === owner;
      const lock = machine.lock(name);
      const held = lock?.holders.find(isMine);
      if (held !== undefined) return held.token;
      return lock?.waiters.some(isMine) === true ? undefined : 0;
    }
    case 'barrier': {
      const generation = machine.barrier(awaited.name)?.generation ?? 0;
      return generation > awaited.generation ? generation : undefined;
    }
    case 'lock': {
      const token = machine.lock(awaited.name)?.holders[0]?.token ?? 0;
      return token === awaited.after ? undefined : token;
    }
    default:
      return unreachable(awaited);
  }
}

function answer(machine: Machine, query: Query): unknown {
  switch (query.type) {
    case 'key':
      return machine.value(query.key);
    case 'keys':
      return machine.keys(query.prefix);
    case 'lock':
      return lockView(machine, query.name);
    case 'session':
      return machine.session(query.session) !== undefined;
    default:
      return unreachable(query);
  }
}

function lockView(machine: Machine, name: string): LockView | undefined {
  const lock = machine.lock(name);
  if (lock === undefined) return undefined;
  const holders = lock.holders.map(({ session, owner, token }) => {
    return { node: machine.session(session)?.node ?? '', owner, token };
  });
  return { permits: lock.permits, holders, waiting: lock.waiters.length };
}
