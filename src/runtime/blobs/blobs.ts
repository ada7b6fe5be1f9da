/** Blobs: content named by its hash, kept on disk, fetched chunk by chunk from whoever has it, going on where it stopped. */

import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { BlobFiles } from '../../ports/blobs.ts';
import type { Calls } from '../../ports/calls.ts';
import type { Clock } from '../../ports/clock.ts';
import type { MeshPort } from '../../ports/mesh.ts';
import type { Metrics } from '../../ports/metrics.ts';
import {
  blobBytesMax,
  blobChunkBytes,
  blobNameOf,
  chunkCountOf,
  encodeBlobList,
  hashOf,
  isChunk,
  readBlobList,
} from '../../wire/blob-list.ts';
import type { BlobList } from '../../wire/blob-list.ts';
import { concatBytes, utf8 } from '../../wire/bytes.ts';
import type { NodePart } from '../parts.ts';

/** Bytes of all blobs of one node; one more is refused with MYCEL_STORE_FULL. */
export const blobStoreBytesMax: number = 64 * 1024 * 1024 * 1024;

/** A holder that sends nothing for so long is left for another one, in ms. */
const stallMs = 10_000;

/** How long a fetch goes on without any progress, unless it is told otherwise, in ms. */
const patienceMsDefault = 60_000;

/** Between two rounds of asking everybody, in ms. */
const roundMs = 500;

/** How long one member may take to say whether it has a blob, in ms. */
const askMs = 5_000;

/** The longest a stream of chunks lasts before it is asked for anew, in ms. */
const streamMs = 3_600_000;

/** A blob that was put. */
export interface BlobInfo {
  /** 64 hex digits: the same content has the same name everywhere. */
  readonly hash: string;
  readonly bytes: number;
}

/** How to get a blob. */
export interface BlobOptions {
  /** Who is asked first. @default whoever answers first */
  readonly from?: NodeId;
  /** How long to go on without progress, in ms. @default 60_000 */
  readonly patienceMs?: number;
  readonly signal?: AbortSignal;
}

/** The blobs of a node. */
export interface Blobs {
  /** Keeps content; memory stays bounded whatever its size. @throws {MycelError} MYCEL_TOO_LARGE, MYCEL_STORE_FULL */
  put(source: Uint8Array | AsyncIterable<Uint8Array>): Promise<BlobInfo>;
  /**
   * The content, in chunks of at most 256 KiB, each checked. What is not here is fetched first, from any member that has it, and kept.
   * @throws {MycelError} MYCEL_BLOB_UNKNOWN, MYCEL_BLOB_DAMAGED, MYCEL_DEADLINE
   */
  get(hash: string, options?: BlobOptions): AsyncIterable<Uint8Array>;
  /** What is here whole, by name. */
  list(): Promise<readonly BlobInfo[]>;
  /**
   * One chunk of a blob that is here whole, checked; each but the last has 256 KiB.
   * @throws {MycelError} MYCEL_BLOB_UNKNOWN, MYCEL_BLOB_DAMAGED, MYCEL_BAD_OPTION for a chunk that it has not
   */
  chunk(hash: string, index: number): Promise<Uint8Array>;
  /** How many bytes of a blob are here, and of how many, as far as that is known. */
  progress(hash: string): Promise<{ readonly bytes: number; readonly of: number | undefined }>;
  /** Whether the whole content is here. */
  has(hash: string): Promise<boolean>;
  remove(hash: string): Promise<void>;
}

