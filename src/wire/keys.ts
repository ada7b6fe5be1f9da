/**
 * A node's keys and every primitive built on them: Ed25519 to sign, a separate X25519 key for Noise, bound to it by a signature.
 *
 * Keys are raw 32-byte arrays in tweetnacl's format. Signing, verifying and Diffie–Hellman run in node:crypto on the
 * same raw keys: it is some 60 times faster, constant time, and refuses the malleated signatures (S + L) that tweetnacl accepts.
 */

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  randomBytes as systemRandomBytes,
  sign,
  verify,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import nacl from 'tweetnacl';
import { BoundedMap } from '../kernel/bounded-map.ts';
import { MycelError } from '../kernel/errors.ts';
import { nodeIdFromHash } from '../kernel/ids.ts';
import type { NodeId } from '../kernel/ids.ts';
import { concatBytes, fromHex, isSameBytes, plainBytes, utf8 } from './bytes.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';

/** Length of every raw key and seed, in bytes. */
export const keyBytes = 32;

/** Length of an Ed25519 signature, in bytes. */
export const signatureBytes = 64;

/** Parsed public keys kept ready; the least recently used one makes room and is parsed again when needed. */
export const publicKeyCacheMax = 1024;

/** What a sealed box adds to its content: an ephemeral public key and a tag, in bytes. */
export const boxOverheadBytes: number = keyBytes + nacl.box.overheadLength;

/** The two key pairs of a node. The seeds are its identity: whoever has them is the node. */
export interface NodeKeys {
  readonly edSeed: Uint8Array;
  readonly edPublic: Uint8Array;
  readonly xSeed: Uint8Array;
  readonly xPublic: Uint8Array;
  /** Signature of `xPublic` by `edPublic`: nobody can pair this identity with another Noise key. */
  readonly binding: Uint8Array;
}

// PKCS #8 wrapping of raw seeds (RFC 8410): a fixed prefix, the 32 raw bytes at the end.
const pkcs8Prefix = {
  ed: fromHex('302e020100300506032b657004220420'),
  x: fromHex('302e020100300506032b656e04220420'),
};
const curve = { ed: 'Ed25519', x: 'X25519' };
/** Stands for the public half in a private JWK: a JWK must have one, and Node 20 does not look at it. */
const unknownPublic = Buffer.alloc(32).toString('base64url');

const bindingLabel = utf8('mycel/bind/1');
const nodeLabel = utf8('mycel/node/1');
const boxLabel = utf8('mycel/box/1');

const publicKeys = new BoundedMap<string, KeyObject>(publicKeyCacheMax);
// Keyed by the array itself, so that a parsed key is forgotten with its owner.
const privateKeys = new WeakMap<Uint8Array, KeyObject>();

/** Fresh keys from the operating system's randomness. */
export function generateNodeKeys(): NodeKeys {
  return nodeKeysFromSeeds(randomBytes(keyBytes), randomBytes(keyBytes));
}

/** The keys that two 32-byte seeds stand for. */
export function nodeKeysFromSeeds(edSeed: Uint8Array, xSeed: Uint8Array): NodeKeys {
  const xPublic = publicOf('x', xSeed);
  return {
    edSeed,
    edPublic: publicOf('ed', edSeed),
    xSeed,
    xPublic,
    binding: signBytes(edSeed, concatBytes(bindingLabel, xPublic)),
  };
}

/** The content of the identity file. It holds the seeds: write it 0600 and never log it. */
export function encodeNodeKeys(keys: NodeKeys): Uint8Array {
  const { edSeed, edPublic, xSeed, xPublic } = keys;
  return encodeCbor({ v: 1, edSeed, edPublic, xSeed, xPublic });
}

/**
 * Reads an identity file. The public halves in it must follow from the seeds, so that a flipped bit never
 * becomes a new identity.
 * @throws {MycelError} MYCEL_BAD_BYTES
 */
export function decodeNodeKeys(bytes: Uint8Array): NodeKeys {
  const record = decodeCbor(bytes, { bytesMax: 1024, depthMax: 1 }) as Record<
    string,
    unknown
  > | null;
  if (typeof record === 'object' && record !== null && record['v'] === 1) {
    const { edSeed, edPublic, xSeed, xPublic } = record;
    if (isKey(edSeed) && isKey(edPublic) && isKey(xSeed) && isKey(xPublic)) {
      const keys = nodeKeysFromSeeds(edSeed.slice(), xSeed.slice());
      if (isSameBytes(keys.edPublic, edPublic) && isSameBytes(keys.xPublic, xPublic)) return keys;
    }
  }
  throw new MycelError('MYCEL_BAD_BYTES', { reason: 'The identity is damaged.' });
}

/** Whether the value is 32 bytes. */
function isKey(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.byteLength === keyBytes;
}

/** The name of the node with this public key. */
export function nodeIdOf(edPublic: Uint8Array): NodeId {
  return nodeIdFromHash(sha256(nodeLabel, edPublic));
}

/** Whether `edPublic` vouches for `xPublic`. */
export function isBound(edPublic: Uint8Array, xPublic: Uint8Array, binding: Uint8Array): boolean {
  return verifyBytes(edPublic, concatBytes(bindingLabel, xPublic), binding);
}

/** Ed25519 signature, 64 bytes. */
export function signBytes(edSeed: Uint8Array, bytes: Uint8Array): Uint8Array {
  return plainBytes(sign(null, bytes, privateKey('ed', edSeed)));
}

