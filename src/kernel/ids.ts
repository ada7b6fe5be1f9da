/** The names of things: branded, made by one constructor each, so that a cast appears once. */

import { MycelError } from './errors.ts';

/**
 * A node's name for all time: base32 of the first 128 bits of a hash of its public signing key (26 characters),
 * followed by two check characters, 28 in all, lower case. See `nodeIdFromHash`.
 */
export type NodeId = string & { readonly __brand: 'NodeId' };

/** A mesh's name for all time: 32 lower-case hex digits, the first 128 bits of the hash of its genesis. */
export type MeshId = string & { readonly __brand: 'MeshId' };

/** RFC 4648 base32 in lower case. */
export const base32Alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/** Bytes of hash that a node id carries. */
export const nodeIdBytes = 16;

/** Makes the id of the node whose key hashes to `hash` (at least 16 bytes; the rest is ignored). */
export function nodeIdFromHash(hash: Uint8Array): NodeId {
  const body = base32(hash.subarray(0, nodeIdBytes));
  return (body + checkCharacters(body)) as NodeId;
}

/**
 * Reads an id that a person or a peer wrote.
 * @throws {MycelError} MYCEL_BAD_NODE_ID when its length, alphabet or check characters are wrong.
 */
export function parseNodeId(text: string): NodeId {
  const id = text.trim().toLowerCase();
  if (!isNodeId(id)) throw new MycelError('MYCEL_BAD_NODE_ID', { given: text.slice(0, 64) });
  return id;
}

/**
 * Whether the text is a whole node id with right check characters. The last character of the body carries three
 * bits of the hash; the other two are zero, so that an id has one spelling only.
 */
export function isNodeId(text: string): text is NodeId {
  const isWhole = /^[a-z2-7]{25}[aeimquy4][a-z2-7]{2}$/.test(text);
  return isWhole && checkCharacters(text.slice(0, 26)) === text.slice(26);
}

/** The 16 bytes behind an id; the inverse of `nodeIdFromHash`. */
export function nodeIdToBytes(id: NodeId): Uint8Array {
  const bytes = new Uint8Array(nodeIdBytes);
  let buffer = 0;
  let bits = 0;
  let at = 0;
  for (let index = 0; index < 26; index += 1) {
    buffer = ((buffer << 5) | base32Alphabet.indexOf(id.charAt(index))) & 0xffff;
    bits += 5;
    if (bits >= 8 && at < nodeIdBytes) {
      bits -= 8;
      bytes[at] = (buffer >> bits) & 0xff;
      at += 1;
    }
  }
  return bytes;
}

/** Reads a mesh id. @throws {MycelError} MYCEL_BAD_MESH_ID when it is not 32 hex digits. */
export function parseMeshId(text: string): MeshId {
  if (!/^[0-9a-f]{32}$/.test(text)) {
    throw new MycelError('MYCEL_BAD_MESH_ID', { given: text.slice(0, 64) });
  }
  return text as MeshId;
}

/** Base32 without padding, lower case. */
export function base32(bytes: Uint8Array): string {
  let text = '';
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += base32Alphabet.charAt((buffer >> bits) & 31);
    }
    buffer &= 0xff;
  }
  if (bits > 0) text += base32Alphabet.charAt((buffer << (5 - bits)) & 31);
  return text;
}

/**
 * Two check characters over the body: the parity symbols of a Reed–Solomon code over GF(32) with the roots 1 and 2.
 * Its distance is 3 for up to 31 characters, so any one or two wrong characters show, and any two exchanged ones.
 */
function checkCharacters(body: string): string {
  let high = 0;
  let low = 0;
  for (let at = 0; at < body.length; at += 1) {
    const fed = base32Alphabet.indexOf(body.charAt(at)) ^ high;
    const doubled = doubleInField(fed);
    high = low ^ doubled ^ fed;
    low = doubled;
  }
  return base32Alphabet.charAt(high) + base32Alphabet.charAt(low);
}

/** Multiplies by 2 in GF(32), modulo the primitive polynomial x^5 + x^2 + 1. */
function doubleInField(symbol: number): number {
  return symbol < 16 ? symbol << 1 : (symbol << 1) ^ 0b100101;
}
