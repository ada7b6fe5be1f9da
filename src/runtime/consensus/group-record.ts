/** What a node remembers of its group between starts, and how groups are named. */

import { randomBytes } from 'node:crypto';
import type { MeshId } from '../../kernel/ids.ts';
import type { Store } from '../../ports/store.ts';
import * as z from 'zod/mini';
import { toHex } from '../../wire/bytes.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';

/** The name of the record in the store. */
const recordName = 'consensus';

/** A seat in a group of a mesh. */
export interface GroupRecord {
  readonly mesh: MeshId;
  readonly group: string;
  readonly seat: number;
}

const shape = z.tuple([
  z.literal(1),
  z.string().check(z.regex(/^[0-9a-f]{32}$/)),
  z.string().check(z.regex(/^[0-9a-f]{32}$/)),
  z.int().check(z.gte(1)),
]);

/** Reads it; undefined when there is none, or none that this version understands. */
export async function readGroupRecord(store: Store): Promise<GroupRecord | undefined> {
  const bytes = await store.read(recordName);
  if (bytes === undefined) return undefined;
  try {
    const parsed = shape.safeParse(decodeCbor(bytes));
    if (!parsed.success) return undefined;
    const [, mesh, group, seat] = parsed.data;
    return { mesh: mesh as MeshId, group, seat };
  } catch {
    return undefined;
  }
}

/** Writes it. */
export async function writeGroupRecord(store: Store, record: GroupRecord): Promise<void> {
  await store.write(recordName, encodeCbor([1, record.mesh, record.group, record.seat]));
}

/** Forgets it. */
export async function removeGroupRecord(store: Store): Promise<void> {
  await store.remove(recordName);
}

/** The record of how many voters the group of a mesh had when this node last knew. */
const votersName = 'consensus-voters';

const votersShape = z.tuple([z.literal(1), z.string().check(z.maxLength(64)), z.int()]);

/** Whether a mesh's group goes on without this node: then it must not begin another one when it has lost its seat. */
export interface VoterMemory {
  /** The group has so many voters now. */
  note(mesh: MeshId, voters: number): void;
  /** It had more than one. */
  goesOn(mesh: MeshId): Promise<boolean>;
}

/** Builds it. What cannot be written is not known at the next start: then as before. */
export function createVoterMemory(store: Store): VoterMemory {
  let noted = '';
  return {
    note(mesh, voters) {
      const text = `${mesh} ${voters}`;
      if (voters === 0 || text === noted) return;
      noted = text;
      store.write(votersName, encodeCbor([1, mesh, voters])).catch(() => {
        noted = '';
      });
    },
    async goesOn(mesh) {
      const bytes = await store.read(votersName);
      const parsed = votersShape.safeParse(bytes && decodeOr(bytes));
      return parsed.success && parsed.data[1] === mesh && parsed.data[2] > 1;
    },
  };
}

function decodeOr(bytes: Uint8Array): unknown {
  try {
    return decodeCbor(bytes);
  } catch {
    return undefined;
  }
}

/** A name for a new group: 32 hex digits. */
export function newGroupId(): string {
  return toHex(randomBytes(16));
}

/** The directory of a replica. */
export function replicaName({ group, seat }: GroupRecord): string {
  return `${group}-${seat}`;
}
