/** The register of a mesh's topology as bytes: in hellos, in control records, and in the record `topology` on disk. */

import type { MeshId, NodeId } from '../kernel/ids.ts';
import type { OverlayName } from '../protocol/overlay/overlay.ts';
import type * as topologies from '../protocol/overlay/topology.ts';
import type { Topology, TopologyHint } from '../protocol/overlay/topology.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { idAt, idBytes } from './node-id.ts';

// The core's bounds, which the compiler keeps equal: this layer knows the types of a protocol, not its code.
const hubsMax: typeof topologies.hubsMax = 32;
const reasonLengthMax: typeof topologies.reasonLengthMax = 128;

const recordBytesMax = 8_192;
const u48Max = 2 ** 48 - 1;

/** Overlays by number on the wire. */
export const overlayCodes: Readonly<Record<OverlayName, number>> = {
  'full-mesh': 1,
  hyparview: 2,
  'client-server': 3,
  'pub-sub': 4,
};

const hintCodes: Readonly<Record<TopologyHint, number>> = {
  balanced: 1,
  'low-latency': 2,
  'high-throughput': 3,
  'massive-scale': 4,
  'event-driven': 5,
};

/** The overlay of this number. */
export function overlayOf(code: unknown): OverlayName | undefined {
  return nameOf(overlayCodes, code);
}

function nameOf<Name extends string>(
  codes: Readonly<Record<Name, number>>,
  code: unknown,
): Name | undefined {
  return (Object.keys(codes) as Name[]).find((name) => codes[name] === code);
}

/** A register as positional parts; `by` is empty in epoch 0. */
export function topologyParts(topology: Topology): unknown[] {
  const { epoch, by, kind, hubs, isAuto, hint, isReturn, reason } = topology;
  const author = by === '' ? new Uint8Array(0) : idBytes(by);
  const flags = (isAuto ? 1 : 0) + (isReturn ? 2 : 0);
  return [epoch, author, overlayCodes[kind], hubs.map(idBytes), flags, hintCodes[hint], reason];
}

/** Reads a register; undefined for anything that is not exactly one. */
export function readTopology(value: unknown): Topology | undefined {
  if (!Array.isArray(value) || value.length !== 7) return undefined;
  const parts: readonly unknown[] = value;
  const mark = readMark(parts[0], parts[1]);
  const kind = overlayOf(parts[2]);
  const hubs = readHubs(parts[3]);
  const hint = nameOf(hintCodes, parts[5]);
  const reason = parts[6];
  if (mark === undefined || kind === undefined || hubs === undefined) return undefined;
  const flags = parts[4];
  if (typeof flags !== 'number' || ![0, 1, 2, 3].includes(flags)) return undefined;
  if (hint === undefined) return undefined;
  if (typeof reason !== 'string' || reason.length > reasonLengthMax) return undefined;
  const isAuto = flags % 2 === 1;
  return { ...mark, kind, hubs, isAuto, hint, isReturn: flags >= 2, reason };
}

/** Reads the name of an epoch: number and author. */
export function readMark(
  epoch: unknown,
  author: unknown,
): { readonly epoch: number; readonly by: NodeId | '' } | undefined {
  if (typeof epoch !== 'number' || !Number.isInteger(epoch)) return undefined;
  if (epoch < 0 || epoch > u48Max || !(author instanceof Uint8Array)) return undefined;
  if (epoch === 0) return author.byteLength === 0 ? { epoch, by: '' } : undefined;
  return author.byteLength === 16 ? { epoch, by: idAt(author, 0) } : undefined;
}

function readHubs(value: unknown): NodeId[] | undefined {
  if (!Array.isArray(value) || value.length > hubsMax) return undefined;
  const hubs: NodeId[] = [];
  for (const item of value as readonly unknown[]) {
    if (!(item instanceof Uint8Array) || item.byteLength !== 16) return undefined;
    hubs.push(idAt(item, 0));
  }
  return hubs;
}

/** The record on disk. It names its mesh: a node that joins another one knows nothing of that one's topology. */
export function encodeTopologyRecord(meshId: MeshId, topology: Topology): Uint8Array {
  return encodeCbor([1, meshId, topologyParts(topology)]);
}

/** Reads the record of this mesh; undefined when there is none in these bytes. */
export function decodeTopologyRecord(bytes: Uint8Array, meshId: MeshId): Topology | undefined {
  let value: unknown;
  try {
    value = decodeCbor(bytes, { bytesMax: recordBytesMax });
  } catch {
    return undefined;
  }
  if (!Array.isArray(value) || value.length !== 3 || value[0] !== 1) return undefined;
  return value[1] === meshId ? readTopology(value[2]) : undefined;
}
