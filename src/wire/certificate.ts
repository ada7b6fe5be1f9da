/**
 * Membership certificates: an admin's signed word that a key pair belongs to a mesh, valid in epochs, never by date.
 * Whether the issuer is an admin is not decided here but by the authority log.
 */

import * as z from 'zod/mini';
import { invariant } from '../kernel/invariant.ts';
import { parseMeshId } from '../kernel/ids.ts';
import type { MeshId, NodeId } from '../kernel/ids.ts';
import { fromHex, toHex, utf8 } from './bytes.ts';
import { bytesOf, counterField, keyField, nameField } from './fields.ts';
import { nodeIdOf } from './keys.ts';
import type { NodeKeys } from './keys.ts';
import { decodeRecord, isRecordSignedBy, signRecord } from './signed.ts';

/** What a member may do. `probation` gossips and sees guest topics, nothing else. */
export type Role = 'node' | 'admin' | 'probation' | 'gateway';

/** Largest certificate, in bytes. */
export const certificateBytesMax = 1024;

/** What a certificate states. */
export interface CertificateFields {
  readonly meshId: MeshId;
  readonly edPublic: Uint8Array;
  readonly xPublic: Uint8Array;
  /** For people; not unique. */
  readonly name: string;
  readonly roles: readonly Role[];
  /** Counts the certificates of this key: a higher one replaces a lower one. */
  readonly certSeq: number;
  /** The epoch in which it was issued. */
  readonly epoch: number;
  /** The last epoch in which it is valid. */
  readonly epochMax: number;
}

/** A certificate whose signature is right. */
export interface Certificate extends CertificateFields {
  /** Follows from `edPublic`. */
  readonly node: NodeId;
  /** Public signing key of whoever issued it. */
  readonly issuer: Uint8Array;
  /** As signed and received; never encoded again. */
  readonly bytes: Uint8Array;
}

const label = utf8('mycel/certificate/1');

const schema = z.tuple([
  z.literal(1),
  bytesOf(16),
  keyField,
  keyField,
  nameField,
  z.array(z.enum(['node', 'admin', 'probation', 'gateway'])).check(z.maxLength(4)),
  counterField,
  counterField,
  counterField,
  keyField,
]);

/** Signs a certificate. Check the binding of `xPublic` to `edPublic` before (`isBound`). */
export function issueCertificate(issuer: NodeKeys, fields: CertificateFields): Uint8Array {
  const bytes = signRecord(label, issuer.edSeed, [
    1,
    fromHex(fields.meshId),
    fields.edPublic,
    fields.xPublic,
    fields.name,
    fields.roles,
    fields.certSeq,
    fields.epoch,
    fields.epochMax,
    issuer.edPublic,
  ]);
  invariant(readCertificate(bytes) !== undefined, 'the fields of a certificate are within bounds');
  return bytes;
}

/** Reads a certificate and checks its signature against its own issuer. Undefined when either is wrong. */
export function readCertificate(bytes: Uint8Array): Certificate | undefined {
  const parsed = schema.safeParse(decodeRecord(bytes, certificateBytesMax));
  if (!parsed.success) return undefined;
  const [, mesh, edPublic, xPublic, name, roles, certSeq, epoch, epochMax, issuer] = parsed.data;
  if (!isRecordSignedBy(label, issuer, bytes)) return undefined;
  return {
    meshId: parseMeshId(toHex(mesh)),
    node: nodeIdOf(edPublic),
    edPublic,
    xPublic,
    name,
    roles,
    certSeq,
    epoch,
    epochMax,
    issuer,
    bytes: new Uint8Array(bytes),
  };
}
