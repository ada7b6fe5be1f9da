/** Writes model files of llama.cpp: GGUF version 3 (ggml-org/ggml, docs/gguf.md), with tensors of 32-bit floats alone. */

import { Buffer } from 'node:buffer';

/** A value of the metadata. */
export type GgufValue =
  | { readonly type: 'uint32' | 'float32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'int32s' | 'float32s'; readonly value: readonly number[] }
  | { readonly type: 'strings'; readonly value: readonly string[] };

/** One tensor; the first dimension is the one that lies together. */
export interface GgufTensor {
  readonly name: string;
  readonly dimensions: readonly number[];
  readonly data: Float32Array;
}

/** Where data may begin, in bytes. */
const alignment = 32;

const codes = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;

/** The bytes of a model file. */
export function encodeGguf(
  metadata: Readonly<Record<string, GgufValue>>,
  tensors: readonly GgufTensor[],
): Buffer {
  const entries = Object.entries(metadata);
  const infos: Buffer[] = [];
  const bodies: Buffer[] = [];
  let offset = 0;
  for (const { name, dimensions, data } of tensors) {
    const bytes = padded(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    // Type 0: 32-bit floats.
    infos.push(text(name), uint32(dimensions.length), ...dimensions.map(uint64), uint32(0));
    infos.push(uint64(offset));
    bodies.push(bytes);
    offset += bytes.length;
  }
  const head = [
    Buffer.from('GGUF'),
    uint32(3),
    uint64(tensors.length),
    uint64(entries.length),
    ...entries.flatMap(([key, value]) => [text(key), encodeValue(value)]),
    ...infos,
  ];
  return Buffer.concat([padded(Buffer.concat(head)), ...bodies]);
}

function encodeValue(given: GgufValue): Buffer {
  switch (given.type) {
    case 'uint32':
      return Buffer.concat([uint32(codes.uint32), uint32(given.value)]);
    case 'float32':
      return Buffer.concat([uint32(codes.float32), float32(given.value)]);
    case 'bool':
      return Buffer.concat([uint32(codes.bool), Buffer.from([given.value ? 1 : 0])]);
    case 'string':
      return Buffer.concat([uint32(codes.string), text(given.value)]);
    case 'int32s':
      return list(codes.int32, given.value.map(int32));
    case 'float32s':
      return list(codes.float32, given.value.map(float32));
    default:
      return list(codes.string, given.value.map(text));
  }
}

function list(code: number, items: readonly Buffer[]): Buffer {
  return Buffer.concat([uint32(codes.array), uint32(code), uint64(items.length), ...items]);
}

function padded(bytes: Buffer): Buffer {
  const missing = (alignment - (bytes.length % alignment)) % alignment;
  return missing === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(missing)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([uint64(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function float32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}
