/** Reads the parts of a record that came as a CBOR array: undefined for what its writer would not have written. */

import type { NodeId } from '../kernel/ids.ts';
import { idAt } from './node-id.ts';

/** A whole number from 0 up to `max`. */
export function natOf(value: unknown, max: number): number | undefined {
  if (typeof value !== 'number' || !Number.isInteger(value)) return undefined;
  return value >= 0 && value <= max ? value : undefined;
}

/** A node id in its 16 bytes. */
export function idOf(value: unknown): NodeId | undefined {
  return value instanceof Uint8Array && value.byteLength === 16 ? idAt(value, 0) : undefined;
}

/** A list of at most `max` items, all of which `read` can read. */
export function listOf<Item>(
  value: unknown,
  max: number,
  read: (item: unknown) => Item | undefined,
): Item[] | undefined {
  if (!Array.isArray(value) || value.length > max) return undefined;
  const items: Item[] = [];
  for (const part of value as readonly unknown[]) {
    const item = read(part);
    if (item === undefined) return undefined;
    items.push(item);
  }
  return items;
}
