/** Orders of an update: signed by an admin of the mesh for one node, so that neither a relay nor a member can make one. */

import * as z from 'zod/mini';
import { isNodeId, parseMeshId } from '../kernel/ids.ts';
import type { MeshId, NodeId } from '../kernel/ids.ts';
import type { KeyText } from '../protocol/trust/messages.ts';
import type { InstallReport, Order } from '../protocol/rollout/messages.ts';
import type { KeptOrder } from '../protocol/rollout/installation.ts';
import type { KeptRollout } from '../protocol/rollout/rollout.ts';
import { fromHex, utf8 } from './bytes.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { counterField } from './fields.ts';
import { decodeRecord, isRecordSignedBy, signRecord } from './signed.ts';

/** Largest order, in bytes. */
export const updateOrderBytesMax = 2048;

/** Largest record of an installation on disk, in bytes: the names of 64 agents and services. */
const installBytesMax: number = 32 * 1024;

/** Largest record of a roll-out on disk, in bytes: 1024 nodes with a reason each. */
const rolloutBytesMax: number = 1024 * 1024;

const label = utf8('mycel/update-order/1');

/** Which package the version comes in. */
export interface Release {
  /** The blob that is the tarball. */
  readonly blob: string;
  readonly version: string;
  /** SHA-256 of the program in it. */
  readonly programHash: string;
}

/** An order with everything that it is about. */
export interface UpdateOrder {
  readonly mesh: MeshId;
  /** Who is to obey. */
  readonly node: NodeId;
  /** Ed25519 key of the admin who signed. */
  readonly author: KeyText;
  readonly order: Order;
  readonly release: Release;
}

const hex32 = z.string().check(z.regex(/^[0-9a-f]{64}$/));
const msField = z.int().check(z.gte(0), z.lte(86_400_000));
const releaseSchema = z.strictObject({
  blob: hex32,
  version: z.string().check(z.regex(/^[0-9a-z.-]{1,64}$/)),
  programHash: hex32,
});
const orderSchema = z.strictObject({
  kind: z.enum(['try', 'revert']),
  number: counterField.check(z.gte(1)),
  version: z.string().check(z.regex(/^[a-z0-9][a-z0-9.+-]{0,94}$/)),
  healthyForMs: msField,
  trialMs: msField,
});
const nodeField = z.custom<NodeId>((value) => typeof value === 'string' && isNodeId(value));
const updateSchema = z.object({
  mesh: z.custom<MeshId>((value) => typeof value === 'string' && isMeshId(value)),
  node: nodeField,
  author: hex32,
  order: orderSchema,
  release: releaseSchema,
});
const phaseField = z.enum([
  'idle',
  'fetching',
  'restarting',
  'trial',
  'kept',
  'failed',
  'reverting',
  'reverted',
]);
const textField = z.string().check(z.maxLength(256));
const reportSchema = z.object({
  number: counterField,
  phase: phaseField,
  running: z.string().check(z.maxLength(96)),
  reason: textField,
});
const keptOrderSchema = z.object({
  order: orderSchema,
  phase: z.enum(['fetching', 'restarting', 'kept', 'failed', 'reverting', 'reverted']),
  reason: textField,
  attempts: counterField,
  isChange: z.boolean(),
});
const keptRolloutSchema = z.object({
  plan: z.object({
    number: counterField,
    version: z.string(),
    targets: z.array(nodeField),
    canary: counterField,
    batch: counterField,
    patienceMs: counterField,
    revertPatienceMs: counterField,
  }),
  targets: z.array(
    z.object({
      node: nodeField,
      state: z.enum(['waiting', 'trying', 'kept', 'reverting', 'reverted']),
      reason: textField,
    }),
  ),
  reason: textField,
  outcome: z.optional(z.enum(['done', 'rolled-back'])),
});

/** Signs an order. */
export function signUpdateOrder(edSeed: Uint8Array, update: UpdateOrder): Uint8Array {
  return signRecord(label, edSeed, update);
}

/** Reads an order whose signature is its author's; undefined for anything else. Whether the author may order is not said. */
export function readUpdateOrder(bytes: Uint8Array): UpdateOrder | undefined {
  const read = updateSchema.safeParse(decodeRecord(bytes, updateOrderBytesMax)).data;
  if (read === undefined || !isRecordSignedBy(label, fromHex(read.author), bytes)) return undefined;
  return read;
}

/** A node's report on its way. */
export function encodeReport(report: InstallReport): Uint8Array {
  return encodeCbor(report);
}

/** Reads a report; undefined for anything else. What a newer version adds is left out. */
export function decodeReport(bytes: Uint8Array): InstallReport | undefined {
  return readCbor(bytes, 4096, reportSchema);
}

/** What a node keeps of its last order: the order as it was signed, and how far it came. */
export interface InstallRecord {
  readonly signed: Uint8Array;
  readonly kept: KeptOrder;
  /** Peers it was linked with before it restarted. */
  readonly peers: number;
  /** What it did for the mesh before it restarted, by name. */
  readonly done: readonly string[];
}

export function encodeInstallRecord(record: InstallRecord): Uint8Array {
  return encodeCbor(record);
}

/** Reads it; undefined when it is damaged. */
export function decodeInstallRecord(bytes: Uint8Array): InstallRecord | undefined {
  const read = readCbor(
    bytes,
    installBytesMax,
    z.object({
      signed: z.instanceof(Uint8Array),
      kept: keptOrderSchema,
      peers: counterField,
      // A version before this one does not write it.
      done: z.optional(z.array(z.string())),
    }),
  );
  return read && { ...read, done: read.done ?? [] };
}

/** What whoever rolls out keeps. */
export interface RolloutRecord {
  readonly release: Release;
  readonly healthyForMs: number;
  readonly trialMs: number;
  readonly kept: KeptRollout;
}

export function encodeRolloutRecord(record: RolloutRecord): Uint8Array {
  return encodeCbor(record);
}

/** Reads it; undefined when it is damaged. */
export function decodeRolloutRecord(bytes: Uint8Array): RolloutRecord | undefined {
  const read = readCbor(
    bytes,
    rolloutBytesMax,
    z.object({
      release: releaseSchema,
      healthyForMs: msField,
      trialMs: msField,
      kept: keptRolloutSchema,
    }),
  );
  return read && { ...read, kept: { ...read.kept, outcome: read.kept.outcome } };
}

function readCbor<Read>(
  bytes: Uint8Array,
  bytesMax: number,
  schema: z.ZodMiniType<Read>,
): Read | undefined {
  try {
    return schema.safeParse(decodeCbor(bytes, { bytesMax, depthMax: 6 })).data;
  } catch {
    return undefined;
  }
}

function isMeshId(text: string): boolean {
  try {
    return parseMeshId(text) === text;
  } catch {
    return false;
  }
}
