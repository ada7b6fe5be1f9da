/** The disk rung: where the members of the mesh were when this node last saw them. */

import { formatAddress, parseAddress } from '../../kernel/address.ts';
import type { Address } from '../../kernel/address.ts';
import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';
import { isNodeId } from '../../kernel/ids.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Rung, RungHandlers } from '../../ports/discovery.ts';
import { createDoublingTimer } from '../discovery/doubling-timer.ts';

/** Peers kept on disk; the one confirmed longest ago makes room. */
export const knownPeersMax = 128;

/** Addresses kept per peer. */
const knownAddressesMax = 4;

/** At most one write in this time, in ms: flash wears. */
export const saveEveryMs = 60_000;

/** The first write after a quiet time waits this long for more news, in ms. */
const saveSoonMs = 1_000;

/** `stop` waits this long for the last write, in ms. */
const lastSaveMsMax = 1_000;

/** Pause between reports, in ms: 1 s, doubling to a minute. */
const repeatMs = [1_000, 60_000] as const;

/** A peer as it is stored: plain data, fit for JSON. */
export interface KnownPeer {
  readonly node: NodeId;
  readonly meshTag: string;
  readonly addresses: readonly Address[];
}

/** How to build the rung. */
export interface DiskRungOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** What was last saved, newest first. Checked entry by entry; whatever is not a known peer is dropped. */
  load(): Promise<unknown>;
  save(peers: readonly KnownPeer[]): Promise<void>;
}

/** The rung, with what the node learns about its peers. */
export interface DiskRung extends Rung {
  /** The peer was reached at these addresses. Written within a minute, and not at all when it is no news. */
  remember(node: NodeId, addresses: readonly Address[], meshTag: string): void;
  /** The peer left or was expelled: it is not dialled after a restart. */
  forget(node: NodeId): void;
}

/** Builds the rung; `load` is called in `start`. */
export function createDiskRung(options: DiskRungOptions): DiskRung {
  const { clock, random } = options;
  /** Oldest first. */
  const peers = new BoundedMap<NodeId, { peer: KnownPeer; at: Millis }>(knownPeersMax);
  let handlers: RungHandlers | undefined;
  let isStopped = false;
  let isDirty = false;
  let savedAt: Millis = -Infinity;
  let saving: Promise<void> | undefined;
  let cancelSave: (() => void) | undefined;
  let problem: string | undefined;

  const repeats = createDoublingTimer({
    clock,
    random,
    firstMs: repeatMs[0],
    maxMs: repeatMs[1],
    ring: report,
  });

  function report(): void {
    for (const { peer } of [...peers.values()].toReversed()) {
      const { node, meshTag, addresses } = peer;
      if (!isStopped) handlers?.seen({ rung: 'disk', node, meshTag, addresses });
    }
  }

  function say(reason: string | undefined): void {
    if (reason === problem || isStopped) return;
    problem = reason;
    const fix = 'See "mycel doctor" for the data directory: it may be full, read-only or damaged.';
    handlers?.trouble(reason === undefined ? undefined : { reason, fix });
  }

  function touch(): void {
    isDirty = true;
    if (isStopped || saving !== undefined || cancelSave !== undefined) return;
    const at = Math.max(clock.now() + saveSoonMs, savedAt + saveEveryMs);
    cancelSave = clock.alarm(at, () => {
      cancelSave = undefined;
      saving = save().finally(() => {
        saving = undefined;
        if (isDirty) touch();
      });
    });
  }

  async function save(): Promise<void> {
    savedAt = clock.now();
    isDirty = false;
    try {
      await options.save([...peers.values()].toReversed().map(({ peer }) => peer));
      say(undefined);
    } catch (error) {
      isDirty = true;
      say(`The known peers cannot be saved (${messageOf(error)}).`);
    }
  }

  async function load(): Promise<void> {
    try {
      const loaded = await options.load();
      if (isStopped) return;
      const list = Array.isArray(loaded) ? loaded.slice(0, knownPeersMax) : [];
      for (const entry of list.toReversed()) {
        const peer = readPeer(entry);
        // What was learnt while the disk was being read is newer.
        if (peer !== undefined && !peers.has(peer.node))
          peers.set(peer.node, { peer, at: clock.now() });
      }
    } catch (error) {
      say(`The known peers cannot be read (${messageOf(error)}).`);
    }
  }

  return {
    name: 'disk',
    async start(given) {
      if (handlers !== undefined || isStopped) return;
      handlers = given;
      await load();
      if (!isStopped) repeats.restart();
    },
    // The disk tells nobody else.
    announce() {},
    burst() {
      if (handlers !== undefined && !isStopped) repeats.restart();
    },
    remember(node, addresses, meshTag) {
      const peer = readPeer({ node, addresses, meshTag });
      if (peer === undefined || isStopped) return;
      const isNews = JSON.stringify(peers.get(node)?.peer) !== JSON.stringify(peer);
      peers.set(node, { peer, at: clock.now() });
      if (isNews) touch();
    },
    forget(node) {
      if (isStopped || !peers.delete(node)) return;
      touch();
      handlers?.lost(node);
    },
    records: () =>
      [...peers.values()].toReversed().map(({ peer, at }) => ({
        node: peer.node,
        meshTag: peer.meshTag,
        addresses: peer.addresses,
        ageMs: Math.max(0, clock.now() - at),
      })),
    async stop() {
      if (isStopped) return;
      isStopped = true;
      repeats.stop();
      cancelSave?.();
      const last = (saving ?? Promise.resolve()).then(() => (isDirty ? save() : undefined));
      await new Promise<void>((resolve) => {
        const cancel = clock.alarm(clock.now() + lastSaveMsMax, resolve);
        void last.then(() => {
          cancel();
          resolve();
        });
      });
    },
  };
}

/** The entry as a known peer, its addresses cut to the bound, or undefined when anything in it is not right. */
function readPeer(entry: unknown): KnownPeer | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  const { node, meshTag, addresses } = entry as Record<string, unknown>;
  if (typeof node !== 'string' || !isNodeId(node)) return undefined;
  if (typeof meshTag !== 'string' || !/^[0-9a-f]{16}$/.test(meshTag)) return undefined;
  if (!Array.isArray(addresses)) return undefined;
  const good = addresses.slice(0, knownAddressesMax).filter(isAddress);
  return good.length === 0 ? undefined : { node, meshTag, addresses: good };
}

function isAddress(value: unknown): value is Address {
  if (typeof value !== 'object' || value === null) return false;
  const { host, port } = value as Record<string, unknown>;
  if (typeof host !== 'string' || typeof port !== 'number') return false;
  return parseAddress(formatAddress({ host, port }), 0) !== undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
