/** What one rung has heard of whom: bounded, expiring, and quiet about what did not change. */

import { formatAddress, type Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import type { BeaconState, RungHandlers, RungName, RungRecord } from '../../ports/discovery.ts';

/** Nodes a rung remembers at once. Beyond that the source with the most entries loses its oldest one. */
export const sightingsMax = 256;

/** Addresses kept per node; the longest unheard one makes room. */
export const sightingAddressesMax = 8;

/** A node heard again without news is reported again at most this often, so that a failed dial gets a new chance. */
export const sightingRepeatMs = 10_000;

/** One node, heard now. */
export interface Heard {
  readonly node: NodeId;
  readonly meshTag?: string;
  readonly state?: BeaconState;
  /** Best first. An empty list is ignored. */
  readonly addresses: readonly Address[];
  /** How long this stays true without being heard again, in ms. */
  readonly holdMs: number;
  /** Who said it: an IP address, or a node id for what peers told. */
  readonly source: string;
  /** Anything that changes when the node restarts. */
  readonly mark?: number;
}

/** What became of it. */
type Verdict = 'new' | 'restarted' | 'known' | 'ignored';

/** The table. Reports to the handlers it was opened with. */
export interface SightingTable {
  hear(heard: Heard): Verdict;
  /** A goodbye; when `source` is given, only somebody at an address of the node (or who told of it) is believed. */
  forget(node: NodeId, source?: string): void;
  records(): readonly RungRecord[];
  readonly size: number;
  /** Reports everything again. */
  repeat(): void;
  /** Forgets everything and reports nothing any more. */
  close(): void;
}

interface Entry {
  heard: Heard;
  heardAt: Millis;
  reportedAt: Millis;
  expiresAt: Millis;
  /** By address text; newest first when reported. */
  addresses: Map<string, { address: Address; expiresAt: Millis }>;
}

/** Opens a table for one rung. */
export function createSightingTable(options: {
  readonly rung: RungName;
  readonly clock: Clock;
  readonly handlers: RungHandlers;
  readonly limit?: number;
}): SightingTable {
  const { clock, handlers, rung } = options;
  const limit = options.limit ?? sightingsMax;
  const entries = new Map<NodeId, Entry>();
  let alarmAt = Infinity;
  let cancelAlarm = (): void => {};
  let isClosed = false;

  function report(entry: Entry): void {
    entry.reportedAt = clock.now();
    const { node, meshTag, state } = entry.heard;
    handlers.seen({
      rung,
      node,
      ...(meshTag === undefined ? {} : { meshTag }),
      ...(state === undefined ? {} : { state }),
      addresses: addressesOf(entry),
    });
  }

  function remove(node: NodeId): void {
    if (entries.delete(node)) handlers.lost(node);
  }

  function arm(at: Millis): void {
    if (at >= alarmAt) return;
    cancelAlarm();
    alarmAt = at;
    cancelAlarm = clock.alarm(at, expire);
  }

  function expire(): void {
    alarmAt = Infinity;
    const now = clock.now();
    let soonest = Infinity;
    for (const [node, entry] of entries) {
      if (isClosed) return;
      if (entry.expiresAt <= now) {
        remove(node);
        continue;
      }
      for (const [text, known] of entry.addresses) {
        if (known.expiresAt <= now) entry.addresses.delete(text);
      }
      soonest = Math.min(soonest, entry.expiresAt);
    }
    if (soonest < Infinity && !isClosed) arm(soonest);
  }

  return {
    hear(heard) {
      if (isClosed || heard.addresses.length === 0) return 'ignored';
      const now = clock.now();
      const old = entries.get(heard.node);
      const entry: Entry = old ?? {
        heard,
        heardAt: now,
        reportedAt: -Infinity,
        expiresAt: 0,
        addresses: new Map(),
      };
      const isNews = learnAddresses(entry, heard, now) || isChanged(entry, heard);
      const isRestarted = old !== undefined && heard.mark !== entry.heard.mark;
      entry.heard = heard;
      entry.heardAt = now;
      entry.expiresAt = now + heard.holdMs;
      // Written again: the map's order is the order of hearing, oldest first.
      entries.delete(heard.node);
      entries.set(heard.node, entry);
      if (entries.size > limit) remove(crowdedOut(entries));
      arm(entry.expiresAt);
      const isDue = now - entry.reportedAt >= sightingRepeatMs;
      if (entries.has(heard.node) && (isNews || isRestarted || isDue)) report(entry);
      if (old === undefined) return 'new';
      return isRestarted ? 'restarted' : 'known';
    },
    forget(node, source) {
      const entry = entries.get(node);
      if (isClosed || entry === undefined) return;
      const isTrusted =
        source === undefined ||
        entry.heard.source === source ||
        addressesOf(entry).some((address) => address.host === source);
      if (isTrusted) remove(node);
    },
    records: () => [...entries.values()].map((entry) => recordOf(entry, clock.now())),
    get size() {
      return entries.size;
    },
    repeat() {
      for (const entry of entries.values()) if (!isClosed) report(entry);
    },
    close() {
      isClosed = true;
      cancelAlarm();
      entries.clear();
    },
  };
}

/** Puts the heard addresses in front of the older ones. Returns whether one of them is new. */
function learnAddresses(entry: Entry, heard: Heard, now: Millis): boolean {
  const expiresAt = now + heard.holdMs;
  const given = heard.addresses.slice(0, sightingAddressesMax);
  const merged = new Map(
    given.map((address) => [formatAddress(address), { address, expiresAt }] as const),
  );
  const isNews = [...merged.keys()].some((text) => !entry.addresses.has(text));
  for (const [text, known] of entry.addresses) {
    if (merged.size >= sightingAddressesMax) break;
    if (!merged.has(text) && known.expiresAt > now) merged.set(text, known);
  }
  entry.addresses = merged;
  return isNews;
}

function isChanged(entry: Entry, heard: Heard): boolean {
  return entry.heard.meshTag !== heard.meshTag || entry.heard.state !== heard.state;
}

/** The oldest entry of the source that fills the table most: a flooder pushes out its own inventions first. */
function crowdedOut(entries: ReadonlyMap<NodeId, Entry>): NodeId {
  const counts = new Map<string, number>();
  let most = 0;
  for (const { heard } of entries.values()) {
    const count = (counts.get(heard.source) ?? 0) + 1;
    counts.set(heard.source, count);
    most = Math.max(most, count);
  }
  for (const [node, { heard }] of entries) {
    if (counts.get(heard.source) === most) return node;
  }
  return [...entries.keys()][0] as NodeId;
}

function addressesOf(entry: Entry): Address[] {
  return [...entry.addresses.values()].map((known) => known.address);
}

function recordOf(entry: Entry, now: Millis): RungRecord {
  const { node, meshTag, state } = entry.heard;
  return {
    node,
    ...(meshTag === undefined ? {} : { meshTag }),
    ...(state === undefined ? {} : { state }),
    addresses: addressesOf(entry),
    ageMs: Math.max(0, now - entry.heardAt),
  };
}
