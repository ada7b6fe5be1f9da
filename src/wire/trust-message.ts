/** What linked members tell each other about trust: ends of the authority log, missing entries, epoch keys, certificates. */

import * as z from 'zod/mini';
import type { AuthorityHead } from '../protocol/trust/messages.ts';
import { authorityEntryBytesMax } from './authority-entry.ts';
import { fromHex, toHex } from './bytes.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { certificateBytesMax } from './certificate.ts';
import { bytesOf, counterField, keyField } from './fields.ts';
import { boxOverheadBytes, keyBytes } from './keys.ts';

/** Authors in one message; a mesh has few admins. */
const authorsMax = 64;

/** Entries in one message: 64 of the largest fit an opaque control record. */
export const trustEntriesMax = 64;

/** Epoch keys in one message. */
const keysMax = 8;

/** Largest trust message, in bytes. */
const trustBytesMax: number = 128 * 1024;

/** An epoch key in a box that only one member can open. */
export interface SealedEpochKey {
  readonly epoch: number;
  readonly sealed: Uint8Array;
}

/** One message. Keys and certificates travel only here, inside the sealed link of a member that was let in. */
export type TrustMessage =
  | { readonly kind: 'heads'; readonly heads: readonly AuthorityHead[] }
  | {
      readonly kind: 'pull';
      readonly wants: readonly { readonly author: string; readonly fromSeq: number }[];
    }
  | { readonly kind: 'entries'; readonly entries: readonly Uint8Array[] }
  | { readonly kind: 'keys-wanted'; readonly epochs: readonly number[] }
  /** Each sealed to the receiver's own key: whoever reads a link's frames still learns no epoch key. */
  | { readonly kind: 'keys'; readonly keys: readonly SealedEpochKey[] }
  /** A fresh entry on its way through the mesh. */
  | { readonly kind: 'rumour'; readonly entry: Uint8Array }
  /** Whether the entry with this hash was news to the sender. */
  | { readonly kind: 'heard'; readonly hash: string; readonly wasNew: boolean }
  /** A newer certificate for the receiver: a probation that ended, a renewal. */
  | { readonly kind: 'certificate'; readonly certificate: Uint8Array };

const sealedKeyField = bytesOf(keyBytes + boxOverheadBytes);
const entryField = z
  .instanceof(Uint8Array)
  .check(z.refine((bytes) => bytes.length <= authorityEntryBytesMax));

const schema = z.union([
  z.tuple([
    z.literal(1),
    z
      .array(z.tuple([keyField, counterField, bytesOf(32), z.boolean()]))
      .check(z.maxLength(authorsMax)),
  ]),
  z.tuple([
    z.literal(2),
    z.array(z.tuple([keyField, counterField])).check(z.maxLength(authorsMax)),
  ]),
  z.tuple([z.literal(3), z.array(entryField).check(z.maxLength(trustEntriesMax))]),
  z.tuple([z.literal(4), z.array(counterField).check(z.maxLength(keysMax))]),
  z.tuple([
    z.literal(5),
    z.array(z.tuple([counterField, sealedKeyField])).check(z.maxLength(keysMax)),
  ]),
  z.tuple([
    z.literal(6),
    z.instanceof(Uint8Array).check(z.refine((bytes) => bytes.length <= certificateBytesMax)),
  ]),
  z.tuple([z.literal(7), entryField]),
  z.tuple([z.literal(8), bytesOf(32), z.boolean()]),
]);

/** Encodes a message. Keeping to the limits of the reader is the caller's part. */
export function encodeTrustMessage(message: TrustMessage): Uint8Array {
  switch (message.kind) {
    case 'heads':
      return encodeCbor([
        1,
        message.heads.map((head) => [
          fromHex(head.author),
          head.seq,
          fromHex(head.hash),
          head.isFrozen,
        ]),
      ]);
    case 'pull':
      return encodeCbor([2, message.wants.map((want) => [fromHex(want.author), want.fromSeq])]);
    case 'entries':
      return encodeCbor([3, message.entries]);
    case 'keys-wanted':
      return encodeCbor([4, message.epochs]);
    case 'keys':
      return encodeCbor([5, message.keys.map(({ epoch, sealed }) => [epoch, sealed])]);
    case 'certificate':
      return encodeCbor([6, message.certificate]);
    case 'rumour':
      return encodeCbor([7, message.entry]);
    case 'heard':
      return encodeCbor([8, fromHex(message.hash), message.wasNew]);
  }
}

/** Reads a message; undefined for anything that is not exactly one. */
export function decodeTrustMessage(bytes: Uint8Array): TrustMessage | undefined {
  let value: unknown;
  try {
    value = decodeCbor(bytes, { bytesMax: trustBytesMax, depthMax: 3 });
  } catch {
    return undefined;
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) return undefined;
  const said = parsed.data;
  switch (said[0]) {
    case 1:
      return {
        kind: 'heads',
        heads: said[1].map(([author, seq, hash, isFrozen]) => ({
          author: toHex(author),
          seq,
          hash: toHex(hash),
          isFrozen,
        })),
      };
    case 2:
      return {
        kind: 'pull',
        wants: said[1].map(([author, fromSeq]) => ({ author: toHex(author), fromSeq })),
      };
    case 3:
      return { kind: 'entries', entries: said[1].map((entry) => entry.slice()) };
    case 4:
      return { kind: 'keys-wanted', epochs: said[1] };
    case 5:
      return { kind: 'keys', keys: said[1].map(([epoch, sealed]) => ({ epoch, sealed })) };
    case 6:
      return { kind: 'certificate', certificate: said[1].slice() };
    case 7:
      return { kind: 'rumour', entry: said[1].slice() };
    case 8:
      return { kind: 'heard', hash: toHex(said[1]), wasNew: said[2] };
  }
}
