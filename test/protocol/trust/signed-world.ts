/** Admins with made-up keys that write log entries, for cores that take signatures as checked. */

import type { NodeId } from '../../../src/kernel/ids.ts';
import type {
  AuthorityEntry,
  AuthorityStatement,
  Genesis,
  KeyText,
} from '../../../src/protocol/trust/messages.ts';

/** A genesis with these roots. */
export function genesisOf(...roots: KeyText[]): Genesis {
  const policy = { autoApprove: false, epochLagMax: 1000 };
  return { roots, policy, meshName: 'home', hash: hashOf('genesis') };
}

/** A key named after a person. */
export function keyOf(name: string): KeyText {
  return hashOf(`key ${name}`);
}

/** A subject named after a person. */
export function subject(name: string): { node: NodeId; key: KeyText } {
  return { node: `node-${name}` as NodeId, key: keyOf(name) };
}

/** An entry as its author would sign it. */
export function entryOf(
  author: KeyText,
  link: { seq: number; prev: string; lamport: number },
  statement: AuthorityStatement,
): AuthorityEntry {
  const text = JSON.stringify([author, link, statement]);
  return { author, ...link, statement, hash: hashOf(text), bytes: new TextEncoder().encode(text) };
}

/** 64 hex digits that differ for different texts (FNV-1a over 8 lanes; no adversary here). */
function hashOf(text: string): string {
  let digits = '';
  for (let lane = 0; lane < 8; lane += 1) {
    let hash = 0x811c9dc5 ^ (lane * 0x9e3779b1);
    for (let at = 0; at < text.length; at += 1) {
      hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    }
    digits += (hash >>> 0).toString(16).padStart(8, '0');
  }
  return digits;
}
