/** How an update of a document lies in the entries of its cell: whole, or in parts when it is too large for one. */

import type { Entry, Plain } from '../../protocol/replication/cell.ts';

/** Bytes of an update that one entry holds: two entries fit a message. */
export const documentPartBytes: number = 11 * 1024;

/** An update as it is found, with the entries it lies in. */
export interface FoundUpdate {
  readonly entries: readonly Entry[];
  readonly update: Uint8Array;
}

/** Cuts an update into values. @param name no other write of this node has it */
export function cutUpdate(update: Uint8Array, name: string): Plain[] {
  if (update.length <= documentPartBytes) return [update];
  const total = Math.ceil(update.length / documentPartBytes);
  return Array.from({ length: total }, (_, at) => [
    name,
    at,
    total,
    update.slice(at * documentPartBytes, (at + 1) * documentPartBytes),
  ]);
}

/** The updates that are complete among these entries. */
export function findUpdates(entries: readonly Entry[]): FoundUpdate[] {
  const found: FoundUpdate[] = [];
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const { value, replica } = entry;
    if (value instanceof Uint8Array) found.push({ entries: [entry], update: value });
    else if (Array.isArray(value) && typeof value[0] === 'string') {
      const group = `${replica} ${value[0]}`;
      groups.set(group, [...(groups.get(group) ?? []), entry]);
    }
  }
  for (const group of groups.values()) {
    const update = joinParts(group);
    if (update !== undefined) found.push({ entries: group, update });
  }
  return found;
}

/** Bytes of all updates, whole or not. */
export function bytesOf(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const { value } of entries) {
    const part: unknown = Array.isArray(value) ? value[3] : value;
    if (part instanceof Uint8Array) bytes += part.length;
  }
  return bytes;
}

function joinParts(group: readonly Entry[]): Uint8Array | undefined {
  const parts = new Map<unknown, Uint8Array>();
  let total: unknown = 0;
  for (const { value } of group) {
    const [, at, of, part] = value as readonly unknown[];
    total = of;
    if (part instanceof Uint8Array) parts.set(at, part);
  }
  if (parts.size === 0 || parts.size !== total) return undefined;
  const update = new Uint8Array([...parts.values()].reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (let at = 0; at < parts.size; at += 1) {
    const part = parts.get(at);
    if (part === undefined) return undefined;
    update.set(part, end);
    end += part.length;
  }
  return update;
}
