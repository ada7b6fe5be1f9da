/** Entries of the authority log and the genesis of a mesh, as signed bytes. */

import * as z from 'zod/mini';
import { invariant } from '../kernel/invariant.ts';
import { isNodeId, parseMeshId } from '../kernel/ids.ts';
import type { MeshId, NodeId } from '../kernel/ids.ts';
import type {
  AuthorityEntry,
  AuthorityStatement,
  Genesis,
  KeyText,
  TrustPolicy,
} from '../protocol/trust/messages.ts';
import { fromHex, plainBytes, toHex, utf8 } from './bytes.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { bytesOf, counterField, keyField, nameField } from './fields.ts';
import { nodeIdOf, randomBytes, sha256 } from './keys.ts';
import type { NodeKeys } from './keys.ts';
import { decodeRecord, isRecordSignedBy, recordBody, signRecord } from './signed.ts';

/** Largest entry, in bytes. */
export const authorityEntryBytesMax = 1024;

/** Largest genesis, in bytes. */
export const genesisBytesMax = 2048;

/** Most root admins a genesis may name. */
export const rootsMax = 16;

/** What a mesh does when nobody said otherwise. */
export const policyDefault: TrustPolicy = { autoApprove: false, epochLagMax: 1000 };

const entryLabel = utf8('mycel/authority/1');
const genesisLabel = utf8('mycel/genesis/1');
const tagLabel = utf8('mycel/mesh-tag/1');
const epochLabel = utf8('mycel/epoch/1');

const hashField = z.pipe(bytesOf(32), z.transform(toHex));
const policyFields = { autoApprove: z.boolean(), epochLagMax: counterField };
const subjectFields = {
  node: z.custom<NodeId>((value) => typeof value === 'string' && isNodeId(value)),
  key: z.pipe(keyField, z.transform(toHex)),
};
const cutFields = { ...subjectFields, chainLength: counterField };

const statementSchema = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('add-admin'), ...subjectFields }),
    z.strictObject({ kind: z.literal('remove-admin'), ...cutFields }),
    z.strictObject({ kind: z.literal('revoke'), ...cutFields }),
    z.strictObject({ kind: z.literal('epoch'), number: counterField, commitment: hashField }),
    z.strictObject({ kind: z.literal('window'), openForMs: counterField }),
    z.strictObject({ kind: z.literal('policy'), ...policyFields }),
    z.strictObject({ kind: z.literal('approve'), ...subjectFields }),
    z.strictObject({ kind: z.literal('gateway'), ...subjectFields, isGranted: z.boolean() }),
  ])
  .check(z.refine((said) => !('key' in said) || nodeIdOf(fromHex(said.key)) === said.node));

const entrySchema = z.tuple([
  z.literal(1),
  keyField,
  counterField.check(z.refine((seq) => seq >= 1)),
  hashField,
  counterField.check(z.refine((lamport) => lamport >= 1)),
  statementSchema,
]);

const genesisSchema = z.tuple([
  z.literal(1),
  z.array(keyField).check(z.minLength(1), z.maxLength(rootsMax)),
  z.literal(1),
  z.strictObject(policyFields),
  nameField,
  bytesOf(16),
]);

/** Where a new entry goes: what `AuthorityLog.next` answers. */
export interface ChainLink {
  readonly seq: number;
  readonly prev: string;
  readonly lamport: number;
}

/** Signs an entry. */
export function signAuthorityEntry(
  author: NodeKeys,
  link: ChainLink,
  statement: AuthorityStatement,
): AuthorityEntry {
  const said = {
    ...statement,
    ...('key' in statement ? { key: fromHex(statement.key) } : {}),
    ...('commitment' in statement ? { commitment: fromHex(statement.commitment) } : {}),
  };
  const body = [1, author.edPublic, link.seq, fromHex(link.prev), link.lamport, said];
  const entry = readAuthorityEntry(signRecord(entryLabel, author.edSeed, body));
  invariant(entry !== undefined, 'the fields of an authority entry are within bounds');
  return entry;
}

/** Reads an entry and checks its signature against its own author. Undefined when either is wrong. */
export function readAuthorityEntry(bytes: Uint8Array): AuthorityEntry | undefined {
  const parsed = entrySchema.safeParse(decodeRecord(bytes, authorityEntryBytesMax));
  if (!parsed.success) return undefined;
  const [, author, seq, prev, lamport, statement] = parsed.data;
  if (!isRecordSignedBy(entryLabel, author, bytes)) return undefined;
  return {
    author: toHex(author),
    seq,
    prev,
    lamport,
    statement,
    // The hash leaves the signature out: a second valid signature would not make a second entry.
    hash: toHex(sha256(entryLabel, recordBody(bytes))),
    bytes: new Uint8Array(bytes),
  };
}

/** Makes the genesis of a new mesh. Two meshes never share one: it carries 128 random bits. */
export function createGenesis(
  roots: readonly Uint8Array[],
  meshName: string,
  policy: TrustPolicy = policyDefault,
): Uint8Array {
  const { autoApprove, epochLagMax } = policy;
  const bytes = encodeCbor([1, roots, 1, { autoApprove, epochLagMax }, meshName, randomBytes(16)]);
  invariant(readGenesis(bytes) !== undefined, 'the fields of a genesis are within bounds');
  return bytes;
}

/** Reads a genesis; undefined when it is not one. It is not signed: its hash is the mesh's name. */
export function readGenesis(bytes: Uint8Array): Genesis | undefined {
  let value: unknown;
  try {
    value = decodeCbor(plainBytes(bytes), { bytesMax: genesisBytesMax, depthMax: 2 });
  } catch {
    return undefined;
  }
  const parsed = genesisSchema.safeParse(value);
  if (!parsed.success) return undefined;
  const [, roots, , policy, meshName] = parsed.data;
  return { roots: roots.map(toHex), policy, meshName, hash: toHex(genesisHash(bytes)) };
}

/** The mesh's name: the first 128 bits of the hash of its genesis. */
export function meshIdOf(genesis: Uint8Array): MeshId {
  return parseMeshId(toHex(genesisHash(genesis).subarray(0, 16)));
}

/**
 * 16 hex digits by which members recognise their mesh in beacons; strangers cannot tell the mesh id from it.
 */
export function meshTagOf(meshId: MeshId): string {
  return toHex(sha256(tagLabel, fromHex(meshId)).subarray(0, 8));
}

/** What an epoch entry says about its key, so that a key handed over later can be checked. */
export function epochCommitment(epochKey: Uint8Array): string {
  return toHex(sha256(epochLabel, epochKey));
}

/** The text form of a public key. */
export function keyTextOf(edPublic: Uint8Array): KeyText {
  return toHex(edPublic);
}

function genesisHash(genesis: Uint8Array): Uint8Array {
  return sha256(genesisLabel, genesis);
}
