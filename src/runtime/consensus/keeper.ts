/** The leader's care for its group: who sits in it, that lost seats are replaced, and that its patience fits its disk. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { caughtUpEntries, nextPlacement } from '../../protocol/consensus/placement.ts';
import type { MemberFacts, PlacementConfig } from '../../protocol/consensus/placement.ts';
import type { Seat } from '../../protocol/consensus/messages.ts';
import { encodeSeat } from '../../wire/consensus-calls.ts';
import type { MemberInfo } from '../mesh-node.ts';
import type { Group } from './group-types.ts';
import { RefusedError } from './replica-world.ts';
import type { Replica } from './replica-world.ts';

/** A node has this long to lay down a fresh replica, in ms. */
const seatMs = 10_000;

/** How patient the keeper is, and how often it looks, in ms. Loopback is for tests and demos: nothing there is slow. */
const paces: Readonly<Record<'real' | 'loopback', PlacementConfig & { readonly lookMs: Millis }>> =
  {
    real: { deadMs: 120_000, caughtUpMs: 10_000, lookMs: 2_000 },
    loopback: { deadMs: 10_000, caughtUpMs: 200, lookMs: 100 },
  };

/** Begins to care. Only while this node leads does anything happen. */
export function keepGroup(group: Group): { stop(): void } {
  const { world } = group;
  const { clock, calls, log, node, mesh } = world;
  const pace = paces[group.profile === 'loopback' ? 'loopback' : 'real'];
  const since = new Map<NodeId, { readonly state: MemberFacts['state']; readonly at: Millis }>();
  const caughtUp = new Map<Seat, Millis>();
  let isBusy = false;
  let isStopped = false;
  let cancel = (): void => {};

  function look(): void {
    if (isStopped) return;
    cancel = clock.alarm(clock.now() + pace.lookMs, look);
    group.retime();
    const replica = group.replica();
    if (replica?.view().role !== 'leader') {
      since.clear();
      caughtUp.clear();
      return;
    }
    if (isBusy) return;
    isBusy = true;
    step(replica)
      .catch((error: unknown) => {
        // A change that is refused, or a node that does not answer, is tried again at the next look.
        if (!(error instanceof RefusedError)) log.warn({ error }, 'a seat could not be given');
      })
      .finally(() => {
        isBusy = false;
      });
  }

  async function step(replica: Replica): Promise<void> {
    const now = clock.now();
    const view = replica.view();
    for (const { seat, match } of view.progress) {
      if (match < view.commit - caughtUpEntries) caughtUp.delete(seat);
      else if (!caughtUp.has(seat)) caughtUp.set(seat, now);
    }
    const caughtUpMs = new Map([...caughtUp].map(([seat, at]) => [seat, now - at]));
    const { emptySeats } = group;
    const next = nextPlacement(
      { view, members: factsOf(now, replica), emptySeats, caughtUpMs },
      pace,
    );
    if (next === undefined) return;
    if (next.type === 'change') {
      await replica.change(next.change);
      return;
    }
    const id = group.hint()?.group;
    // On its way to another mesh: its seats are none of that one's business.
    if (id === undefined) return;
    const seat = view.config.lastSeat + 1;
    await calls.call(next.node, 'consensus.seat', encodeSeat(id, seat), { deadlineMs: seatMs });
    const { voters, learners, members } = replica.view().config;
    const lost = new Set(members.filter((one) => one.node === next.node).map((one) => one.seat));
    const added = [...members, { seat, node: next.node }];
    const kept = [...learners.filter((one) => !lost.has(one)), seat];
    await replica.change({ voters, learners: kept, members: added });
  }

  function factsOf(now: Millis, replica: Replica): MemberFacts[] {
    const infos = new Map(node.members().map((info) => [info.id, info]));
    const nodes = new Set([
      ...infos.keys(),
      ...replica.view().config.members.map((one) => one.node),
    ]);
    return [...nodes].map((id) => {
      const info = infos.get(id);
      const state = id === mesh.self ? 'alive' : stateOf(info);
      const known = since.get(id);
      const at = known?.state === state ? known.at : now;
      since.set(id, { state, at });
      const isOnMains = info?.labels['power'] !== 'battery';
      return { node: id, state, forMs: now - at, score: scoreOf(info, isOnMains), isOnMains };
    });
  }

  cancel = clock.alarm(clock.now() + pace.lookMs, look);
  return {
    stop() {
      isStopped = true;
      cancel();
    },
  };
}

/** Whoever is not known at all may be about to be heard of: it counts as dead, not as gone. */
function stateOf(info: MemberInfo | undefined): MemberFacts['state'] {
  if (info?.state === 'left') return 'gone';
  return info?.state === 'alive' || info?.state === 'suspect' ? 'alive' : 'dead';
}

/** Mains, cable and a real disk make a good voter. What a board says of itself are its labels. */
function scoreOf(info: MemberInfo | undefined, isOnMains: boolean): number {
  if (info === undefined || !isOnMains || info.labels['voter'] === 'never') return -1;
  const isWired = info.labels['net'] !== 'wifi';
  const isCard = info.labels['disk'] === 'sd';
  return 1 + (isWired ? 2 : 0) + (isCard ? 0 : 1) - (info.isStalled ? 1 : 0);
}
