/** Messages between replicas as bytes: one positional CBOR array each, read strictly (docs/protocols/state.md). */

import type { Fingerprint } from '../protocol/replication/digest-tree.ts';
import type { Listed, StateMessage } from '../protocol/replication/messages.ts';
import { parcelBytesMax } from '../kernel/parcel.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import {
  BadParts,
  contextParts,
  dotParts,
  factParts,
  listOf,
  readAddress,
  readContext,
  readDots,
  readFact,
  readTable,
  ReplicaTable,
  tuple,
  wholeOf,
} from './state-facts.ts';

const codes = {
  push: 1,
  ack: 2,
  root: 3,
  branches: 4,
  leaves: 5,
  repair: 6,
  rest: 7,
  context: 8,
  same: 9,
  refused: 10,
  ask: 11,
} as const;

/** Encodes a message of the core, which keeps to the bounds. */
export function encodeStateMessage(message: StateMessage): Uint8Array {
  const table = new ReplicaTable();
  const parts = partsOf(message, table);
  return encodeCbor([codes[message.kind], table.names, ...parts]);
}

/** Decodes a message; undefined for anything that is not exactly one. Never throws. */
export function decodeStateMessage(bytes: Uint8Array): StateMessage | undefined {
  try {
    const value = decodeCbor(bytes, { bytesMax: parcelBytesMax });
    if (!Array.isArray(value) || value.length < 2) return undefined;
    const [code, names, ...parts] = value as readonly unknown[];
    return read(code, parts, readTable(names));
  } catch {
    return undefined;
  }
}

function partsOf(message: StateMessage, table: ReplicaTable): unknown[] {
  switch (message.kind) {
    case 'push':
      return [message.seq, message.facts.map((fact) => factParts(fact, table))];
    case 'ack':
      return [message.seq];
    case 'root':
      return [message.root, message.context, message.size];
    case 'branches':
      return [
        message.level,
        message.nodes.map(({ index, children }) => [index, ...children.flat()]),
      ];
    case 'leaves':
      return [message.leaves === 'all' ? 0 : message.leaves, listedParts(message.cells, table)];
    case 'repair':
      return [
        message.facts.map((fact) => factParts(fact, table)),
        listedParts(message.wants, table),
        message.isPart,
      ];
    case 'rest':
      return [message.facts.map((fact) => factParts(fact, table)), message.isPart];
    case 'context':
      return [message.root, contextParts(message.known, table), message.isReply];
    case 'same':
      return [];
    case 'refused':
      return [Math.round(message.aheadMs)];
    case 'ask':
      return [message.address, message.amount, table.number(message.replica)];
  }
}

function listedParts(cells: readonly Listed[], table: ReplicaTable): unknown[] {
  return cells.map(([address, dots]) => [address, dotParts(dots, table)]);
}

function read(code: unknown, parts: readonly unknown[], table: readonly string[]): StateMessage {
  const facts = (value: unknown) => listOf(value, (one) => readFact(one, table));
  const listed = (value: unknown) =>
    listOf(value, (one): Listed => {
      const [address, dots] = tuple(one, 2);
      return [readAddress(address), readDots(dots, table)];
    });
  switch (code) {
    case codes.push: {
      const [seq, all] = tuple(parts, 2);
      return { kind: 'push', seq: wholeOf(seq, 1), facts: facts(all) };
    }
    case codes.ack:
      return { kind: 'ack', seq: wholeOf(tuple(parts, 1)[0], 1) };
    case codes.root: {
      const [root, context, size] = tuple(parts, 3);
      return {
        kind: 'root',
        root: printOf(root),
        context: printOf(context),
        size: wholeOf(size, 0),
      };
    }
    case codes.branches: {
      const [level, nodes] = tuple(parts, 2);
      return { kind: 'branches', level: wholeOf(level, 0), nodes: listOf(nodes, nodeOf) };
    }
    case codes.leaves: {
      const [leaves, cells] = tuple(parts, 2);
      return {
        kind: 'leaves',
        leaves: leaves === 0 ? 'all' : listOf(leaves, (leaf) => wholeOf(leaf, 0)),
        cells: listed(cells),
      };
    }
    case codes.repair: {
      const [all, wants, isPart] = tuple(parts, 3);
      return {
        kind: 'repair',
        facts: facts(all),
        wants: listed(wants),
        isPart: booleanOf(isPart),
      };
    }
    case codes.rest: {
      const [all, isPart] = tuple(parts, 2);
      return { kind: 'rest', facts: facts(all), isPart: booleanOf(isPart) };
    }
    case codes.context: {
      const [root, known, isReply] = tuple(parts, 3);
      return {
        kind: 'context',
        root: printOf(root),
        known: readContext(known, table),
        isReply: booleanOf(isReply),
      };
    }
    case codes.same:
      tuple(parts, 0);
      return { kind: 'same' };
    case codes.refused:
      return { kind: 'refused', aheadMs: wholeOf(tuple(parts, 1)[0], 0) };
    case codes.ask: {
      const [address, amount, replica] = tuple(parts, 3);
      const name = table[wholeOf(replica, 0)];
      if (name === undefined) throw new BadParts();
      return {
        kind: 'ask',
        address: readAddress(address),
        amount: wholeOf(amount, 1),
        replica: name,
      };
    }
    default:
      throw new BadParts();
  }
}

function printOf(value: unknown): Fingerprint {
  const [high, low] = tuple(value, 2);
  return [wholeOf(high, 0), wholeOf(low, 0)];
}

function nodeOf(value: unknown): { index: number; children: Fingerprint[] } {
  const [index = 0, ...halves] = listOf(value, (one) => wholeOf(one, 0));
  if (halves.length % 2 !== 0) throw new BadParts();
  const children: Fingerprint[] = [];
  for (let at = 0; at < halves.length; at += 2) {
    children.push([halves[at] ?? 0, halves[at + 1] ?? 0]);
  }
  return { index, children };
}

function booleanOf(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new BadParts();
  return value;
}
