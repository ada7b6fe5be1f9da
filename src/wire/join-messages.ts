/** What newcomer and host say to one another inside the sealed channel of a join. */

import * as z from 'zod/mini';
import type { Address } from '../kernel/address.ts';
import { MycelError, errorCatalogue } from '../kernel/errors.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import type { MeshId, NodeId } from '../kernel/ids.ts';
import { concatBytes, isSameBytes } from './bytes.ts';
import { meshIdOf, readGenesis } from './authority-entry.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { readCertificate } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import type { EpochKey } from './datagram-seal.ts';
import { bytesOf, counterField, keyField, nameField } from './fields.ts';
import { isBound, nodeIdOf, signatureBytes } from './keys.ts';
import type { NodeKeys } from './keys.ts';
import { noisePlainMax } from './noise.ts';
import type { NoiseSession } from './noise.ts';

/** Largest grant, all parts together, in bytes: a full authority log fits. */
export const joinGrantBytesMax: number = 8 * 1024 * 1024;

/** Most epoch keys a grant may carry. */
const grantKeysMax = 8;

/** Most peers a grant may name. */
export const grantPeersMax = 64;

/** All a newcomer needs to be a member. */
export interface JoinGrant {
  readonly genesis: Uint8Array;
  /** The authority log: entries as signed by their authors. */
  readonly logEntries: readonly Uint8Array[];
  /** The newcomer's membership certificate. */
  readonly certificate: Uint8Array;
  /** The current epoch key first. */
  readonly epochKeys: readonly EpochKey[];
  /** Members to dial; at most `grantPeersMax` are sent. */
  readonly peers: readonly Address[];
}

/** What the newcomer has when it has joined: a grant whose genesis and certificate were checked. */
export interface Joined extends JoinGrant {
  readonly meshId: MeshId;
  readonly meshName: string;
}

/** A newcomer that proved to hold both keys. */
export interface Newcomer {
  readonly node: NodeId;
  readonly edPublic: Uint8Array;
  readonly xPublic: Uint8Array;
  readonly name: string;
}

const helloSchema = z.tuple([
  z.literal(1),
  keyField,
  bytesOf(signatureBytes),
  nameField,
  bytesOf(16),
]);

const byteString = z.instanceof(Uint8Array);

const grantSchema = z.tuple([
  z.literal('grant'),
  byteString,
  z.array(byteString),
  byteString,
  z.array(z.tuple([counterField, keyField])).check(z.minLength(1), z.maxLength(grantKeysMax)),
  z
    .array(
      z.tuple([
        z.string().check(z.minLength(1), z.maxLength(253)),
        z.int().check(z.gte(1), z.lte(65_535)),
      ]),
    )
    .check(z.maxLength(grantPeersMax)),
  bytesOf(16),
]);

const refusalSchema = z.tuple([
  z.literal('refusal'),
  z.string().check(z.maxLength(64)),
  bytesOf(16),
]);

/** The newcomer's introduction, sent in the third handshake message. `nonce`: 16 random bytes. */
export function encodeHello(keys: NodeKeys, name: string, nonce: Uint8Array): Uint8Array {
  return encodeCbor([1, keys.edPublic, keys.binding, name, nonce]);
}

/**
 * Reads an introduction and checks that its identity vouches for the Noise key of the handshake.
 * @throws {MycelError} MYCEL_BAD_BYTES, MYCEL_HANDSHAKE_FAILED
 */
export function readHello(
  bytes: Uint8Array,
  xPublic: Uint8Array,
): { readonly newcomer: Newcomer; readonly nonce: Uint8Array } {
  const parsed = helloSchema.safeParse(decodeCbor(bytes, { bytesMax: 1024, depthMax: 1 }));
  if (!parsed.success) throw badBytes('The introduction is malformed.');
  const [, edPublic, binding, name, nonce] = parsed.data;
  if (!isBound(edPublic, xPublic, binding)) {
    throw new MycelError('MYCEL_HANDSHAKE_FAILED', {
      reason: 'Its identity does not own its key.',
    });
  }
  return { newcomer: { node: nodeIdOf(edPublic), edPublic, xPublic, name }, nonce };
}

