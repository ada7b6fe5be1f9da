/**
 * Caches of a mesh. Every node keeps near copies for a while; a write anywhere makes all others forget theirs. A cache
 * with owners keeps each value at one member, chosen by rendezvous hashing, whom the others ask.
 */

import { MycelError } from '../../kernel/errors.ts';
import { rendezvousOrder } from '../../kernel/hash.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Plain } from '../../protocol/replication/cell.ts';
import { weighValue } from '../../protocol/replication/weight.ts';
import { decodeCacheMessage, encodeCacheMessage } from '../../wire/cache-codec.ts';
import type { CacheMessage } from '../../wire/cache-codec.ts';
import type { NodePart, PartWorld } from '../parts.ts';
import { CacheShelf } from './cache-shelf.ts';

const protocol = 'cache';

/** How long an owner may take to answer, in ms; then it counts as a miss. */
const ownerMs = 1_000;

/** Caches of one node. */
const cachesMax = 64;

/** Bytes that all around a value takes. */
const entryBytes = 64;

/** How a cache behaves; the same on every node. */
export interface CacheOptions {
  /** How long a value holds, in ms, unless `set` says otherwise. @default 60_000 */
  readonly ttlMs?: number;
  /** How long a near copy of an owner's value holds, in ms. @default 5_000 */
  readonly nearMs?: number;
  /** Each value lives at one member that all ask; otherwise each node caches for itself. @default false */
  readonly hasOwners?: boolean;
  /** @default 1_000 */
  readonly entriesMax?: number;
  /** @default 4 MiB */
  readonly bytesMax?: number;
}

/** What a cache did since it was opened. */
export interface CacheStats {
  readonly hits: number;
  readonly misses: number;
  /** Values that an owner elsewhere gave. */
  readonly fetched: number;
  /** Copies that were forgotten because somebody wrote. */
  readonly invalidated: number;
  readonly entries: number;
  readonly bytes: number;
}

/** One cache, in plain data. */
export interface PlainCache {
  get(key: string): Promise<Plain | undefined>;
  set(key: string, value: Plain, ttlMs?: number): Promise<void>;
  delete(key: string): Promise<void>;
  owner(key: string): NodeId | undefined;
  stats(): CacheStats;
}

interface Room {
  readonly options: Required<CacheOptions>;
  /** What this node owns, or caches for itself. */
  readonly own: CacheShelf;
  /** Copies of what others own. */
  readonly near: CacheShelf;
  readonly counts: { hits: number; misses: number; fetched: number; invalidated: number };
  /** Keys being fetched; an invalidation on the way makes the answer too old to keep. */
  readonly fetching: Map<string, { isStale: boolean }>;
}

/** The caches of one node. */
export interface MeshCaches {
  readonly part: NodePart;
  /** Opens a cache; the same name gives the same one. @throws {RangeError} more than 64 of them */
  open(name: string, options?: CacheOptions): PlainCache;
}

