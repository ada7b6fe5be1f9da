/** A mesh inside one process: the twin of the real mesh port, for embedded use and tests, with cuts and losses on demand. */

import type { NodeId } from '../../kernel/ids.ts';
import { checkParcel, ParcelHandlers } from '../../kernel/parcel.ts';
import type { MeshPort, PeerChange } from '../../ports/mesh.ts';

/** Parcels on their way to one node; one more is not taken (`send` says false), as on a saturated link. */
const inFlightMax = 4096;

/** Knobs of a memory mesh. */
export interface MemoryMeshOptions {
  /** Runs a delivery later; in virtual time for a simulator. @default setImmediate */
  readonly later?: (deliver: () => void, from: NodeId, to: NodeId) => void;
  /** Whether this parcel is lost on the way. @default never */
  readonly isLost?: (from: NodeId, to: NodeId, protocol: string) => boolean;
}

/** Nodes of one process that reach each other. */
export interface MemoryMesh {
  /** Adds a node, or brings one back with its next boot number. */
  join(node: NodeId): MeshPort;
  /** The node stops: `left` or `dead` to the others, and its port sends and receives nothing any more. */
  leave(node: NodeId, reason: 'dead' | 'left'): void;
  /** Nothing passes between the two until `mend`; membership does not notice. */
  cut(one: NodeId, other: NodeId): void;
  mend(one: NodeId, other: NodeId): void;
  /** Membership of `observer` holds `node` dead (or alive again), whatever is true. */
  tell(observer: NodeId, change: PeerChange): void;
}

interface Seat {
  readonly node: NodeId;
  readonly boot: number;
  readonly handlers: ParcelHandlers;
  readonly listeners: Set<(change: PeerChange) => void>;
  /** Whom this node's membership holds alive. */
  readonly known: Set<NodeId>;
  isUp: boolean;
  inFlight: number;
}

/** Builds an empty mesh. */
export function createMemoryMesh(options: MemoryMeshOptions = {}): MemoryMesh {
  const later = options.later ?? ((deliver: () => void) => void setImmediate(deliver));
  const isLost = options.isLost ?? (() => false);
  const seats = new Map<NodeId, Seat>();
  const boots = new Map<NodeId, number>();
  const cuts = new Set<string>();

  const pair = (one: NodeId, other: NodeId): string =>
    one < other ? `${one} ${other}` : `${other} ${one}`;

  function tell(seat: Seat, change: PeerChange): void {
    if (change.kind === 'up') seat.known.add(change.node);
    if (change.kind === 'down') seat.known.delete(change.node);
    for (const listener of seat.listeners) listener(change);
  }

  function others(of: Seat): Seat[] {
    return [...seats.values()].filter((seat) => seat !== of && seat.isUp);
  }

  function send(from: Seat, to: NodeId, protocol: string, bytes: Uint8Array): boolean {
    checkParcel(protocol, bytes);
    const target = seats.get(to);
    if (!from.isUp || target === undefined || !target.isUp) return false;
    if (to !== from.node && !from.known.has(to)) return false;
    if (target.inFlight >= inFlightMax) return false;
    const copy = Uint8Array.from(bytes);
    target.inFlight += 1;
    later(
      () => {
        target.inFlight -= 1;
        const isCut = cuts.has(pair(from.node, to));
        if (!target.isUp || isCut || isLost(from.node, to, protocol)) return;
        target.handlers.get(protocol)?.(from.node, copy);
      },
      from.node,
      to,
    );
    return true;
  }

  function portOf(seat: Seat): MeshPort {
    return {
      self: seat.node,
      boot: () => seat.boot,
      peers: () => [...seat.known],
      isLinked: (node) => seat.known.has(node) && !cuts.has(pair(seat.node, node)),
      rttMs: (node) => (seat.known.has(node) ? 0 : undefined),
      send: (to, protocol, bytes) => send(seat, to, protocol, bytes),
      hurry: () => {},
      handle: (protocol, handler) => seat.handlers.take(protocol, handler),
      onChange(listener) {
        seat.listeners.add(listener);
        return () => void seat.listeners.delete(listener);
      },
    };
  }

  return {
    join(node) {
      const boot = (boots.get(node) ?? 0) + 1;
      boots.set(node, boot);
      const seat: Seat = {
        node,
        boot,
        handlers: new ParcelHandlers(),
        listeners: new Set(),
        known: new Set(),
        isUp: true,
        inFlight: 0,
      };
      seats.set(node, seat);
      for (const other of others(seat)) {
        seat.known.add(other.node);
        tell(other, { kind: 'up', node });
      }
      return portOf(seat);
    },
    leave(node, reason) {
      const seat = seats.get(node);
      if (seat === undefined || !seat.isUp) return;
      seat.isUp = false;
      for (const other of others(seat)) {
        tell(other, { kind: 'unlinked', node });
        tell(other, { kind: 'down', node, reason });
      }
    },
    cut(one, other) {
      cuts.add(pair(one, other));
      for (const [seat, peer] of [
        [seats.get(one), other],
        [seats.get(other), one],
      ] as const) {
        if (seat?.isUp === true) tell(seat, { kind: 'unlinked', node: peer });
      }
    },
    mend: (one, other) => void cuts.delete(pair(one, other)),
    tell(observer, change) {
      const seat = seats.get(observer);
      if (seat !== undefined) tell(seat, change);
    },
  };
}
