/** Checkers for the invariants of membership (docs/protocols/membership.md, "Invariants"). */

import { compareIncarnation } from '../../../src/protocol/membership/incarnation.ts';
import type { Incarnation } from '../../../src/protocol/membership/incarnation.ts';
import type { MemberState } from '../../../src/protocol/membership/judge.ts';
import type { SwimMessage } from '../../../src/protocol/membership/messages.ts';
import type { SwimEffect } from '../../../src/protocol/membership/swim-types.ts';
import { simSizeOf } from '../membership.ts';
import type { SwimHost, SwimLetter } from '../membership.ts';
import type { Checker } from '../swarm.ts';

/** The hosts of a membership scenario, by id. */
export type SwimMesh = ReadonlyMap<string, SwimHost>;

type SwimChecker = Checker<SwimLetter, SwimMesh>;

const rank: Record<MemberState, number> = { alive: 1, dormant: 1, suspect: 2, dead: 3, left: 3 };

/** Nobody but the subject raises an incarnation, nobody lowers one, and states of one incarnation only get worse. */
export function monotoneBeliefs(): SwimChecker {
  return {
    name: 'monotone beliefs',
    watch(world, mesh) {
      let problem: string | undefined;
      const beliefs = new Map<string, { incarnation: Incarnation; state: MemberState }>();
      const spoken = new Map<string, Incarnation>();
      world.observe((at, hostId, seen) => {
        const effect = seen as SwimEffect;
        const host = mesh.get(hostId);
        if (host === undefined || problem !== undefined) return;
        const own = host.view().self.incarnation;
        const before = spoken.get(hostId);
        if (before !== undefined && compareIncarnation(own, before) < 0) {
          problem = `${hostId} lowered its own incarnation at ${at.toFixed(0)} ms`;
        }
        spoken.set(hostId, own);
        if (effect.type !== 'announce') return;
        const { node, incarnation, state } = effect.member;
        const highest = mesh.get(node)?.phase() === 'running' ? spoken.get(node) : undefined;
        if (highest !== undefined && compareIncarnation(incarnation, highest) > 0) {
          problem = `${hostId} raised the incarnation of ${node} at ${at.toFixed(0)} ms`;
        }
        const key = `${hostId}/${host.boots()}/${node}`;
        const belief = beliefs.get(key);
        beliefs.set(key, { incarnation, state });
        if (belief === undefined) return;
        const order = compareIncarnation(incarnation, belief.incarnation);
        if (order < 0 || (order === 0 && rank[state] < rank[belief.state])) {
          const words = `${belief.state} became ${state}`;
          problem = `${hostId} went back about ${node}: ${words} at ${at.toFixed(0)} ms`;
        }
      });
      return { always: () => problem };
    },
  };
}

/** The queue holds at most one piece of news per member, and every datagram fits. */
export function boundedPackets(bytesMax: number): SwimChecker {
  return {
    name: 'bounded queue and packets',
    watch(world, mesh) {
      let problem: string | undefined;
      world.observe((_, hostId, seen) => {
        const effect = seen as SwimEffect;
        if (effect.type !== 'send') return;
        const bytes = updateBytes(effect.message);
        if (bytes > bytesMax) {
          problem ??= `${hostId} sent a ${effect.message.kind} with ${bytes} bytes of updates`;
        }
      });
      return {
        always() {
          for (const [id, host] of mesh) {
            if (host.phase() === 'down') continue;
            const { queueLength, members } = host.view();
            const bound = 2 * (members.length + 1);
            if (queueLength > bound) return `${id} queues ${queueLength}, allowed ${bound}`;
          }
          return problem;
        },
      };
    },
  };
}

/** Whoever runs is alive to everybody else, at its current incarnation. */
export function everybodyAlive(): SwimChecker {
  return {
    name: 'everybody alive to everybody',
    watch(_, mesh) {
      return {
        eventually() {
          for (const [seer, host] of mesh) {
            if (host.phase() !== 'running') continue;
            const members = new Map(host.view().members.map((member) => [member.node, member]));
            for (const [id, other] of mesh) {
              if (id === seer || other.phase() !== 'running') continue;
              const own = other.view().self;
              const seen = members.get(own.node);
              if (seen?.state !== 'alive') return `${seer} sees ${id} ${seen?.state ?? 'not'}`;
              if (compareIncarnation(seen.incarnation, own.incarnation) !== 0) {
                return `${seer} knows an old incarnation of ${id}`;
              }
            }
          }
          return undefined;
        },
      };
    },
  };
}

/** Nobody who runs and can be reached is ever called dead. For worlds without blocks, crashes and partitions. */
export function neverWronglyDead(): SwimChecker {
  return {
    name: 'never wrongly dead',
    watch(world) {
      let problem: string | undefined;
      world.observe((at, host, seen) => {
        const effect = seen as SwimEffect;
        if (effect.type !== 'announce' || effect.member.state !== 'dead') return;
        problem ??= `${host} buried ${effect.member.node} at ${at.toFixed(0)} ms`;
      });
      return { always: () => problem };
    },
  };
}

/** No key is said to be cloned where every key has one device. */
export function noFalseCloneAlarm(): SwimChecker {
  return {
    name: 'no false clone alarm',
    watch(world) {
      return {
        always: () => {
          const alarms = (world.notes.get('clone') ?? 0) + (world.notes.get('clone-self') ?? 0);
          return alarms > 0 ? `${alarms} alarms` : undefined;
        },
      };
    },
  };
}

function updateBytes(message: SwimMessage): number {
  if (!('updates' in message)) return 0;
  return message.updates.reduce((sum, update) => sum + simSizeOf(update), 0);
}
