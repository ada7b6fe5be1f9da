/**
 * Conversations over a byte stream, without the stream: bytes in any chunks go in, bytes to send and an outcome come out.
 * On the wire each message is a frame: length 4 B big-endian ‖ bytes. The magic that opens a connection is not part of it.
 */

import { MycelError } from '../kernel/errors.ts';
import { plainBytes } from './bytes.ts';

/** Longest frame while nothing is known of the peer, in bytes. */
export const firstFrameBytesMax = 512;

/** Longest frame until the peer has proved that it may speak, in bytes. */
export const earlyFrameBytesMax = 2048;

/** Longest frame after that, in bytes. */
export const laterFrameBytesMax: number = 256 * 1024;

/** What came of some bytes. With `result` or `failure` the conversation is over: send, then end the stream. */
export interface ConversationStep<Result> {
  readonly send: readonly Uint8Array[];
  readonly result?: Result;
  readonly failure?: MycelError;
}

/** One side of a conversation. */
export interface Conversation<Result> {
  /** What to send before anything is heard. Call once. */
  start(): readonly Uint8Array[];
  /** Takes what the stream brought. Never rejects; calls that overlap are answered in order. */
  received(bytes: Uint8Array): Promise<ConversationStep<Result>>;
}

/** What a conversation does with whole frames; what it throws ends the conversation. */
export interface FrameHandlers<Result> {
  /** Frames to send first. */
  start(): readonly Uint8Array[];
  /** Longest frame that is accepted now, in bytes. */
  bytesMax(): number;
  frame(bytes: Uint8Array): Promise<FrameStep<Result>> | FrameStep<Result>;
}

/** Answer to one frame; the frames go out without their length, which is added here. */
export interface FrameStep<Result> {
  readonly send?: readonly Uint8Array[];
  readonly result?: Result;
  readonly failure?: MycelError;
}

/** Adds framing, bounds and order to a handler of frames. */
export function createConversation<Result>(handlers: FrameHandlers<Result>): Conversation<Result> {
  let held: Uint8Array = new Uint8Array();
  let isOver = false;
  let turn: Promise<unknown> = Promise.resolve();

  /** The next whole frame, or undefined when more bytes are needed. */
  function takeFrame(): Uint8Array | undefined {
    if (held.byteLength < 4) return undefined;
    const length = new DataView(held.buffer, held.byteOffset).getUint32(0);
    if (length > handlers.bytesMax()) {
      throw new MycelError('MYCEL_BAD_BYTES', { reason: 'A frame is too long.' });
    }
    if (held.byteLength < 4 + length) return undefined;
    const frame = held.subarray(4, 4 + length);
    held = held.subarray(4 + length);
    return frame;
  }

  async function take(bytes: Uint8Array): Promise<ConversationStep<Result>> {
    const send: Uint8Array[] = [];
    if (isOver) return { send };
    try {
      held = held.byteLength === 0 ? plainBytes(bytes) : plainBytes(Buffer.concat([held, bytes]));
      for (let frame = takeFrame(); frame !== undefined; frame = takeFrame()) {
        const step = await handlers.frame(frame);
        send.push(...(step.send ?? []).map(framed));
        if (step.failure !== undefined) throw step.failure;
        if (step.result !== undefined) {
          isOver = true;
          held = new Uint8Array();
          return { send, result: step.result };
        }
      }
      // The stream may reuse its buffer: what waits for its other half is copied.
      held = new Uint8Array(held);
      return { send };
    } catch (error) {
      isOver = true;
      held = new Uint8Array();
      return { send, failure: asFailure(error) };
    }
  }

  return {
    start: () => handlers.start().map(framed),
    received(bytes) {
      const answer = turn.then(() => take(bytes));
      turn = answer;
      return answer;
    },
  };
}

function framed(bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(4 + bytes.byteLength);
  new DataView(frame.buffer).setUint32(0, bytes.byteLength);
  frame.set(bytes, 4);
  return frame;
}

function asFailure(error: unknown): MycelError {
  if (MycelError.is(error)) return error;
  return new MycelError('MYCEL_HANDSHAKE_FAILED', { reason: 'It broke off.' }, { cause: error });
}
