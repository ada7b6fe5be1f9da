/** What neighbours say about interest as bytes: one positional CBOR array each, read strictly (docs/protocols/routing.md). */

import { subscriptionProblem } from '../kernel/topic.ts';
import type { InterestMessage, WishVersion } from '../protocol/routing/interest-gossip.ts';
import type * as interest from '../protocol/routing/interest.ts';
import { u48Max } from './big-endian.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { idBytes } from './node-id.ts';
import { idOf, listOf, natOf } from './record-parts.ts';

// The bound of the structure, which the compiler keeps equal: this layer knows its types, not its code.
const filtersMax: typeof interest.filtersMax = 256;

/** Largest message, in bytes: 256 filters of 64 characters in UTF-8, or 1024 versions, with room to spare. */
const interestBytesMax: number = 96 * 1024;

/** Members in one message. */
const nodesMax = 1024;

const codes = { wish: 1, change: 2, hash: 3, versions: 4, ask: 5 } as const;

/** Encodes a message of the gossip, which keeps to the bounds. */
export function encodeInterest(message: InterestMessage): Uint8Array {
  return encodeCbor([codes[message.kind], ...partsOf(message)]);
}

/** Decodes a message; undefined for anything that is not exactly one. Never throws. */
export function decodeInterest(bytes: Uint8Array): InterestMessage | undefined {
  let value: unknown;
  try {
    value = decodeCbor(bytes, { bytesMax: interestBytesMax, depthMax: 4 });
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  const [code, ...parts]: readonly unknown[] = value;
  const reader = typeof code === 'number' ? readers.get(code) : undefined;
  return reader !== undefined && parts.length === reader.length ? reader.read(parts) : undefined;
}

function partsOf(message: InterestMessage): unknown[] {
  switch (message.kind) {
    case 'wish': {
      const { wish, isGreeting } = message;
      const filters = wish.filters === 'everything' ? 0 : [...wish.filters];
      return [...versionParts(wish), isGreeting ? 1 : 0, filters, wish.sinceMs];
    }
    case 'change':
      return [...versionParts(message.of), message.added, message.removed, message.sinceMs];
    case 'hash':
      return [message.hash];
    case 'versions':
      return [message.isAnswer ? 1 : 0, message.versions.map(versionParts)];
    case 'ask':
      return [message.nodes.map(idBytes)];
  }
}

function versionParts({ node, boot, version }: WishVersion): unknown[] {
  return [idBytes(node), boot, version];
}

const readers: ReadonlyMap<
  number,
  {
    readonly length: number;
    readonly read: (parts: readonly unknown[]) => InterestMessage | undefined;
  }
> = new Map([
  [codes.wish, { length: 6, read: readWish }],
  [codes.change, { length: 6, read: readChange }],
  [
    codes.hash,
    {
      length: 1,
      read(parts: readonly unknown[]): InterestMessage | undefined {
        const hash = natOf(parts[0], 2 ** 32 - 1);
        return hash === undefined ? undefined : { kind: 'hash', hash };
      },
    },
  ],
  [
    codes.versions,
    {
      length: 2,
      read(parts: readonly unknown[]): InterestMessage | undefined {
        const answer = natOf(parts[0], 1);
        const versions = listOf(parts[1], nodesMax, (one) =>
          Array.isArray(one) && one.length === 3 ? versionOf(one) : undefined,
        );
        if (answer === undefined || versions === undefined) return undefined;
        return { kind: 'versions', versions, isAnswer: answer === 1 };
      },
    },
  ],
  [
    codes.ask,
    {
      length: 1,
      read(parts: readonly unknown[]): InterestMessage | undefined {
        const nodes = listOf(parts[0], nodesMax, idOf);
        return nodes && { kind: 'ask', nodes };
      },
    },
  ],
]);

function readWish(parts: readonly unknown[]): InterestMessage | undefined {
  const of = versionOf(parts);
  const greeting = natOf(parts[3], 1);
  const filters = parts[4] === 0 ? ('everything' as const) : filtersOf(parts[4]);
  const sinceMs = natOf(parts[5], u48Max);
  if (of === undefined || greeting === undefined) return undefined;
  if (filters === undefined || sinceMs === undefined) return undefined;
  const wish = { ...of, filters: filters === 'everything' ? filters : new Set(filters), sinceMs };
  return { kind: 'wish', wish, isGreeting: greeting === 1 };
}

function readChange(parts: readonly unknown[]): InterestMessage | undefined {
  const of = versionOf(parts);
  const added = filtersOf(parts[3]);
  const removed = filtersOf(parts[4]);
  const sinceMs = natOf(parts[5], u48Max);
  if (of === undefined || added === undefined) return undefined;
  if (removed === undefined || sinceMs === undefined) return undefined;
  return { kind: 'change', of, added, removed, sinceMs };
}

function versionOf(parts: readonly unknown[]): WishVersion | undefined {
  const node = idOf(parts[0]);
  const boot = natOf(parts[1], u48Max);
  const version = natOf(parts[2], u48Max);
  if (node === undefined || boot === undefined || version === undefined) return undefined;
  return { node, boot, version };
}

function filtersOf(value: unknown): string[] | undefined {
  return listOf(value, filtersMax, (one) =>
    typeof one === 'string' && subscriptionProblem(one) === undefined ? one : undefined,
  );
}
