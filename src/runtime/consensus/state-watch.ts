/** The leader compares its replicas: each tells a digest of its state at one index, and whoever has parted ways is told. */

import { createHash } from 'node:crypto';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { judgeStates } from '../../protocol/consensus/state-check.ts';
import type { Machine } from '../../protocol/consensus/machine.ts';
import type { Seat } from '../../protocol/consensus/messages.ts';
import { decodePlace, encodePlace } from '../../wire/consensus-calls.ts';
import type { Place } from '../../wire/consensus-calls.ts';
import { encodeMachineState } from '../../wire/machine-codec.ts';
import { version } from '../version.ts';
import type { Group } from './group-types.ts';

/** How often states are compared, in ms. */
const checkMs = { real: 600_000, loopback: 1_000 } as const;

/** How long a replica may take to come to the index that is asked about, in ms. */
const answerMs: Millis = 5_000;

/** A digest of a state: equal exactly when two machines of one version are in the same state. */
function digestOf(machine: Machine): string {
  const digest = createHash('sha256').update(encodeMachineState(machine.state())).digest('hex');
  return `${version} ${digest.slice(0, 32)}`;
}

/** Begins to compare. Only while this node leads does it ask. */
export function watchStates(group: Group): { stop(): void } {
  const { calls, clock, log, metrics, mesh } = group.world;
  const everyMs = checkMs[group.profile === 'loopback' ? 'loopback' : 'real'];
  let isStopped = false;
  let cancel = (): void => {};

  /** The state of this node at a place, when it has come there; undefined when it is past it, or holds another seat. */
  async function digestAt({ group: id, seat, index }: Place): Promise<string | undefined> {
    const replica = group.replica();
    if (replica?.seat !== seat || group.hint()?.group !== id) return undefined;
    return replica.at(index, digestOf);
  }

  const stoppers = [
    calls.serve('consensus.digest', async (body) => {
      const place = decodePlace(body);
      const digest = place && (await digestAt(place));
      return new TextEncoder().encode(digest ?? '');
    }),
    calls.serve('consensus.parted', async (body, { from }) => {
      const place = decodePlace(body);
      const view = group.replica()?.view();
      const leader = view?.config.members.find(({ seat }) => seat === view.leader);
      if (place?.seat === view?.self && leader?.node === from) {
        await group.forgot('Its state was not that of the majority of its group.');
      }
      return new Uint8Array();
    }),
  ];

  async function compare(): Promise<void> {
    const replica = group.replica();
    const id = group.hint()?.group;
    const view = replica?.view();
    if (replica === undefined || id === undefined || view?.isSettled !== true) return;
    if (view.config.members.length < 2) return;
    const index = view.lastIndex;
    const ask = async (seat: Seat, node: NodeId): Promise<readonly [Seat, string]> => {
      const place = { group: id, seat, index };
      if (node === mesh.self) return [seat, (await digestAt(place)) ?? ''];
      const body = encodePlace(place);
      const answer = await calls.call(node, 'consensus.digest', body, { deadlineMs: answerMs });
      return [seat, new TextDecoder().decode(answer)];
    };
    const nodes = view.config.members;
    const asked = await Promise.allSettled(nodes.map(({ seat, node }) => ask(seat, node)));
    const told = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    // Another version may write the same state down in another way.
    const digests = new Map(told.filter(([, digest]) => digest.startsWith(`${version} `)));
    if (digests.size > 1) metrics.count('consensus.states-compared');
    const verdict = judgeStates(view.config.voters, digests);
    if (verdict.type === 'split') {
      const text = `The voters have come to different states at ${index}, and no majority agrees.`;
      group.world.alert('states-differ', text);
    }
    if (verdict.type !== 'parted' || isStopped) return;
    for (const seat of verdict.seats) {
      metrics.count('consensus.state-parted');
      const node = nodes.find((one) => one.seat === seat)?.node;
      log.error({ seat, node, index }, 'the state of a replica is not that of the majority');
      if (node === mesh.self) await group.forgot('Its state is not that of the majority.');
      else if (node !== undefined) {
        const body = encodePlace({ group: id, seat, index });
        await calls.call(node, 'consensus.parted', body, { deadlineMs: answerMs });
      }
    }
  }

  function look(): void {
    if (isStopped) return;
    compare()
      .catch((error: unknown) => log.warn({ error }, 'the states could not be compared'))
      .finally(() => {
        if (!isStopped) cancel = clock.alarm(clock.now() + everyMs, look);
      });
  }

  cancel = clock.alarm(clock.now() + everyMs, look);
  return {
    stop() {
      isStopped = true;
      cancel();
      for (const stop of stoppers) stop();
    },
  };
}
