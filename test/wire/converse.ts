/** Lets two sides of a conversation talk over a perfect stream, in chunks of any size, with a tap on every byte. */

import type { Conversation, ConversationStep } from '../../src/wire/conversation.ts';

/** What became of one side. */
export type Outcome<Result> = Omit<ConversationStep<Result>, 'send'>;

/** How the stream behaves. */
export interface Stream {
  /** Bytes handed over at a time. @default all there is */
  readonly chunkBytes?: number;
  /** Sees and may change each write; `at` counts the writes of both sides. */
  tap?(bytes: Uint8Array, from: 'left' | 'right', at: number): Uint8Array;
}

/** Runs both sides until neither has anything to say. */
export async function converse<Left, Right>(
  left: Conversation<Left>,
  right: Conversation<Right>,
  stream: Stream = {},
): Promise<{ left: Outcome<Left>; right: Outcome<Right> }> {
  const outcomes: { left: Outcome<Left>; right: Outcome<Right> } = { left: {}, right: {} };
  let writes = 0;
  type Write = { from: 'left' | 'right'; bytes: Uint8Array };
  const queue: Write[] = [];
  const push = (from: 'left' | 'right', send: readonly Uint8Array[]): void => {
    for (const bytes of send) {
      queue.push({ from, bytes: stream.tap?.(bytes, from, writes) ?? bytes });
      writes += 1;
    }
  };
  push('left', left.start());
  push('right', right.start());
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const size = Math.max(1, stream.chunkBytes ?? next.bytes.length);
    for (let at = 0; at < next.bytes.length; at += size) {
      const chunk = next.bytes.slice(at, at + size);
      if (next.from === 'left') {
        const { send, ...outcome } = await right.received(chunk);
        Object.assign(outcomes.right, outcome);
        push('right', send);
      } else {
        const { send, ...outcome } = await left.received(chunk);
        Object.assign(outcomes.left, outcome);
        push('left', send);
      }
    }
  }
  return outcomes;
}
