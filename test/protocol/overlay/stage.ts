/** One HyParView node on a stage: what it is told, and what it does about it, in few words. */

import type { Millis } from '../../../src/kernel/core.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import type { HyparviewConfig } from '../../../src/protocol/overlay/hyparview-config.ts';
import { createHyparview } from '../../../src/protocol/overlay/hyparview.ts';
import type { OverlayMessage, PeerHint } from '../../../src/protocol/overlay/messages.ts';
import type {
  Overlay,
  OverlayEffect,
  OverlayInput,
  OverlayName,
} from '../../../src/protocol/overlay/overlay.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

/** What a peer says about itself when its session opens. */
export interface Opening {
  readonly isDialler?: boolean;
  readonly boot?: number;
  readonly overlay?: OverlayName;
  readonly neighbours?: readonly NodeId[];
  readonly seed?: string;
}

/** A peer by number, with the address it would have. */
export function hint(at: number): PeerHint {
  return { node: simNodeId(at), addresses: [{ host: `n${at}`, port: 1883 }] };
}

/** The stage. The node on it is number 0, whose id is the lowest. */
export class Stage {
  readonly core: Overlay;
  now: Millis = 0;
  effects: readonly OverlayEffect[] = [];
  #session = 0;

  constructor(config: Partial<HyparviewConfig> = {}, seed = 7) {
    this.core = createHyparview({ self: simNodeId(0), ...config }, createRandom(seed));
    this.feed({ type: 'selfMoved', addresses: hint(0).addresses });
  }

  feed(input: OverlayInput): readonly OverlayEffect[] {
    this.effects = this.core.step(this.now, input);
    return this.effects;
  }

  /** Lets time pass, with a tick whenever the core wants one; gives everything it did. */
  wait(ms: Millis): OverlayEffect[] {
    const end = this.now + ms;
    const done: OverlayEffect[] = [];
    while (this.core.deadline() <= end) {
      this.now = Math.max(this.now, this.core.deadline());
      done.push(...this.feed({ type: 'tick' }));
    }
    this.now = end;
    return done;
  }

  sight(at: number): readonly OverlayEffect[] {
    return this.feed({ type: 'sighted', ...hint(at) });
  }

  member(at: number): readonly OverlayEffect[] {
    return this.feed({ type: 'memberUp', ...hint(at) });
  }

  /** A session with the peer opens; gives its number. */
  open(at: number, opening: Opening = {}): number {
    this.#session += 1;
    this.feed({
      type: 'linkOpened',
      node: simNodeId(at),
      boot: opening.boot ?? 1,
      isDialler: opening.isDialler ?? false,
      session: this.#session,
      seed: opening.seed,
      overlay: opening.overlay ?? 'hyparview',
      neighbours: opening.neighbours ?? [],
    });
    return this.#session;
  }

  hear(at: number, session: number, message: OverlayMessage): readonly OverlayEffect[] {
    return this.feed({ type: 'received', node: simNodeId(at), session, message });
  }

  close(at: number, session: number): readonly OverlayEffect[] {
    return this.feed({ type: 'linkClosed', node: simNodeId(at), session, reason: 'gone' });
  }

  fail(at: number): readonly OverlayEffect[] {
    const target = { kind: 'node', node: simNodeId(at) } as const;
    return this.feed({ type: 'dialFailed', target, answeredBySelf: false });
  }

  /** The peer dials, asks at leisure and is accepted; it is linked with these others. Gives the session. */
  befriend(at: number, ...others: readonly number[]): number {
    const session = this.open(at);
    this.hear(at, session, {
      kind: 'neighbour',
      isUrgent: false,
      addresses: hint(at).addresses,
    });
    this.linkedWith(at, 0, ...others);
    return session;
  }

  linkedWith(at: number, ...others: readonly number[]): void {
    const neighbours = others.map(simNodeId);
    this.feed({ type: 'neighboursHeard', node: simNodeId(at), neighbours });
  }

  /** Whom the node counts as neighbours, by number in order. */
  neighbours(): number[] {
    return numbers(this.core.view().neighbours.map(({ node }) => node));
  }

  passive(): number[] {
    return numbers(this.core.view().passive);
  }
}

const known = new Map(Array.from({ length: 100 }, (_, at) => [simNodeId(at), at]));

/** The numbers of nodes, in order. */
export function numbers(nodes: readonly NodeId[]): number[] {
  return nodes.map((node) => known.get(node) ?? -1).sort((left, right) => left - right);
}

/** Whom the effects dial, by number, in order of appearance. */
export function dialled(effects: readonly OverlayEffect[]): number[] {
  return effects.flatMap((effect) =>
    effect.type === 'dial' && effect.target.kind === 'node' ? numbers([effect.target.node]) : [],
  );
}

/** What the effects say, and on which session. */
export function said(
  effects: readonly OverlayEffect[],
): { readonly session: number; readonly message: OverlayMessage }[] {
  return effects.flatMap((effect) =>
    effect.type === 'send' ? [{ session: effect.session, message: effect.message }] : [],
  );
}

/** The kinds of what is said. */
export function kinds(effects: readonly OverlayEffect[]): string[] {
  return said(effects).map(({ message }) => message.kind);
}

/** The sessions that are hung up. */
export function hungUp(effects: readonly OverlayEffect[]): number[] {
  return effects.flatMap((effect) => (effect.type === 'hangUp' ? [effect.session] : []));
}
