/**
 * Shared subscriptions across the mesh: a copy of a message for each group that wants it, owed to one node.
 *
 * Local first: a group with a member on the publishing node is served there and costs the mesh nothing. Otherwise the nodes
 * that say they have members take turns, those whose link is saturated only when all are. An event that its node did not
 * acknowledge before it died is owed to another one.
 */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { signalName } from './forwarder.ts';
import type { DropReason, Forwarder } from './forwarder.ts';
import type { InterestTable, Wish } from './interest.ts';
import { Claim } from './message-ring.ts';
import { ttlDirect } from './messages.ts';
import type { DeliveryClass, Envelope, Part } from './messages.ts';
import type { Outbox } from './outbox-types.ts';
import { cut } from './parts.ts';
import { sizeOf } from './publication-size.ts';
import type { Publication } from './router-world.ts';
import { nextInTurn } from './turns.ts';

/** Groups whose last turn is remembered; the oldest starts anew. */
const turnsMax = 4096;

/** Which groups have members on this node. */
export interface GroupsHere {
  has(filter: string): boolean;
  matching(topic: string): Iterable<string>;
}

/** What it needs. */
export interface SharesWorld {
  readonly self: NodeId;
  readonly here: GroupsHere;
  readonly table: InterestTable;
  readonly outbox: Outbox;
  readonly forwarder: Forwarder;
  isLinked(node: NodeId): boolean;
  /** Encodes a copy for a group. */
  encode(
    publication: Publication,
    seq: number,
    ttl: number,
    share: string,
    part?: Part,
  ): Uint8Array;
  read(raw: Uint8Array): Envelope | undefined;
  /** The number of the next own signal. */
  nextSignal(): number;
  drop(reason: DropReason, count: number): void;
}

/** The chooser. */
export interface Shares {
  /** Copies that a message costs. */
  count(topic: string): number;
  /** The groups that have members anywhere and want the topic. */
  groups(topic: string): Iterable<string>;
  /** Sends a copy to one node for each group that has no member here. */
  publish(now: Millis, publication: Publication): void;
  /**
   * Sends a copy for one group to one node, to `had` only when there is no other: it had no member when it sent the
   * message here. Events are taken only while the outbox has room.
   * @returns false: no node has members, or there is no room; it is counted.
   */
  hand(now: Millis, filter: string, publication: Publication, had?: NodeId): boolean;
  /** A member is gone, or silent: what it alone is owed goes to others, where there are any. */
  gone(now: Millis, node: NodeId): void;
  /** A member says what it wants: what waits for dead ones may go to it. */
  heard(now: Millis, wish: Wish): void;
}

/** Builds it. */
export function createShares(world: SharesWorld): Shares {
  const { self, here, table, outbox, forwarder } = world;
  const turns = new BoundedMap<string, NodeId>(turnsMax);

  function choose(
    filter: string,
    kind: DeliveryClass,
    how: {
      readonly isDeadFit?: boolean;
      readonly notTo?: NodeId;
      readonly had?: NodeId | undefined;
    },
  ): NodeId | undefined {
    // Each origin begins after its own id, so that they do not all begin with the same node.
    const chosen = nextInTurn(table.sharers(filter), turns.get(filter) ?? self, (node) => {
      if (node === how.notTo || node === self) return Infinity;
      if (!outbox.isHere(node)) return how.isDeadFit === true && outbox.owes(node) ? 3 : Infinity;
      if (node === how.had) return 2;
      return forwarder.isSaturated(node, kind) ? 1 : 0;
    });
    if (chosen !== undefined) turns.set(filter, chosen);
    return chosen;
  }

  function owe(
    now: Millis,
    filter: string,
    publication: Publication,
    to: NodeId,
    part: Part | undefined,
  ): void {
    const raw = world.encode(publication, outbox.nextSeq(), ttlDirect, filter, part);
    outbox.append(now, raw, new Claim(filter, to));
  }

  function send(now: Millis, filter: string, publication: Publication, to: NodeId): void {
    if (publication.qos === 1) {
      for (const { payload, part } of cut(publication))
        owe(now, filter, { ...publication, payload }, to, part);
      return;
    }
    const raw = world.encode(publication, world.nextSignal(), ttlDirect, filter);
    const name = signalName(publication.topic, filter);
    if (world.isLinked(to)) forwarder.sendSignal(to, name, raw);
    else forwarder.sendSignalTo(to, name, raw);
  }

  function kindOf({ qos }: Publication): DeliveryClass {
    return qos === 1 ? 'event' : 'signal';
  }

  /** Owes an event to another node. */
  function move(now: Millis, node: NodeId, raw: Uint8Array, filter: string): boolean {
    const envelope = world.read(raw);
    if (envelope === undefined) return false;
    const { topic, payload, hlc, channel, part } = envelope;
    // The parts of a message go where its first one went.
    const isRest = part !== undefined && part.index > 0;
    const to = isRest ? turns.get(filter) : choose(filter, 'event', { notTo: node });
    if (to === undefined) return false;
    owe(now, filter, { topic, payload, hlc, channel, qos: 1, retain: false }, to, part);
    return true;
  }

  function reclaim(now: Millis, node: NodeId): void {
    outbox.reclaim(node, (raw, filter) => move(now, node, raw, filter));
    outbox.pump(now);
  }

  return {
    count(topic) {
      let count = 0;
      for (const filter of table.shares(topic)) if (!here.has(filter)) count += 1;
      return count;
    },
    *groups(topic) {
      yield* table.shares(topic);
      yield* here.matching(topic);
    },
    publish(now, publication) {
      const filters = table.shares(publication.topic);
      if (filters.length === 0) return;
      for (const filter of filters) {
        if (here.has(filter)) continue;
        // A dead node is owed what nobody else can take, as every member is.
        const to = choose(filter, kindOf(publication), { isDeadFit: publication.qos === 1 });
        if (to === undefined) world.drop('share-nobody', 1);
        else send(now, filter, publication, to);
      }
      if (publication.qos === 1) outbox.pump(now);
    },
    hand(now, filter, publication, had) {
      const to = choose(filter, kindOf(publication), { had });
      if (to === undefined) {
        world.drop('share-nobody', 1);
        return false;
      }
      if (publication.qos === 1 && !outbox.admits(sizeOf(publication))) {
        world.drop('share-full', 1);
        return false;
      }
      send(now, filter, publication, to);
      if (publication.qos === 1) outbox.pump(now);
      return true;
    },
    gone: reclaim,
    heard(now, { node, filters }) {
      if (filters === 'everything' || table.sharesCount() === 0) return;
      for (const away of outbox.away()) if (away !== node) reclaim(now, away);
    },
  };
}
