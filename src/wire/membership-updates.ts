/**
 * Signed membership updates as bytes: a proof is an Ed25519 signature followed by the body it covers.
 *
 * A proof is relayed byte for byte and never encoded again, so a signature holds also for fields that a relay of another
 * version does not know. Facts about a member are signed by that member, accusations by the accuser.
 */

import { BoundedMap } from '../kernel/bounded-map.ts';
import { nodeIdToBytes } from '../kernel/ids.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Update, VerdictUpdate } from '../protocol/membership/messages.ts';
import { concatBytes, utf8 } from './bytes.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import {
  readAddresses,
  readBytes,
  readDuration,
  readIncarnation,
  readMeta,
  readNodeId,
  readWord,
  metaBytesMax,
  writeAddresses,
  writeMeta,
} from './membership-fields.ts';

/** Verified proofs remembered, so that the same news from many mouths is verified once. The oldest is forgotten. */
export const verifiedProofsMax = 8_192;

/** Public keys learned from verified updates. The oldest is forgotten and asked for through `edPublicOf`. */
const learnedKeysMax = 4_096;

const signatureLength = 64;
const publicKeyLength = 32;
const bodyBytesMax = metaBytesMax + 1_024;
const bodyDepthMax = 3;

const code = { alive: 1, dormant: 2, left: 3, suspect: 4, dead: 5 } as const;
const verdictKinds: Readonly<Record<number, VerdictUpdate['kind']>> = {
  [code.left]: 'left',
  [code.suspect]: 'suspect',
  [code.dead]: 'dead',
};