/** Whether the signature is right. False for any malformed key or signature, never an exception. */
export function verifyBytes(
  edPublic: Uint8Array,
  bytes: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (edPublic.byteLength !== keyBytes || signature.byteLength !== signatureBytes) return false;
  try {
    return verify(null, bytes, cachedEdPublic(edPublic), signature);
  } catch {
    return false;
  }
}

/** One X25519 key pair, ready to agree on secrets. */
export interface XPair {
  readonly xPublic: Uint8Array;
  /** The secret shared with the holder of a public key; undefined when that key is malformed or of low order. */
  agree(theirs: Uint8Array): Uint8Array | undefined;
}

/**
 * A fresh pair for one handshake.
 *
 * NOTE: not by `generateKeyPairSync`. On Node 20 exporting a key that it made can hang the process for ever: the export
 * holds the key's lock, a garbage collection starts inside it, and the destructor of the generating job wants that lock.
 */
export function generateXPair(): XPair {
  const key = importSeed('x', randomBytes(keyBytes));
  return pairOf(key, exportPublic(key));
}

/** The pair of a long-lived seed; its parsed form is kept as long as the seed's array. */
export function xPairOf(xSeed: Uint8Array): XPair {
  return pairOf(privateKey('x', xSeed), publicOf('x', xSeed));
}

function pairOf(key: KeyObject, xPublic: Uint8Array): XPair {
  return {
    xPublic,
    agree(theirs) {
      if (theirs.byteLength !== keyBytes) return undefined;
      try {
        const publicKey = parsePublicKey('x', theirs);
        // OpenSSL refuses to derive the all-zero secret of a low-order point.
        return plainBytes(diffieHellman({ privateKey: key, publicKey }));
      } catch {
        return undefined;
      }
    },
  };
}

/**
 * Seals bytes to a holder of an X25519 key, anonymously: ephemeral public key ‖ tweetnacl box.
 * The nonce is a hash of both public keys, which is fresh because the ephemeral key is.
 */
export function sealBox(toXPublic: Uint8Array, bytes: Uint8Array): Uint8Array {
  const ephemeral = nacl.box.keyPair();
  const nonce = boxNonce(ephemeral.publicKey, toXPublic);
  return concatBytes(ephemeral.publicKey, nacl.box(bytes, nonce, toXPublic, ephemeral.secretKey));
}

/** Opens what `sealBox` made for this key. Undefined when it was made for another key or was changed. */
export function openBox(
  keys: Pick<NodeKeys, 'xSeed' | 'xPublic'>,
  sealed: Uint8Array,
): Uint8Array | undefined {
  if (sealed.byteLength < boxOverheadBytes) return undefined;
  const ephemeral = sealed.slice(0, keyBytes);
  const nonce = boxNonce(ephemeral, keys.xPublic);
  return nacl.box.open(sealed.slice(keyBytes), nonce, ephemeral, keys.xSeed) ?? undefined;
}

/** HKDF-SHA-256 (RFC 5869) without salt; `info` separates the uses of one key. */
export function hkdf(key: Uint8Array, info: string | Uint8Array, length: number = 32): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, new Uint8Array(), info, length));
}

/** SHA-256 of the parts one after the other. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return plainBytes(hash.digest());
}

/** Random bytes of the operating system. */
export function randomBytes(length: number): Uint8Array {
  // A copy: small Buffers share one pool, and keys should not.
  return new Uint8Array(systemRandomBytes(length));
}

function boxNonce(ephemeralPublic: Uint8Array, toXPublic: Uint8Array): Uint8Array {
  return sha256(boxLabel, ephemeralPublic, toXPublic).slice(0, nacl.box.nonceLength);
}

function privateKey(kind: 'ed' | 'x', seed: Uint8Array): KeyObject {
  const cached = privateKeys.get(seed);
  if (cached?.asymmetricKeyType === curve[kind].toLowerCase()) return cached;
  const parsed = importSeed(kind, seed);
  privateKeys.set(seed, parsed);
  return parsed;
}

/** Ten times faster by JWK (RFC 8037) than by DER; where a Node checks the public half of a JWK, by DER. */
function importSeed(kind: 'ed' | 'x', seed: Uint8Array): KeyObject {
  const d = Buffer.from(seed.buffer, seed.byteOffset, seed.byteLength).toString('base64url');
  const key = { kty: 'OKP', crv: curve[kind], x: unknownPublic, d };
  try {
    return createPrivateKey({ key, format: 'jwk' });
  } catch {
    const der = Buffer.from(concatBytes(pkcs8Prefix[kind], seed));
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  }
}

function cachedEdPublic(raw: Uint8Array): KeyObject {
  const name = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('latin1');
  const cached = publicKeys.get(name);
  if (cached !== undefined) return cached;
  const parsed = parsePublicKey('ed', raw);
  publicKeys.set(name, parsed);
  return parsed;
}

/** Public keys go in and out as JWK (RFC 8037): OpenSSL's DER decoder takes ten times as long. */
function parsePublicKey(kind: 'ed' | 'x', raw: Uint8Array): KeyObject {
  const x = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('base64url');
  return createPublicKey({ key: { kty: 'OKP', crv: curve[kind], x }, format: 'jwk' });
}

function publicOf(kind: 'ed' | 'x', seed: Uint8Array): Uint8Array {
  return exportPublic(privateKey(kind, seed));
}

function exportPublic(key: KeyObject): Uint8Array {
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  return new Uint8Array(Buffer.from(x ?? '', 'base64url'));
}
