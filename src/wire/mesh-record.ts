/** What a node keeps on disk about its mesh, as bytes: the record `mesh` of the data directory. */

import { decodeCbor, encodeCbor } from './cbor.ts';

/** Largest mesh record we read back, in bytes: the authority log is the bulk of it. */
const recordBytesMax = 8 * 1024 * 1024;

/** The membership of a node, as it survives a restart. */
export interface MeshRecord {
  readonly name: string;
  /** A mesh of one that nobody has claimed. */
  readonly isProvisional: boolean;
  readonly genesis: Uint8Array;
  /** Authority-log entries, each as signed by its author. */
  readonly entries: readonly Uint8Array[];
  readonly certificate: Uint8Array;
  /** Epoch keys still in use, newest last. */
  readonly keys: readonly { readonly epoch: number; readonly key: Uint8Array }[];
}

/** Encodes the record; the caller hands it to the store. */
export function encodeMeshRecord(record: MeshRecord): Uint8Array {
  return encodeCbor([
    1,
    record.name,
    record.isProvisional,
    record.genesis,
    record.entries,
    record.certificate,
    record.keys.map(({ epoch, key }) => [epoch, key]),
  ]);
}

/** Reads a record back; undefined when it is not one. */
export function decodeMeshRecord(bytes: Uint8Array): MeshRecord | undefined {
  let value: unknown;
  try {
    value = decodeCbor(bytes, { bytesMax: recordBytesMax });
  } catch {
    return undefined;
  }
  if (!Array.isArray(value) || value.length !== 7 || value[0] !== 1) return undefined;
  const [, name, isProvisional, genesis, entries, certificate, keys] = value as unknown[];
  if (typeof name !== 'string' || typeof isProvisional !== 'boolean') return undefined;
  if (!(genesis instanceof Uint8Array) || !(certificate instanceof Uint8Array)) return undefined;
  if (!isBytesList(entries) || !Array.isArray(keys)) return undefined;
  const epochKeys: { epoch: number; key: Uint8Array }[] = [];
  for (const pair of keys as unknown[]) {
    if (!Array.isArray(pair)) return undefined;
    const [epoch, key] = pair as unknown[];
    if (typeof epoch !== 'number' || !(key instanceof Uint8Array) || key.length !== 32) {
      return undefined;
    }
    epochKeys.push({ epoch, key });
  }
  return { name, isProvisional, genesis, entries, certificate, keys: epochKeys };
}

function isBytesList(value: unknown): value is Uint8Array[] {
  return Array.isArray(value) && value.every((item) => item instanceof Uint8Array);
}
