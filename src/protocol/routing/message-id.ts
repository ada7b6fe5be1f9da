/** The name of a message for people: who published it and its hybrid time stamp, which every copy of it carries. */

import type { Hlc } from '../../kernel/hlc.ts';
import { isNodeId } from '../../kernel/ids.ts';
import type { NodeId } from '../../kernel/ids.ts';

/** What an id says. */
export interface MessageName {
  readonly origin: NodeId;
  readonly hlc: Hlc;
}

/** Longest id, in characters. */
export const messageIdLengthMax = 64;

/** The last beginning that was written: in a stream of messages many share their millisecond. */
let last = { origin: '', wallMs: -1, text: '' };

/** Writes an id: `<origin>-<wall ms>-<count>`, the numbers in base 36. */
export function messageIdOf(origin: NodeId, { wallMs, count }: Hlc): string {
  if (wallMs !== last.wallMs || origin !== last.origin) {
    last = { origin, wallMs, text: `${origin}-${wallMs.toString(36)}-` };
  }
  return last.text + count.toString(36);
}

/** Reads one; undefined for what `messageIdOf` would not have written. */
export function readMessageId(text: string): MessageName | undefined {
  if (text.length > messageIdLengthMax) return undefined;
  const [origin = '', wall = '', counted = '', ...rest] = text.split('-');
  const hlc = { wallMs: Number.parseInt(wall, 36), count: Number.parseInt(counted, 36) };
  if (rest.length > 0 || !isNodeId(origin)) return undefined;
  if (!Number.isSafeInteger(hlc.wallMs) || !(hlc.count <= 0xffff)) return undefined;
  return messageIdOf(origin, hlc) === text ? { origin, hlc } : undefined;
}
