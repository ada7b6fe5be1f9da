/** The members of a mesh as a node last knew it: the record `members` on disk. */

import type { MeshId, NodeId } from '../kernel/ids.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { idAt, idBytes } from './node-id.ts';

/** Members that are remembered; the rest is not. */
export const membersMax = 1024;

const recordBytesMax: number = 64 * 1024;

export function encodeMemberRecord(mesh: MeshId, nodes: readonly NodeId[]): Uint8Array {
  return encodeCbor([1, mesh, nodes.slice(0, membersMax).map(idBytes)]);
}

/** The members; none when the record is damaged or of another mesh. */
export function decodeMemberRecord(bytes: Uint8Array, mesh: MeshId): readonly NodeId[] {
  let value: unknown;
  try {
    value = decodeCbor(bytes, { bytesMax: recordBytesMax, depthMax: 2 });
  } catch {
    return [];
  }
  if (!Array.isArray(value) || value[0] !== 1 || value[1] !== mesh) return [];
  const list: unknown = value[2];
  if (!Array.isArray(list) || list.length > membersMax) return [];
  const ids = list.map((one: unknown) =>
    one instanceof Uint8Array && one.length === 16 ? idAt(one, 0) : undefined,
  );
  return ids.filter((id) => id !== undefined);
}
