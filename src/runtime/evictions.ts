/** Who was let go by a bound: remembered for `status`, with the reason. */

import type { Millis } from '../kernel/core.ts';
import type { BrokerClient } from '../ports/broker.ts';
import type { Clock } from '../ports/clock.ts';
import { isLinkEviction } from '../ports/link.ts';
import type { LinkSession } from '../ports/link.ts';
import type { Log } from '../ports/log.ts';

/** Evictions remembered; the oldest is forgotten. */
export const evictionsMax = 32;

/** One that was let go. */
export interface Eviction {
  /** `local` and `guest`: an MQTT client. `link`: the link to a member. */
  readonly kind: 'local' | 'guest' | 'link';
  /** The MQTT client id, or the id of the member. */
  readonly who: string;
  /** The name of a guest's account. */
  readonly guest: string | undefined;
  readonly remote: string;
  readonly reason: string;
  /** Bytes that waited for it. */
  readonly queuedBytes: number;
  readonly agoMs: Millis;
}

/** The memory of a node. */
export interface Evictions {
  client(client: BrokerClient, reason: string): void;
  /** A link was closed; only what a bound closed is remembered. */
  link(session: LinkSession, reason: string): void;
  /** The latest first. */
  recent(): readonly Eviction[];
  /** All since the start. */
  count(): number;
}

/** Builds an empty one. */
export function createEvictions(clock: Clock, log: Log): Evictions {
  const kept: (Omit<Eviction, 'agoMs'> & { readonly at: Millis })[] = [];
  let count = 0;

  function add(one: Omit<Eviction, 'agoMs'>): void {
    count += 1;
    kept.unshift({ ...one, at: clock.now() });
    if (kept.length > evictionsMax) kept.pop();
  }

  return {
    client({ clientId, zone, guest, remote, queuedBytes: inMemory, diskBytes }, reason) {
      const queuedBytes = inMemory + diskBytes;
      add({ kind: zone, who: clientId, guest, remote, reason, queuedBytes });
    },
    link(session, reason) {
      if (!isLinkEviction(reason)) return;
      const { peer, remote } = session;
      const queuedBytes = session.queuedBytes();
      log.warn({ peer, remote: remote.host, queuedBytes, reason }, 'let go of a link');
      const address = `${remote.host}:${remote.port}`;
      add({ kind: 'link', who: peer, guest: undefined, remote: address, reason, queuedBytes });
    },
    recent: () => kept.map(({ at, ...one }) => ({ ...one, agoMs: clock.now() - at })),
    count: () => count,
  };
}