/** Builds them. */
export function createMeshCaches(world: PartWorld): MeshCaches {
  const { calls, clock, mesh, metrics } = world;
  const rooms = new Map<string, Room>();
  let stops: (() => void)[] = [];

  const ownerOf = (name: string, key: string): NodeId =>
    rendezvousOrder(`${name}\u0000${key}`, [mesh.self, ...mesh.peers()])[0] ?? mesh.self;

  function forget(room: Room, key: string): void {
    const isKnown = room.near.delete(key) || (!room.options.hasOwners && room.own.delete(key));
    if (isKnown) room.counts.invalidated += 1;
    const fetch = room.fetching.get(key);
    if (fetch !== undefined) fetch.isStale = true;
  }

  /** Makes all other nodes forget their copies. */
  function invalidate(cache: string, key: string): void {
    const bytes = encodeCacheMessage({ cache, key });
    for (const node of mesh.peers()) mesh.send(node, protocol, bytes);
  }

  function put(shelf: CacheShelf, key: string, value: Plain, ttlMs: number): void {
    const bytes = weighValue(value) + 2 * key.length + entryBytes;
    shelf.put(key, value, bytes, clock.now() + ttlMs);
  }

  function roomOf(name: string, options: CacheOptions = {}): Room {
    const known = rooms.get(name);
    if (known !== undefined) return known;
    if (rooms.size >= cachesMax) throw new RangeError(`more than ${cachesMax} caches`);
    const all = {
      ttlMs: options.ttlMs ?? 60_000,
      nearMs: options.nearMs ?? 5_000,
      hasOwners: options.hasOwners ?? false,
      entriesMax: options.entriesMax ?? 1_000,
      bytesMax: options.bytesMax ?? 4 * 1024 * 1024,
    };
    const room: Room = {
      options: all,
      own: new CacheShelf(all),
      near: new CacheShelf(all),
      counts: { hits: 0, misses: 0, fetched: 0, invalidated: 0 },
      fetching: new Map(),
    };
    rooms.set(name, room);
    return room;
  }

  /** Asks the owner; what it does not know, or cannot say in time, is a miss. */
  async function fetch(
    room: Room,
    name: string,
    key: string,
    from: NodeId,
  ): Promise<Plain | undefined> {
    const fetching = { isStale: false };
    room.fetching.set(key, fetching);
    try {
      const body = encodeCacheMessage({ cache: name, key });
      const answer = await calls.call(from, 'cache.get', body, { deadlineMs: ownerMs });
      const kept = answer.length === 0 ? undefined : decodeCacheMessage(answer)?.kept;
      if (kept === undefined) return undefined;
      room.counts.fetched += 1;
      const nearMs = Math.min(kept.ttlMs, room.options.nearMs);
      if (!fetching.isStale) put(room.near, key, kept.value, nearMs);
      return kept.value;
    } catch {
      metrics.count('cache.owner_silent');
      return undefined;
    } finally {
      if (room.fetching.get(key) === fetching) room.fetching.delete(key);
    }
  }

  function serve(
    method: string,
    answer: (room: Room, message: CacheMessage) => Uint8Array,
  ): () => void {
    return calls.serve(method, async (body) => {
      const message = decodeCacheMessage(body);
      if (message === undefined) throw new MycelError('MYCEL_BAD_BYTES');
      return answer(roomOf(message.cache, { hasOwners: true }), message);
    });
  }

  const nothing = new Uint8Array(0);

  return {
    part: {
      async start() {
        stops = [
          mesh.handle(protocol, (_, bytes) => {
            const message = decodeCacheMessage(bytes);
            const room = message && rooms.get(message.cache);
            if (message !== undefined && room !== undefined) forget(room, message.key);
          }),
          serve('cache.get', (room, { cache, key }) => {
            const found = room.own.get(key, clock.now());
            if (found === undefined) return nothing;
            const ttlMs = Math.ceil(found.leftMs);
            return encodeCacheMessage({ cache, key, kept: { value: found.value, ttlMs } });
          }),
          serve('cache.set', (room, { cache, key, kept }) => {
            if (kept === undefined) room.own.delete(key);
            else put(room.own, key, kept.value, kept.ttlMs);
            invalidate(cache, key);
            return nothing;
          }),
        ];
      },
      async stop() {
        for (const end of stops) end();
        stops = [];
        rooms.clear();
      },
    },
    open(name, options) {
      const room = (): Room => roomOf(name, options);
      room();
      const isMine = (key: string): boolean =>
        !room().options.hasOwners || ownerOf(name, key) === mesh.self;

      async function write(key: string, kept: CacheMessage['kept']): Promise<void> {
        forget(room(), key);
        if (isMine(key)) {
          if (kept === undefined) room().own.delete(key);
          else put(room().own, key, kept.value, kept.ttlMs);
          return invalidate(name, key);
        }
        const body = encodeCacheMessage({ cache: name, key, kept });
        await calls.call(ownerOf(name, key), 'cache.set', body, { deadlineMs: ownerMs });
      }

      return {
        async get(key) {
          const here = room();
          const now = clock.now();
          const isOwn = isMine(key);
          const found = isOwn ? here.own.get(key, now) : here.near.get(key, now);
          if (found !== undefined) {
            here.counts.hits += 1;
            metrics.count('cache.hits');
            return found.value;
          }
          const value = isOwn ? undefined : await fetch(here, name, key, ownerOf(name, key));
          if (value === undefined) here.counts.misses += 1;
          else here.counts.hits += 1;
          metrics.count(value === undefined ? 'cache.misses' : 'cache.hits');
          return value;
        },
        set: (key, value, ttlMs) => write(key, { value, ttlMs: ttlMs ?? room().options.ttlMs }),
        delete: (key) => write(key, undefined),
        owner: (key) => (room().options.hasOwners ? ownerOf(name, key) : undefined),
        stats: () => ({
          ...room().counts,
          entries: room().own.size + room().near.size,
          bytes: room().own.bytes + room().near.bytes,
        }),
      };
    },
  };
}
