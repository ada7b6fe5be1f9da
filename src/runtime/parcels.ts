/** The mesh port of a node: one object for all its lives, while meshes come and go. */

import type { NodeId } from '../kernel/ids.ts';
import { checkParcel, ParcelHandlers } from '../kernel/parcel.ts';
import type { Log } from '../ports/log.ts';
import type { MeshPort, PeerChange } from '../ports/mesh.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Emitter } from './events.ts';
import type { Life } from './life-world.ts';
import type { MeshEvents } from './mesh-node.ts';

/** Bytes waiting on a direct link above which no parcel is added: whoever sends waits, or loses it knowingly. */
const parcelQueueBytesMax: number = 1024 * 1024;

/** What the port needs of the node. */
export interface ParcelsWorld {
  readonly self: NodeId;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly emitter: Emitter<MeshEvents>;
  /** The current life; undefined while the node is not running. */
  life(): Life | undefined;
}

/** The port, and where parcels come in. */
export interface Parcels {
  readonly port: MeshPort;
  received(from: NodeId, protocol: string, bytes: Uint8Array): void;
  /** The node belongs to another mesh now. */
  moved(): void;
}

/** Builds it. */
export function createParcels(world: ParcelsWorld): Parcels {
  const { self, log, metrics, emitter } = world;
  const handlers = new ParcelHandlers();
  const listeners = new Set<(change: PeerChange) => void>();
  const up = new Set<NodeId>();

  function tell(change: PeerChange): void {
    for (const listener of listeners) {
      try {
        listener(change);
      } catch (error) {
        log.error({ error, change: change.kind }, 'a listener to the mesh threw');
      }
    }
  }

  function received(from: NodeId, protocol: string, bytes: Uint8Array): void {
    const handler = handlers.get(protocol);
    if (handler === undefined) return metrics.drop('parcel', 'unknown protocol');
    metrics.count('parcel.in');
    try {
      handler(from, bytes);
    } catch (error) {
      log.error({ error, protocol, from }, 'the handler of a parcel threw');
    }
  }

  emitter.on('member', ({ id, state, isSelf }) => {
    if (isSelf) return;
    const isUp = state === 'alive' || state === 'suspect';
    if (isUp === up.has(id)) return;
    if (isUp) {
      up.add(id);
      tell({ kind: 'up', node: id });
      return;
    }
    up.delete(id);
    const reason = state === 'left' || state === 'dormant' ? state : 'dead';
    tell({ kind: 'down', node: id, reason });
  });
  emitter.on('link', ({ peer, isOpen }) =>
    tell({ kind: isOpen ? 'linked' : 'unlinked', node: peer }),
  );

  return {
    received,
    moved() {
      up.clear();
      tell({ kind: 'moved' });
    },
    port: {
      self,
      boot: () => world.life()?.boot ?? 0,
      peers: () => [...up],
      isLinked: (node) => world.life()?.peering.links.current(node) !== undefined,
      rttMs: (node) => world.life()?.peering.links.current(node)?.rttMs,
      send(to, protocol, bytes) {
        checkParcel(protocol, bytes);
        const life = world.life();
        if (life === undefined) return false;
        if (to === self) {
          const copy = new Uint8Array(bytes);
          setImmediate(() => received(self, protocol, copy));
          return true;
        }
        if (life.parcelBytes(to, protocol, bytes.byteLength) > parcelQueueBytesMax) {
          metrics.drop('parcel', 'saturated');
          return false;
        }
        const isSent = life.messaging.step((router) => router.mail(to, protocol, bytes));
        if (isSent) metrics.count('parcel.out');
        return isSent;
      },
      hurry: () => world.life()?.peering.links.hurry(),
      handle: (protocol, handler) => handlers.take(protocol, handler),
      onChange(listener) {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    },
  };
}