/** What the codec needs to make and check proofs. */
export interface ProofKeys {
  readonly self: NodeId;
  /** Signs with this node's key. */
  sign(bytes: Uint8Array): Uint8Array;
  verify(edPublic: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean;
  /** The key of a member known from elsewhere (its certificate). */
  edPublicOf(node: NodeId): Uint8Array | undefined;
  /** The id that belongs to a key. */
  nodeIdOf(edPublic: Uint8Array): NodeId;
  /** Bound into every signature, so that words spoken in one mesh mean nothing in another (the mesh id). */
  readonly context?: string;
}

/** What happened to updates so far. */
export interface ProofCounts {
  verified: number;
  remembered: number;
  /** Wrong signature, unknown signer, or a body that is not as agreed. */
  refused: number;
}

/** Makes and checks proofs. */
export interface ProofBook {
  readonly counts: ProofCounts;
  /** The proof of an update; made and remembered for this node's own. Undefined: foreign and without proof. */
  proofOf(update: Update): Uint8Array | undefined;
  /** The update behind a proof, or undefined when it cannot be believed. `elapsedMs` is for sleepers only. */
  read(proof: Uint8Array, elapsedMs: number): Update | undefined;
}

/** Builds a book. */
export function createProofBook(keys: ProofKeys): ProofBook {
  const label = utf8(`mycel/swim/1/${keys.context ?? ''}/`);
  const own = new WeakMap<Update, Uint8Array>();
  const verified = new BoundedMap<string, Update>(verifiedProofsMax);
  /** Who said what kind of thing about whom, and the proof of the latest: an earlier one is not kept beside it. */
  const latest = new BoundedMap<string, string>(verifiedProofsMax);
  const learned = new BoundedMap<NodeId, Uint8Array>(learnedKeysMax);
  const counts: ProofCounts = { verified: 0, remembered: 0, refused: 0 };

  function proofOf(update: Update): Uint8Array | undefined {
    if (update.proof.length > 0) return update.proof;
    if (update.from !== keys.self) return undefined;
    const known = own.get(update);
    if (known !== undefined) return known;
    const body = encodeCbor(bodyOf(update));
    const proof = concatBytes(keys.sign(concatBytes(label, body)), body);
    own.set(update, proof);
    return proof;
  }

  function read(received: Uint8Array, elapsedMs: number): Update | undefined {
    const update = remembered(received) ?? check(received);
    if (update === undefined) {
      counts.refused += 1;
      return undefined;
    }
    return update.kind === 'dormant' && elapsedMs > 0 ? { ...update, elapsedMs } : update;
  }

  /** The whole proof is the key of the memory: a forgery that differs in one byte is another proof. */
  function remembered(received: Uint8Array): Update | undefined {
    const key = textOf(received);
    const update = verified.get(key);
    if (update === undefined) return undefined;
    counts.remembered += 1;
    verified.set(key, update);
    return update;
  }

  function check(received: Uint8Array): Update | undefined {
    if (received.length <= signatureLength) return undefined;
    // The datagram's buffer is reused or large; what is kept is copied.
    const proof = received.slice();
    const body = proof.subarray(signatureLength);
    const update = readBody(body, proof, keys);
    if (update === undefined) return undefined;
    const signer = signerOf(update);
    if (signer === undefined) return undefined;
    const signature = proof.subarray(0, signatureLength);
    if (!keys.verify(signer, concatBytes(label, body), signature)) return undefined;
    counts.verified += 1;
    if ('edPublic' in update) learned.set(update.node, update.edPublic);
    remember(textOf(proof), update);
    return update;
  }

  function remember(key: string, update: Update): void {
    const slot = `${update.kind} ${update.node} ${update.from}`;
    const before = latest.get(slot);
    if (before !== undefined) verified.delete(before);
    latest.set(slot, key);
    verified.set(key, update);
  }

  function signerOf(update: Update): Uint8Array | undefined {
    if ('edPublic' in update) return update.edPublic;
    return learned.get(update.from) ?? keys.edPublicOf(update.from);
  }

  return { counts, proofOf, read };
}

/** What is signed, as plain data. */
function bodyOf(update: Update): unknown[] {
  const { boot, n } = update.incarnation;
  if (update.kind === 'alive' || update.kind === 'dormant') {
    const { instance, edPublic, addresses, meta } = update;
    const fields = [edPublic, boot, n, instance, writeAddresses(addresses), writeMeta(meta)];
    return update.kind === 'alive'
      ? [code.alive, ...fields]
      : [code.dormant, ...fields, update.sleepMs];
  }
  const subject = nodeIdToBytes(update.node);
  if (update.kind === 'left') return [code.left, subject, boot, n];
  return [code[update.kind], subject, boot, n, nodeIdToBytes(update.from)];
}

function readBody(body: Uint8Array, proof: Uint8Array, keys: ProofKeys): Update | undefined {
  const fields = decodeBody(body);
  if (fields === undefined) return undefined;
  const kind = fields[0];
  if (kind === code.alive || kind === code.dormant) return readWordBody(fields, proof, keys);
  const verdict = typeof kind === 'number' ? verdictKinds[kind] : undefined;
  return verdict === undefined ? undefined : readVerdictBody(verdict, fields, proof);
}

function readWordBody(
  fields: readonly unknown[],
  proof: Uint8Array,
  keys: ProofKeys,
): Update | undefined {
  const isDormant = fields[0] === code.dormant;
  if (fields.length !== (isDormant ? 8 : 7)) return undefined;
  const edPublic = readBytes(fields[1], publicKeyLength);
  const incarnation = readIncarnation(fields[2], fields[3]);
  const instance = readWord(fields[4]);
  const addresses = readAddresses(fields[5]);
  const meta = readMeta(fields[6]);
  if (edPublic === undefined || edPublic.length !== publicKeyLength) return undefined;
  if (incarnation === undefined || instance === undefined) return undefined;
  if (addresses === undefined || meta === undefined) return undefined;
  const node = keys.nodeIdOf(edPublic);
  const common = { node, incarnation, from: node, proof, instance, addresses, meta, edPublic };
  if (!isDormant) return { kind: 'alive', ...common };
  const sleepMs = readDuration(fields[7]);
  return sleepMs === undefined ? undefined : { kind: 'dormant', ...common, sleepMs, elapsedMs: 0 };
}

function readVerdictBody(
  kind: VerdictUpdate['kind'],
  fields: readonly unknown[],
  proof: Uint8Array,
): Update | undefined {
  if (fields.length !== (kind === 'left' ? 4 : 5)) return undefined;
  const node = readNodeId(fields[1]);
  const incarnation = readIncarnation(fields[2], fields[3]);
  const from = kind === 'left' ? node : readNodeId(fields[4]);
  if (node === undefined || incarnation === undefined || from === undefined) return undefined;
  // Only `left` is a member's own word about its end.
  if (kind !== 'left' && from === node) return undefined;
  return { kind, node, incarnation, from, proof };
}

function decodeBody(body: Uint8Array): unknown[] | undefined {
  try {
    const value = decodeCbor(body, { bytesMax: bodyBytesMax, depthMax: bodyDepthMax });
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
