/** How the membership core meets a simulated world: addresses are the names of hosts, datagrams are not encoded. */

import type { Millis } from '../../src/kernel/core.ts';
import { nodeIdFromHash } from '../../src/kernel/ids.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { MemberMeta, SwimMessage, Update } from '../../src/protocol/membership/messages.ts';
import { swimProfiles } from '../../src/protocol/membership/profiles.ts';
import type { SwimProfile } from '../../src/protocol/membership/profiles.ts';
import { createSwim } from '../../src/protocol/membership/swim.ts';
import type {
  Swim,
  SwimConfig,
  SwimEffect,
  SwimInput,
  SwimView,
} from '../../src/protocol/membership/swim-types.ts';
import type { MembershipCodec } from '../../src/wire/membership-codec.ts';
import type { Host, HostAdapter, HostOptions, World } from './world.ts';

/** What travels between simulated nodes: messages, or their bytes where nodes have codecs. */
export type SwimLetter = SwimMessage | Uint8Array;

/** Knobs of a simulated node. */
export interface SwimNodeOptions {
  readonly profile?: SwimProfile;
  readonly config?: Partial<SwimConfig>;
  /** Members it links to when it starts, whose datagram address is their name. */
  readonly seeds?: readonly NodeId[];
  /** Makes bytes of messages, with real signatures. @default messages travel as they are */
  readonly codec?: MembershipCodec;
  /** Whether the driver reports a stuck loop, as production does. @default true */
  readonly reportsLag?: boolean;
}

/** A simulated node. */
export type SwimHost = Host<SwimInput, SwimView>;

/** Ids that differ in every character, made from a number. */
export function simNodeId(number: number): NodeId {
  const random = createRandom(number);
  return nodeIdFromHash(Uint8Array.from({ length: 16 }, () => random.below(256)));
}

/** What every simulated node says about itself. */
export const simMeta: MemberMeta = {
  name: 'node',
  version: '0.1.0',
  roles: [],
  labels: {},
  capabilities: [],
};

/** Bytes of updates as the real codec makes them, near enough for packing (test/wire measures the codec itself). */
export function simSizeOf(update: Update): number {
  return update.kind === 'alive' || update.kind === 'dormant' ? 190 : 120;
}

/** The configuration of a core in tests. */
export function simConfig(
  self: NodeId,
  profile: SwimProfile,
  rest: Partial<SwimConfig> = {},
): SwimConfig {
  return {
    self,
    boot: 1,
    instance: 1,
    edPublic: new Uint8Array(32),
    addresses: [{ host: self, port: 1 }],
    meta: simMeta,
    profile,
    sizeOf: simSizeOf,
    ...rest,
  };
}

/** Adds one node to a world and tells it about its seeds. */
export function addSwimHost(
  world: World<SwimLetter>,
  self: NodeId,
  options: SwimNodeOptions = {},
  hostOptions: HostOptions & { startAt?: Millis } = {},
): SwimHost {
  return world.addHost(self, swimAdapter(self, options), {
    // Production defers verdicts past one poll phase (Swim.isVerdictDue).
    lateTick: 'after-messages',
    ...hostOptions,
  });
}

function swimAdapter(
  self: NodeId,
  options: SwimNodeOptions,
): HostAdapter<SwimLetter, SwimInput, SwimEffect, SwimView> {
  const profile = options.profile ?? swimProfiles.wired;
  return {
    tick: { type: 'tick' },
    build({ boot, random }) {
      const config = simConfig(self, profile, {
        boot,
        instance: random.below(2 ** 32),
        ...options.config,
      });
      const core = createSwim(config, random);
      return withFirstSteps(core, options, profile);
    },
    receive(from, letter) {
      const message = letter instanceof Uint8Array ? options.codec?.decode(letter) : letter;
      if (message === undefined) return { type: 'tick' };
      return {
        type: 'received',
        from: { host: from, port: 1 },
        sender: from as NodeId,
        message,
      };
    },
    run(effect, tools) {
      if (effect.type === 'send') {
        const { message, to } = effect;
        tools.send(to.host, options.codec?.encode(message) ?? message);
      }
      if (effect.type === 'note') tools.note(effect.code, effect.node);
      else if (effect.type === 'alert') tools.note(effect.code, effect);
    },
    linkReset: (peer) => ({ type: 'linkClosed', node: peer as NodeId }),
    woke: (gapMs) => ({ type: 'woke', gapMs }),
  };
}

/** The core as production drives it: links to its seeds when it starts, and lag reported before the late tick. */
function withFirstSteps(core: Swim, options: SwimNodeOptions, profile: SwimProfile): Swim {
  let isFirst = true;
  return {
    step(now, input) {
      const effects: SwimEffect[] = [];
      if (isFirst) {
        isFirst = false;
        effects.push(...core.step(now, { type: 'tick' }));
        for (const node of options.seeds ?? []) {
          const address = { host: node, port: 1 };
          effects.push(...core.step(now, { type: 'linkOpened', node, address }));
        }
      }
      const lagMs = now - core.deadline();
      const isLate = input.type === 'tick' && lagMs > profile.probeTimeoutMs / 2;
      if (isLate && options.reportsLag !== false) {
        effects.push(...core.step(now, { type: 'loopLagged', ms: lagMs }));
      }
      effects.push(...core.step(now, input));
      return effects;
    },
    deadline: () => core.deadline(),
    view: () => core.view(),
    isVerdictDue: (now) => core.isVerdictDue(now),
    member: (node) => core.member(node),
  };
}

/** What a node believes of another. */
export function stateIn(host: SwimHost, node: NodeId): string | undefined {
  return host.view().members.find((member) => member.node === node)?.state;
}

/** Whether a node sees exactly these others alive. */
export function seesAlive(host: SwimHost, others: readonly NodeId[]): boolean {
  const alive = host.view().members.filter((member) => member.state === 'alive');
  return alive.length === others.length && alive.every(({ node }) => others.includes(node));
}
