/** The last states of agents: kept here for the agents of other nodes, and by other nodes for the agents here. */

import * as z from 'zod/mini';
import { BoundedMap } from '../../kernel/bounded-map.ts';
import { MycelError } from '../../kernel/errors.ts';
import { rendezvousOrder } from '../../kernel/hash.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { WeighedMap } from '../../kernel/weighed-map.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';
import type { PartWorld } from '../parts.ts';

/** Largest checkpoint, in bytes. */
export const checkpointBytesMax: number = 64 * 1024;

/** Checkpoints one node keeps: those of a full node, and its share of the copies of others; the one written longest ago goes. */
export const checkpointsMax = 4096;

/** Bytes of them all: 256 of the largest. The ones written longest ago go. */
export const checkpointsBytesMax: number = 16 * 1024 * 1024;

/** Other nodes that keep a copy. */
export const checkpointCopies = 2;

/** How long a node waits for a copy to be kept, or to be given back, in ms. */
const copyMs = 700;

/** A state and which it is. */
interface Kept {
  readonly epoch: number;
  readonly seq: number;
  readonly bytes: Uint8Array;
}

const keptSchema = z.object({
  instance: z.string().check(z.maxLength(128)),
  epoch: z.int().check(z.gte(1)),
  seq: z.int().check(z.gte(0)),
  bytes: z.instanceof(Uint8Array),
});

/** The checkpoints of one node. */
export interface Checkpoints {
  /** Keeps a state here and on other nodes. @throws {MycelError} MYCEL_TOO_LARGE, MYCEL_FENCED when a later holder has written */
  save(instance: string, epoch: number, state: unknown): Promise<void>;
  /** The latest state that this node or any other has. */
  restore(
    instance: string,
  ): Promise<{ readonly state: unknown; readonly epoch: number } | undefined>;
  /** What is kept here, without asking. */
  local(instance: string): unknown;
  forget(instance: string): void;
  start(): void;
  stop(): void;
}

/** Builds them. */
export function createCheckpoints(world: PartWorld): Checkpoints {
  const { calls, mesh, log, metrics } = world;
  const limits = { count: checkpointsMax, weight: checkpointsBytesMax };
  const kept = new WeighedMap<string, Kept>(limits, ({ bytes }) => bytes.byteLength);
  const seqs = new BoundedMap<string, number>(checkpointsMax);
  let ends: (() => void)[] = [];

  function keep(instance: string, next: Kept): boolean {
    const known = kept.get(instance);
    const isOlder =
      known !== undefined &&
      (next.epoch < known.epoch || (next.epoch === known.epoch && next.seq < known.seq));
    if (isOlder) return false;
    const evictedBefore = kept.evictedCount;
    kept.set(instance, next);
    const evicted = kept.evictedCount - evictedBefore;
    if (evicted > 0) metrics.drop('agent', 'checkpoint', evicted);
    return true;
  }

  const homes = (instance: string): NodeId[] =>
    rendezvousOrder(`checkpoint ${instance}`, mesh.peers()).slice(0, checkpointCopies);

  return {
    async save(instance, epoch, state) {
      const bytes = encodeCbor(state);
      if (bytes.byteLength > checkpointBytesMax) {
        throw new MycelError('MYCEL_TOO_LARGE', {
          reason: `A checkpoint of ${bytes.byteLength} bytes is larger than ${checkpointBytesMax}.`,
          fix: 'Keep what is large elsewhere, and its name in the checkpoint.',
        });
      }
      const seq = (seqs.get(instance) ?? 0) + 1;
      seqs.set(instance, seq);
      const mine = { epoch, seq, bytes: Uint8Array.from(bytes) };
      if (!keep(instance, mine)) throw new MycelError('MYCEL_FENCED', { instance });
      const body = encodeCbor({ instance, ...mine });
      const answers = await Promise.allSettled(
        homes(instance).map((node) =>
          calls.call(node, 'agents/keep', body, { deadlineMs: copyMs }),
        ),
      );
      for (const one of answers) {
        // Somebody has a later holder's state: this one is not the holder any more.
        if (
          one.status === 'rejected' &&
          MycelError.is(one.reason) &&
          one.reason.code === 'MYCEL_FENCED'
        )
          throw one.reason;
      }
    },
    async restore(instance) {
      const body = encodeCbor(instance);
      const answers = await Promise.allSettled(
        mesh.peers().map((node) => calls.call(node, 'agents/give', body, { deadlineMs: copyMs })),
      );
      for (const one of answers) {
        if (one.status !== 'fulfilled' || one.value.byteLength === 0) continue;
        const read = keptSchema.safeParse(safeDecode(one.value));
        if (read.success) keep(instance, { ...read.data, bytes: Uint8Array.from(read.data.bytes) });
      }
      const best = kept.get(instance);
      if (best === undefined) return undefined;
      seqs.set(instance, Math.max(seqs.get(instance) ?? 0, best.seq));
      return { state: decodeCbor(best.bytes), epoch: best.epoch };
    },
    local(instance) {
      const best = kept.get(instance);
      return best === undefined ? undefined : decodeCbor(best.bytes);
    },
    forget(instance) {
      kept.delete(instance);
      seqs.delete(instance);
    },
    start() {
      ends = [
        calls.serve('agents/keep', async (body) => {
          const read = keptSchema.safeParse(decodeCbor(body));
          if (!read.success || read.data.bytes.byteLength > checkpointBytesMax) {
            throw new MycelError('MYCEL_BAD_BYTES');
          }
          const { instance, epoch, seq, bytes } = read.data;
          if (!keep(instance, { epoch, seq, bytes: Uint8Array.from(bytes) })) {
            throw new MycelError('MYCEL_FENCED', { instance });
          }
          return new Uint8Array(0);
        }),
        calls.serve('agents/give', async (body) => {
          const instance = String(decodeCbor(body));
          const best = kept.get(instance);
          return best === undefined ? new Uint8Array(0) : encodeCbor({ instance, ...best });
        }),
      ];
    },
    stop() {
      for (const end of ends.splice(0)) end();
      log.debug({ kept: kept.size }, 'checkpoints are let go');
    },
  };
}

function safeDecode(bytes: Uint8Array): unknown {
  try {
    return decodeCbor(bytes);
  } catch {
    return undefined;
  }
}
