/** One membership core among acquaintances who only say what the test lets them say. */

import type { Millis } from '../../../src/kernel/core.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import type {
  AliveUpdate,
  SwimMessage,
  Update,
  VerdictUpdate,
} from '../../../src/protocol/membership/messages.ts';
import { swimProfiles } from '../../../src/protocol/membership/profiles.ts';
import { createSwim } from '../../../src/protocol/membership/swim.ts';
import type {
  Swim,
  SwimConfig,
  SwimEffect,
  SwimInput,
} from '../../../src/protocol/membership/swim-types.ts';
import { simConfig, simMeta, simNodeId } from '../../sim/membership.ts';

/** The core under test, and its acquaintances. */
export const self: NodeId = simNodeId(100);
export const [ann, bob, cid, dan]: [NodeId, NodeId, NodeId, NodeId] = [
  simNodeId(101),
  simNodeId(102),
  simNodeId(103),
  simNodeId(104),
];

const proof = new Uint8Array([1]);

/** A member's own word. */
export function wordOf(node: NodeId, n = 0, rest: Partial<AliveUpdate> = {}): AliveUpdate {
  return {
    kind: 'alive',
    node,
    incarnation: { boot: 1, n },
    from: node,
    proof,
    instance: 7,
    addresses: [{ host: node, port: 1 }],
    meta: simMeta,
    edPublic: new Uint8Array(32),
    ...rest,
  };
}

/** What one member says about another. */
export function verdictOf(
  kind: VerdictUpdate['kind'],
  node: NodeId,
  from: NodeId,
  n = 0,
): VerdictUpdate {
  return { kind, node, incarnation: { boot: 1, n }, from, proof };
}

/** A core with a clock of its own and a record of everything it ordered. */
export class Stage {
  readonly core: Swim;
  readonly effects: SwimEffect[] = [];
  now: Millis = 0;

  constructor(config: Partial<SwimConfig> = {}, seed = 1) {
    this.core = createSwim(simConfig(self, swimProfiles.wired, config), createRandom(seed));
    this.feed({ type: 'tick' });
  }

  feed(input: SwimInput): readonly SwimEffect[] {
    const effects = this.core.step(this.now, input);
    this.effects.push(...effects);
    return effects;
  }

  hear(from: NodeId, message: SwimMessage): readonly SwimEffect[] {
    return this.feed({ type: 'received', from: { host: from, port: 1 }, message });
  }

  gossip(from: NodeId, ...updates: Update[]): readonly SwimEffect[] {
    return this.hear(from, { kind: 'gossip', from, updates });
  }

  /** Introduces members by their own words. */
  meet(...nodes: NodeId[]): void {
    for (const node of nodes) this.gossip(node, wordOf(node));
  }

  /** Lets time pass, tick by tick. */
  pass(ms: Millis): SwimEffect[] {
    const end = this.now + ms;
    const before = this.effects.length;
    while (this.core.deadline() <= end) {
      this.now = Math.max(this.now, this.core.deadline());
      this.feed({ type: 'tick' });
    }
    this.now = end;
    return this.effects.slice(before);
  }

  /** Lets time pass until it sends such a message; gives its fields. */
  until<Kind extends SwimMessage['kind']>(
    kind: Kind,
    withinMs: Millis,
    isWanted: (sent: Sent<Kind>) => boolean = () => true,
  ): Sent<Kind> {
    const end = this.now + withinMs;
    while (this.core.deadline() <= end) {
      this.now = Math.max(this.now, this.core.deadline());
      const found = sentIn(this.feed({ type: 'tick' }), kind).find((sent) => isWanted(sent));
      if (found !== undefined) return found;
    }
    throw new Error(`no ${kind} within ${withinMs} ms`);
  }

  stateOf(node: NodeId): string | undefined {
    return this.core.member(node)?.state;
  }
}

/** A message as it was sent. */
export interface Sent<Kind extends SwimMessage['kind']> {
  readonly to: string;
  readonly port: number;
  readonly message: Extract<SwimMessage, { kind: Kind }>;
}

/** The messages of one kind among effects. */
export function sentIn<Kind extends SwimMessage['kind']>(
  effects: readonly SwimEffect[],
  kind: Kind,
): Sent<Kind>[] {
  return effects.flatMap((effect) => {
    if (effect.type !== 'send' || effect.message.kind !== kind) return [];
    const message = effect.message as Extract<SwimMessage, { kind: Kind }>;
    return [{ to: effect.to.host, port: effect.to.port, message }];
  });
}

/** The note codes among effects. */
export function notesIn(effects: readonly SwimEffect[]): string[] {
  return effects.flatMap((effect) => (effect.type === 'note' ? [effect.code] : []));
}