/** A grant, or a refusal by code, with the host's nonce. */
export function encodeAnswer(answer: JoinGrant | MycelError, nonce: Uint8Array): Uint8Array {
  if (MycelError.is(answer)) return encodeCbor(['refusal', answer.code, nonce]);
  const { genesis, logEntries, certificate, epochKeys, peers } = answer;
  return encodeCbor([
    'grant',
    genesis,
    logEntries,
    certificate,
    epochKeys.map(({ epoch, key }) => [epoch, key]),
    peers.slice(0, grantPeersMax).map(({ host, port }) => [host, port]),
    nonce,
  ]);
}

/**
 * Reads the host's answer and checks what can be checked without the authority log: that the certificate is for
 * these keys and of the mesh that the genesis names.
 * @throws {MycelError} the code of a refusal, MYCEL_BAD_BYTES, or MYCEL_INVITE_FOREIGN for another mesh than `expected`
 */
export function readAnswer(
  bytes: Uint8Array,
  keys: NodeKeys,
  expected: MeshId | undefined,
): { readonly joined: Joined; readonly nonce: Uint8Array } {
  const value = decodeCbor(bytes, { bytesMax: joinGrantBytesMax, depthMax: 3 });
  const refusal = refusalSchema.safeParse(value);
  if (refusal.success) throw refusalOf(refusal.data[1], true);
  const parsed = grantSchema.safeParse(value);
  if (!parsed.success) throw badBytes('The grant is malformed.');
  const [, genesis, logEntries, certificate, epochKeys, peers, nonce] = parsed.data;
  const meshId = meshIdOf(genesis);
  if (expected !== undefined && meshId !== expected) throw new MycelError('MYCEL_INVITE_FOREIGN');
  const meshName = readGenesis(genesis)?.meshName;
  if (meshName === undefined) throw badBytes('The genesis is malformed.');
  if (!isFor(readCertificate(certificate), keys, meshId))
    throw badBytes('The certificate is not ours.');
  return {
    joined: {
      meshId,
      meshName,
      genesis: genesis.slice(),
      logEntries: logEntries.map((entry) => entry.slice()),
      certificate: certificate.slice(),
      epochKeys: epochKeys.map(([epoch, key]) => ({ epoch, key })),
      peers: peers.map(([host, port]) => ({ host, port })),
    },
    nonce,
  };
}

/**
 * The failure behind a code that a peer sent; a code we do not know becomes a failed handshake.
 * @param isProved it came sealed, from the host that was meant; otherwise anybody on the way may have said it
 */
export function refusalOf(code: string, isProved: boolean): MycelError {
  if (Object.hasOwn(errorCatalogue, code)) return new MycelError(code as ErrorCode, { isProved });
  return new MycelError('MYCEL_HANDSHAKE_FAILED', { reason: 'The peer refused.', isProved });
}

/** Messages of any length through a Noise session: each sealed piece starts with 1 when more follow, 0 when it is the last. */
export interface MessagePipe {
  seal(message: Uint8Array): Uint8Array[];
  /** Gives the message when its last piece has come. @throws {MycelError} MYCEL_SEAL_BROKEN, MYCEL_BAD_BYTES */
  open(piece: Uint8Array): Uint8Array | undefined;
}

/** Builds a pipe over a session that nothing else uses. */
export function createMessagePipe(session: NoiseSession): MessagePipe {
  const pieceMax = noisePlainMax - 1;
  let parts: Uint8Array[] = [];
  let length = 0;
  return {
    seal(message) {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at === 0 || at < message.byteLength; at += pieceMax) {
        const isLast = at + pieceMax >= message.byteLength;
        const part = message.subarray(at, at + pieceMax);
        pieces.push(session.seal(concatBytes(new Uint8Array([isLast ? 0 : 1]), part)));
      }
      return pieces;
    },
    open(piece) {
      const plain = session.open(piece);
      if (plain.byteLength === 0) throw badBytes('A piece is empty.');
      length += plain.byteLength - 1;
      if (length > joinGrantBytesMax) throw badBytes('The grant is too long.');
      parts.push(plain.subarray(1));
      if (plain[0] === 1) return undefined;
      const message = concatBytes(...parts);
      parts = [];
      length = 0;
      return message;
    },
  };
}

function isFor(certificate: Certificate | undefined, keys: NodeKeys, meshId: MeshId): boolean {
  return (
    certificate !== undefined &&
    certificate.meshId === meshId &&
    isSameBytes(certificate.edPublic, keys.edPublic) &&
    isSameBytes(certificate.xPublic, keys.xPublic)
  );
}

function badBytes(reason: string): MycelError {
  return new MycelError('MYCEL_BAD_BYTES', { reason });
}