/** What blobs need. */
export interface BlobsWorld {
  readonly files: BlobFiles;
  readonly calls: Calls;
  readonly mesh: MeshPort;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/** Builds them. */
export function createBlobs(world: BlobsWorld): NodePart & { readonly handle: Blobs } {
  const { files, calls, mesh, clock, metrics } = world;
  const fetching = new Map<string, Promise<BlobList>>();
  /** Bytes of what is being fetched. */
  const sizes = new Map<string, number>();
  const stopping = new AbortController();
  let stopServing: (() => void)[] = [];
  let putCount = 0;

  const listName = (hash: string): string => `${hash}.list`;
  const partName = (hash: string): string => `${hash}.part`;

  async function listOf(hash: string): Promise<BlobList | undefined> {
    const size = await files.size(listName(hash));
    if (size === undefined) return undefined;
    return readBlobList(hash, await files.read(listName(hash), 0, size));
  }

  function chunk(hash: string, index: number): Promise<Uint8Array> {
    return files.read(hash, index * blobChunkBytes, blobChunkBytes);
  }

  async function keepList(hash: string, bytes: Uint8Array): Promise<void> {
    const draft = `${hash}.list.part`;
    await files.write(draft, 0, bytes);
    await files.settle(draft, listName(hash));
  }

  async function checkRoom(): Promise<number> {
    const left = blobStoreBytesMax - (await files.used());
    if (left > 0) return Math.min(left, blobBytesMax);
    throw new MycelError('MYCEL_STORE_FULL', { reason: `Blobs have ${blobStoreBytesMax} bytes.` });
  }

  async function put(source: Uint8Array | AsyncIterable<Uint8Array>): Promise<BlobInfo> {
    const room = await checkRoom();
    putCount += 1;
    const draft = `put-${putCount}-${mesh.boot()}.part`;
    const hashes: Uint8Array[] = [];
    let size = 0;
    try {
      await files.write(draft, 0, new Uint8Array());
      for await (const piece of chunked(source)) {
        if (size + piece.length > room) throw new MycelError('MYCEL_TOO_LARGE', { bytes: size });
        await files.write(draft, size, piece);
        hashes.push(hashOf(piece));
        size += piece.length;
      }
      const list = encodeBlobList({ size, hashes: concatBytes(...hashes) });
      const hash = blobNameOf(list);
      await files.settle(draft, hash);
      await keepList(hash, list);
      return { hash, bytes: size };
    } catch (error) {
      await files.remove(draft);
      throw error;
    }
  }

  /** Chunks of an unfinished fetch that are right: whatever was torn by a power cut is fetched again. */
  async function verified(hash: string, list: BlobList): Promise<number> {
    const size = (await files.size(partName(hash))) ?? 0;
    let count = 0;
    while (count < chunkCountOf(list) && count * blobChunkBytes < size) {
      const bytes = await files.read(partName(hash), count * blobChunkBytes, blobChunkBytes);
      if (!isChunk(list, count, bytes)) break;
      count += 1;
    }
    return count;
  }

  /** Takes chunks from one holder until the blob is whole, or it fails; gives how many there are. */
  async function drain(
    hash: string,
    list: BlobList,
    from: { readonly holder: NodeId; readonly count: number },
    signal: AbortSignal,
  ): Promise<number> {
    let { count } = from;
    const stalled = new AbortController();
    const either = AbortSignal.any([signal, stalled.signal]);
    let cancel = (): void => {};
    const watch = (): void => {
      cancel();
      cancel = clock.alarm(clock.now() + stallMs, () => stalled.abort(new Error('it stalls')));
    };
    try {
      watch();
      const body = utf8(`${hash} ${count}`);
      const how = { deadlineMs: streamMs, signal: either };
      for await (const bytes of calls.stream(from.holder, 'blob.chunks', body, how)) {
        if (!isChunk(list, count, bytes)) {
          throw new MycelError('MYCEL_BLOB_DAMAGED', { node: from.holder });
        }
        await files.write(partName(hash), count * blobChunkBytes, bytes);
        metrics.count('blob.chunks.in');
        count += 1;
        watch();
      }
    } catch (error) {
      signal.throwIfAborted();
      metrics.drop('blob', MycelError.is(error) ? error.code : 'stalled');
    } finally {
      cancel();
    }
    return count;
  }

  /** Whoever has it, and its list. */
  async function holders(
    hash: string,
    first: NodeId | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly nodes: NodeId[]; readonly list: Uint8Array | undefined }> {
    const all = mesh.peers().filter((peer) => peer !== first);
    const asked = first === undefined ? all : [first, ...all];
    const nodes: NodeId[] = [];
    let list: Uint8Array | undefined;
    await Promise.all(
      asked.map(async (node) => {
        try {
          const how = { deadlineMs: askMs, signal };
          const bytes = await calls.call(node, 'blob.list', utf8(hash), how);
          readBlobList(hash, bytes);
          list = bytes;
          nodes.push(node);
        } catch {
          signal.throwIfAborted();
        }
      }),
    );
    nodes.sort((left, right) => Number(right === first) - Number(left === first));
    return { nodes, list };
  }

  async function pause(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = clock.alarm(clock.now() + roundMs, resolve);
      signal.addEventListener('abort', () => (cancel(), resolve()), { once: true });
    });
    signal.throwIfAborted();
  }

  async function fetch(hash: string, options: BlobOptions): Promise<BlobList> {
    const { from, patienceMs = patienceMsDefault } = options;
    const signals = [stopping.signal, ...(options.signal === undefined ? [] : [options.signal])];
    const signal = AbortSignal.any(signals);
    let isKnown = false;
    let have: number | undefined;
    for (let lastAt = clock.now(); clock.now() - lastAt <= patienceMs;) {
      const found = await holders(hash, from, signal);
      if (found.list !== undefined) {
        isKnown = true;
        const list = readBlobList(hash, found.list);
        sizes.set(hash, list.size);
        have ??= await verified(hash, list);
        for (const holder of found.nodes) {
          if (have === chunkCountOf(list)) break;
          const count = await drain(hash, list, { holder, count: have }, signal);
          if (count > have) lastAt = clock.now();
          have = count;
        }
        if (have === chunkCountOf(list)) return await finish(hash, list, found.list);
      }
      await pause(signal);
    }
    throw new MycelError(isKnown ? 'MYCEL_DEADLINE' : 'MYCEL_BLOB_UNKNOWN', { hash });
  }

  async function finish(hash: string, list: BlobList, bytes: Uint8Array): Promise<BlobList> {
    if (list.size === 0) await files.write(partName(hash), 0, new Uint8Array());
    await files.settle(partName(hash), hash);
    await keepList(hash, bytes);
    return list;
  }

  async function here(hash: string, options: BlobOptions): Promise<BlobList> {
    const kept = await listOf(hash);
    if (kept !== undefined) return kept;
    let going = fetching.get(hash);
    if (going === undefined) {
      await checkRoom();
      going = fetch(hash, options).finally(() => {
        fetching.delete(hash);
        sizes.delete(hash);
      });
      fetching.set(hash, going);
    }
    return await going;
  }

  async function checked(hash: string, list: BlobList, index: number): Promise<Uint8Array> {
    const bytes = await chunk(hash, index);
    if (isChunk(list, index, bytes)) return bytes;
    // The disk lies: forgotten here, it can be fetched again.
    await files.remove(listName(hash));
    throw new MycelError('MYCEL_BLOB_DAMAGED', { hash, reason: 'The copy on this disk is.' });
  }

  async function oneChunk(hash: string, index: number): Promise<Uint8Array> {
    const list = await listOf(checkHash(hash));
    if (list === undefined) throw new MycelError('MYCEL_BLOB_UNKNOWN', { hash });
    if (Number.isInteger(index) && index >= 0 && index < chunkCountOf(list)) {
      return checked(hash, list, index);
    }
    const reason = `It has ${chunkCountOf(list)} chunks, counted from 0.`;
    throw new MycelError('MYCEL_BAD_OPTION', { reason });
  }

  async function progress(
    hash: string,
  ): Promise<{ readonly bytes: number; readonly of: number | undefined }> {
    const whole = await listOf(checkHash(hash));
    if (whole !== undefined) return { bytes: whole.size, of: whole.size };
    const bytes = (await files.size(partName(hash))) ?? 0;
    return { bytes, of: sizes.get(hash) };
  }

  async function list(): Promise<readonly BlobInfo[]> {
    const found: BlobInfo[] = [];
    for (const { name } of await files.list()) {
      const hash = name.endsWith('.list') ? name.slice(0, -'.list'.length) : '';
      const known = /^[0-9a-f]{64}$/.test(hash) ? await listOf(hash) : undefined;
      if (known !== undefined) found.push({ hash, bytes: known.size });
    }
    return found.toSorted((left, right) => (left.hash < right.hash ? -1 : 1));
  }

  async function* get(hash: string, options: BlobOptions = {}): AsyncGenerator<Uint8Array> {
    checkHash(hash);
    const list = await here(hash, options);
    for (let index = 0; index < chunkCountOf(list); index += 1) {
      yield await checked(hash, list, index);
    }
  }

  async function* chunksFrom(body: Uint8Array): AsyncGenerator<Uint8Array> {
    const [hash = '', from = ''] = new TextDecoder().decode(body).split(' ');
    checkHash(hash);
    const list = await listOf(hash);
    if (list === undefined) throw new MycelError('MYCEL_BLOB_UNKNOWN', { hash });
    for (let index = Number(from); index < chunkCountOf(list); index += 1) {
      yield await chunk(hash, index);
    }
  }

  return {
    handle: {
      put,
      get,
      list,
      chunk: oneChunk,
      progress,
      has: async (hash) => (await files.size(listName(checkHash(hash)))) !== undefined,
      async remove(hash) {
        await files.remove(listName(checkHash(hash)));
        await files.remove(hash);
      },
    },
    async start() {
      stopServing = [
        calls.serve('blob.list', async (body) => {
          const hash = checkHash(new TextDecoder().decode(body));
          const size = await files.size(listName(hash));
          if (size === undefined) throw new MycelError('MYCEL_BLOB_UNKNOWN', { hash });
          return files.read(listName(hash), 0, size);
        }),
        calls.serveStream('blob.chunks', chunksFrom),
      ];
    },
    async stop() {
      for (const end of stopServing) end();
      stopping.abort(new MycelError('MYCEL_NOT_RUNNING'));
      await Promise.allSettled(fetching.values());
    },
  };
}

function checkHash(hash: string): string {
  if (/^[0-9a-f]{64}$/.test(hash)) return hash;
  throw new MycelError('MYCEL_BAD_OPTION', { reason: 'A blob is named by 64 hex digits.' });
}

/** Cuts whatever comes into chunks of the one size. */
async function* chunked(
  source: Uint8Array | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const own = new Uint8Array(blobChunkBytes);
  let used = 0;
  for await (const part of source instanceof Uint8Array ? [source] : source) {
    for (let at = 0; at < part.length;) {
      const taken = Math.min(blobChunkBytes - used, part.length - at);
      own.set(part.subarray(at, at + taken), used);
      used += taken;
      at += taken;
      if (used < blobChunkBytes) continue;
      yield own.slice();
      used = 0;
    }
  }
  if (used > 0) yield own.slice(0, used);
}
