/**
 * Watches that an overlay is in one piece, around any overlay: the member with the lowest id sends a pulse over the links,
 * everybody passes a new one on, and who misses it although that member is alive tells its overlay that it is torn.
 *
 * A partial mesh can fall into pieces whose views are all full: no node of it lacks a neighbour, so none looks for one.
 */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import type { Overlay, OverlayEffect, OverlayInput, OverlayName, SessionId } from './overlay.ts';
import { RandomSet } from './random-set.ts';

/** Knobs of the watch. */
export interface UnityConfig {
  readonly self: NodeId;
  /** This node's boot counter: its pulses outlive its restarts. */
  readonly boot: number;
  readonly overlay: OverlayName;
  /** Pause between pulses, ±20 %. */
  readonly beatMs: Millis;
}

/** Beats without a pulse until the overlay counts as torn: a stalled or dying member has its time. */
const patienceBeats = 3;

/** Lowest members whose pulses are remembered; usually there is one. */
const rootsMax = 16;

/** Doublings of the pause between attempts to mend: with beats of 10 s the last pause is 21 min. */
const doublingsMax = 7;

interface Pulse {
  readonly boot: number;
  readonly count: number;
  readonly at: Millis;
}

type PulseReceived = OverlayInput & {
  readonly type: 'received';
  readonly message: { readonly kind: 'pulse' };
};

function isPulse(input: OverlayInput): input is PulseReceived {
  return input.type === 'received' && input.message.kind === 'pulse';
}

/** Puts the watch around an overlay. */
export function createUnity(inner: Overlay, config: UnityConfig, random: Random): Overlay {
  const { self, boot, overlay, beatMs } = config;
  const members = new RandomSet<NodeId>();
  const overlayOf = new Map<SessionId, OverlayName>();
  const neighbours = new Map<NodeId, SessionId>();
  const heard = new BoundedMap<NodeId, Pulse>(rootsMax);
  let root = self;
  let rootSince: Millis = -Infinity;
  let count = 0;
  let beatAt: Millis = -Infinity;
  let mendAt: Millis = -Infinity;
  let attempts = 0;
  /** Doubles the odds with each beat, so that a few of many act at first. */
  let missedBeats = 0;

  const isPartial = (node: NodeId): boolean =>
    overlayOf.get(neighbours.get(node) ?? -1) !== 'full-mesh';

  function chooseRoot(now: Millis): void {
    let lowest = self;
    for (const node of members.items()) if (node < lowest) lowest = node;
    if (lowest === root) return;
    root = lowest;
    rootSince = now;
  }

  function look(now: Millis, input: OverlayInput): void {
    switch (input.type) {
      case 'linkOpened':
        overlayOf.set(input.session, input.overlay);
        return;
      case 'linkClosed':
        overlayOf.delete(input.session);
        return;
      case 'memberUp':
        if (input.node !== self && members.add(input.node) && input.node < root) chooseRoot(now);
        return;
      case 'memberGone':
      case 'memberSlept':
        if (members.delete(input.node) && input.node === root) chooseRoot(now);
        return;
      default:
        return;
    }
  }

  function track(now: Millis, effect: OverlayEffect): void {
    if (effect.type !== 'announce') return;
    // Alone it had nobody to hear from: patience begins with the first link.
    if (effect.what === 'neighbourUp' && neighbours.size === 0) rootSince = now;
    if (effect.what === 'neighbourDown') neighbours.delete(effect.node);
    else neighbours.set(effect.node, effect.session);
  }

  /** Full meshes among themselves need no relay, and without a partial one in sight nobody needs a pulse. */
  function spread(pulse: Pulse, from: NodeId, of: NodeId): OverlayEffect[] {
    const isAmongFull = from !== self && overlay === 'full-mesh' && !isPartial(from);
    const message = { kind: 'pulse', root: of, boot: pulse.boot, count: pulse.count } as const;
    const effects: OverlayEffect[] = [];
    for (const [node, session] of neighbours) {
      if (node === from || (isAmongFull && !isPartial(node))) continue;
      effects.push({ type: 'send', session, message });
    }
    return effects;
  }

  function received(now: Millis, { node, message }: PulseReceived): OverlayEffect[] {
    if (message.root === self || !neighbours.has(node)) return [];
    const last = heard.get(message.root);
    const isNewer =
      last === undefined ||
      message.boot > last.boot ||
      (message.boot === last.boot && message.count > last.count);
    if (!isNewer) return [];
    const pulse = { boot: message.boot, count: message.count, at: now };
    heard.set(message.root, pulse);
    return spread(pulse, node, message.root);
  }

  function isWatching(): boolean {
    if (members.size === 0 || neighbours.size === 0) return false;
    if (overlay !== 'full-mesh') return true;
    for (const node of neighbours.keys()) if (isPartial(node)) return true;
    return false;
  }

  function beat(now: Millis): readonly OverlayEffect[] {
    beatAt = now + Math.max(1, Math.floor(beatMs * (0.8 + 0.4 * random.unit())));
    if (root === self) {
      count += 1;
      return spread({ boot, count, at: now }, self, self);
    }
    if (overlay === 'full-mesh') return [];
    const lastAt = Math.max(rootSince, heard.get(root)?.at ?? -Infinity);
    if (now - lastAt <= patienceBeats * beatMs) {
      missedBeats = 0;
      attempts = 0;
      return [];
    }
    missedBeats += 1;
    return mend(now);
  }

  function mend(now: Millis): readonly OverlayEffect[] {
    const odds = Math.min(0.5, 2 ** Math.min(missedBeats, 30) / members.size);
    if (now < mendAt || random.unit() >= odds) return [];
    mendAt = now + beatMs * 2 ** Math.min(attempts, doublingsMax);
    attempts += 1;
    const stranger = members.find(random, (node) => !neighbours.has(node));
    const isDirect = random.below(2) === 0 || stranger === undefined;
    const towards = isDirect && !neighbours.has(root) ? root : stranger;
    if (towards === undefined) return [];
    return passOn(now, { type: 'torn', towards });
  }

  function passOn(now: Millis, input: OverlayInput): readonly OverlayEffect[] {
    const effects = inner.step(now, input);
    for (const effect of effects) track(now, effect);
    return effects;
  }

  return {
    step(now, input) {
      look(now, input);
      // The overlay inside does not hear the pulse, but it hears that time has passed.
      const effects = isPulse(input)
        ? [...received(now, input), ...passOn(now, { type: 'tick' })]
        : passOn(now, input);
      if (now < beatAt || !isWatching()) return effects;
      return [...effects, ...beat(now)];
    },
    deadline: () => Math.min(inner.deadline(), isWatching() ? beatAt : Infinity),
    view: () => inner.view(),
  };
}
