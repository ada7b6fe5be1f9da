/** What neighbours say about broadcasts as bytes: one positional CBOR array each, read strictly (docs/protocols/broadcast.md). */

import type { NodeId } from '../kernel/ids.ts';
import type * as pieces from '../protocol/broadcast/piece.ts';
import type { Announced, Piece, PlumtreeMessage } from '../protocol/broadcast/piece.ts';
import { u48Max } from './big-endian.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { idAt, idBytes } from './node-id.ts';

// The core's bound, which the compiler keeps equal: this layer knows the types of a protocol, not its code.
const piecesMax: typeof pieces.piecesMax = 256;

/** Largest message, in bytes: 256 pieces of as many origins would be 12 KiB. */
const broadcastBytesMax: number = 16 * 1024;

const hopsMax = 255;

const codes = { have: 1, graft: 2, prune: 3 } as const;

/** Encodes a message of a core, which keeps to the bounds. */
export function encodeBroadcast(message: PlumtreeMessage): Uint8Array {
  switch (message.kind) {
    case 'have':
      return encodeCbor([codes.have, runsOf(message.pieces)]);
    case 'graft': {
      const named = message.pieces.map(({ boot, seq, stream }) => [boot, seq, stream]);
      return encodeCbor([codes.graft, idBytes(message.root), named]);
    }
    case 'prune':
      return encodeCbor([codes.prune, idBytes(message.root)]);
  }
}

/** Pieces that follow each other share what they have in common: the origin's id is most of a piece. */
function runsOf(list: readonly Announced[]): unknown[] {
  const runs: [Uint8Array, number, number, number[]][] = [];
  let last: Announced | undefined;
  for (const one of list) {
    const isSame =
      last?.origin === one.origin &&
      last.boot === one.boot &&
      last.stream === one.stream &&
      last.isStaged === one.isStaged;
    const run = isSame ? runs.at(-1) : undefined;
    if (run !== undefined) run[3].push(one.seq, one.hops);
    else {
      const flags = one.stream + (one.isStaged ? 2 : 0);
      runs.push([idBytes(one.origin), one.boot, flags, [one.seq, one.hops]]);
    }
    last = one;
  }
  return runs;
}

/** Decodes a message; undefined for anything that is not exactly one. Never throws. */
export function decodeBroadcast(bytes: Uint8Array): PlumtreeMessage | undefined {
  let value: unknown;
  try {
    value = decodeCbor(bytes, { bytesMax: broadcastBytesMax, depthMax: 5 });
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  const [code, ...parts]: readonly unknown[] = value;
  if (code === codes.have && parts.length === 1) return readHave(parts[0]);
  const root = idOf(parts[0]);
  if (root === undefined) return undefined;
  if (code === codes.prune && parts.length === 1) return { kind: 'prune', root };
  return code === codes.graft && parts.length === 2 ? readGraft(root, parts[1]) : undefined;
}

function readHave(value: unknown): PlumtreeMessage | undefined {
  if (!Array.isArray(value) || value.length > piecesMax) return undefined;
  const list: Announced[] = [];
  for (const run of value as readonly unknown[]) {
    if (!Array.isArray(run) || run.length !== 4 || !readRun(run, list)) return undefined;
  }
  return list.length === 0 ? undefined : { kind: 'have', pieces: list };
}

function readRun(run: readonly unknown[], into: Announced[]): boolean {
  const origin = idOf(run[0]);
  const boot = wholeOf(run[1], u48Max);
  const flags = wholeOf(run[2], 3);
  const numbers = run[3];
  if (origin === undefined || boot === undefined || flags === undefined) return false;
  if (!Array.isArray(numbers) || numbers.length === 0 || numbers.length % 2 !== 0) return false;
  if (into.length + numbers.length / 2 > piecesMax) return false;
  const stream = (flags % 2) as 0 | 1;
  for (let at = 0; at < numbers.length; at += 2) {
    const seq = wholeOf(numbers[at], u48Max);
    const hops = wholeOf(numbers[at + 1], hopsMax);
    if (seq === undefined || hops === undefined) return false;
    into.push({ origin, boot, seq, stream, hops, isStaged: flags >= 2 });
  }
  return true;
}

function readGraft(root: NodeId, value: unknown): PlumtreeMessage | undefined {
  if (!Array.isArray(value) || value.length > piecesMax) return undefined;
  const list: Piece[] = [];
  for (const item of value as readonly unknown[]) {
    if (!Array.isArray(item) || item.length !== 3) return undefined;
    const [life, number, which]: readonly unknown[] = item;
    const boot = wholeOf(life, u48Max);
    const seq = wholeOf(number, u48Max);
    if (boot === undefined || seq === undefined || (which !== 0 && which !== 1)) return undefined;
    list.push({ origin: root, boot, seq, stream: which });
  }
  return { kind: 'graft', root, pieces: list };
}

function wholeOf(value: unknown, max: number): number | undefined {
  if (typeof value !== 'number' || !Number.isInteger(value)) return undefined;
  return value >= 0 && value <= max ? value : undefined;
}

function idOf(value: unknown): NodeId | undefined {
  return value instanceof Uint8Array && value.byteLength === 16 ? idAt(value, 0) : undefined;
}
