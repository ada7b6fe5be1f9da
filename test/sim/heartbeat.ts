/** A small heartbeat detector on simulated hosts: the core that the simulator's own tests drive. */

import type { Core, Millis } from '../../src/kernel/core.ts';
import type { Random } from '../../src/kernel/random.ts';
import type { HostAdapter, HostId } from './world.ts';

/** What detectors say to each other. */
export interface Beat {
  readonly type: 'beat';
  readonly count: number;
}

export type HeartbeatInput =
  | { type: 'tick' }
  | { type: 'received'; from: HostId; beat: Beat }
  | { type: 'linkReset'; peer: HostId }
  | { type: 'woke'; gapMs: Millis };

export type HeartbeatEffect =
  | { type: 'send'; to: HostId; beat: Beat }
  | { type: 'persist'; count: number }
  | { type: 'announce'; peer: HostId; isUp: boolean };

/** What a detector believes. */
export interface HeartbeatView {
  readonly count: number;
  readonly up: readonly HostId[];
  readonly heard: readonly string[];
}

/** How a detector behaves. */
export interface HeartbeatConfig {
  readonly self: HostId;
  readonly peers: readonly HostId[];
  readonly periodMs: Millis;
  readonly timeoutMs: Millis;
  readonly startCount: number;
  /** Whether each beat is written to disk before it is sent. */
  readonly isDurable: boolean;
}

/** Beats to one random peer a period, and announces peers that fall silent or speak again. */
export function createHeartbeat(
  config: HeartbeatConfig,
  random: Random,
): Core<HeartbeatInput, HeartbeatEffect, HeartbeatView> {
  let count = config.startCount;
  let nextAt: Millis = -Infinity;
  const lastHeardAt = new Map<HostId, Millis>();
  const up = new Set<HostId>();
  const heard: string[] = [];

  function tick(now: Millis): HeartbeatEffect[] {
    const effects: HeartbeatEffect[] = [];
    for (const peer of up) {
      // The same sum as in deadline(): a difference could round to just under the timeout, and ask for ever.
      if (now < (lastHeardAt.get(peer) ?? 0) + config.timeoutMs) continue;
      up.delete(peer);
      effects.push({ type: 'announce', peer, isUp: false });
    }
    if (now < nextAt) return effects;
    nextAt = now + config.periodMs;
    count += 1;
    if (config.isDurable) effects.push({ type: 'persist', count });
    const to = config.peers[random.below(config.peers.length)];
    if (to !== undefined) effects.push({ type: 'send', to, beat: { type: 'beat', count } });
    return effects;
  }

  return {
    step(now, input) {
      if (input.type === 'tick') heard.push('tick');
      if (input.type === 'linkReset') heard.push(`reset ${input.peer}`);
      if (input.type === 'woke') heard.push(`woke ${Math.round(input.gapMs)}`);
      if (heard.length > 1_000) heard.shift();
      if (input.type !== 'received') return tick(now);
      heard.push(`${input.from} ${input.beat.count}`);
      lastHeardAt.set(input.from, now);
      if (up.has(input.from)) return tick(now);
      up.add(input.from);
      return [{ type: 'announce', peer: input.from, isUp: true }, ...tick(now)];
    },
    deadline() {
      let soonest = nextAt;
      for (const peer of up) {
        soonest = Math.min(soonest, (lastHeardAt.get(peer) ?? 0) + config.timeoutMs);
      }
      return soonest;
    },
    view: () => ({ count, up: [...up], heard }),
  };
}

/** How a detector meets a world: beats travel as datagrams or on links. */
export function heartbeatAdapter(
  config: Omit<HeartbeatConfig, 'startCount'>,
  via: 'datagram' | 'link' = 'datagram',
): HostAdapter<Beat, HeartbeatInput, HeartbeatEffect, HeartbeatView> {
  return {
    tick: { type: 'tick' },
    build({ disk, random }) {
      const stored = disk.get('count');
      const startCount = typeof stored === 'number' ? stored : 0;
      return createHeartbeat({ ...config, startCount }, random);
    },
    receive: (from, beat) => ({ type: 'received', from, beat }),
    linkReset: (peer) => ({ type: 'linkReset', peer }),
    woke: (gapMs) => ({ type: 'woke', gapMs }),
    run(effect, tools) {
      if (effect.type === 'persist') tools.persist('count', effect.count);
      else if (effect.type === 'announce') tools.note(effect.isUp ? 'up' : 'down', effect.peer);
      else if (via === 'link') tools.sendReliable(effect.to, effect.beat);
      else tools.send(effect.to, effect.beat);
    },
  };
}
