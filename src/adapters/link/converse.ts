/** Carries a conversation that knows no sockets (joining a mesh) over one, with a deadline and a bound on bytes. */

import type { Duplex } from 'node:stream';
import type { Address } from '../../kernel/address.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { Conversation, ConversationStep } from '../../wire/conversation.ts';
import { createByteReader } from './byte-reader.ts';
import { connectSocket } from './connect-socket.ts';
import type { Connect } from './connect-socket.ts';
import { dialFailure, raceAddresses } from './happy-eyeballs.ts';
import { magicBytes } from './magic.ts';
import type { Magic } from './magic.ts';
import { reasonOf } from './noise-stream.ts';

/** Time for a whole conversation, in ms. */
export const conversationMs = 10_000;

/** Bytes a peer may send in one conversation: a certificate, the authority log, keys and a list of peers. */
export const conversationBytesMax: number = 1024 * 1024;

/** How long a closing socket may take to flush the last words, in ms. */
const farewellMs = 2000;

/** Knobs of `converse`. */
export interface ConverseOptions {
  /** Expect these first bytes: for the accepting side. */
  readonly magic?: Magic;
  /** @default 10_000 */
  readonly deadlineMs?: number;
}

/**
 * Talks over a socket until the conversation ends; the socket is closed then.
 * @throws {MycelError} the conversation's own failure, or MYCEL_UNREACHABLE when the peer fell silent or left.
 */
export async function converse<Result>(
  socket: Duplex,
  conversation: Conversation<Result>,
  options: ConverseOptions = {},
): Promise<Result> {
  socket.on('error', () => {});
  const deadlineMs = options.deadlineMs ?? conversationMs;
  try {
    if (options.magic !== undefined) await expectMagic(socket, options.magic, deadlineMs);
    return await talk(socket, conversation, deadlineMs);
  } catch (error) {
    if (MycelError.is(error)) throw error;
    throw new MycelError('MYCEL_UNREACHABLE', { reason: reasonOf(error) }, { cause: error });
  } finally {
    socket.end();
    socket.resume();
    const cut = setTimeout(() => socket.destroy(), farewellMs).unref();
    socket.once('close', () => clearTimeout(cut));
  }
}

/**
 * Connects to the first address that answers, says the magic and talks.
 * `start` makes a fresh conversation: one conversation belongs to one connection.
 * @throws {MycelError} as `converse`; MYCEL_UNREACHABLE with the reason of each address when none connects.
 */
export async function dialConversation<Result>(
  addresses: readonly Address[],
  magic: Magic,
  start: () => Conversation<Result>,
  signal: AbortSignal,
  connect: Connect = connectSocket,
): Promise<{ readonly result: Result; readonly remote: Address }> {
  let winner: { socket: Duplex; remote: Address };
  try {
    winner = await raceAddresses(
      addresses,
      signal,
      async (remote, stop) => ({ socket: await connect(remote, stop), remote }),
      (late) => late.socket.destroy(),
    );
  } catch (error) {
    throw dialFailure('MYCEL_UNREACHABLE', addresses, error);
  }
  const { socket, remote } = winner;
  const abort = (): void => void socket.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    socket.write(magic, 'latin1');
    return { result: await converse(socket, start()), remote };
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function expectMagic(socket: Duplex, magic: Magic, deadlineMs: number): Promise<void> {
  const reader = createByteReader(socket, deadlineMs);
  try {
    const opening = (await reader.take(magicBytes)).toString('latin1');
    if (opening !== magic) throw new Error(`the connection does not open with ${magic}`);
  } finally {
    reader.release();
  }
}

function talk<Result>(
  socket: Duplex,
  conversation: Conversation<Result>,
  deadlineMs: number,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    const deadline = setTimeout(
      () => finish(() => reject(new Error(`no end within ${deadlineMs} ms`))),
      deadlineMs,
    );
    let hasEnded = false;
    let answering = 0;

    function finish(decide: () => void): void {
      clearTimeout(deadline);
      socket.off('data', onData);
      socket.off('close', onEnd);
      socket.off('end', onEnd);
      decide();
    }
    function answer(step: ConversationStep<Result>): void {
      answering -= 1;
      for (const part of step.send) socket.write(part);
      const { failure, result } = step;
      if (failure !== undefined) finish(() => reject(failure));
      else if (result !== undefined) finish(() => resolve(result));
      else if (hasEnded && answering === 0) left();
    }
    function onData(chunk: Buffer): void {
      bytes += chunk.length;
      if (bytes > conversationBytesMax) {
        finish(() => reject(new Error('the peer sends too much')));
        return;
      }
      answering += 1;
      conversation.received(chunk).then(answer, (error: unknown) => finish(() => reject(error)));
    }
    function onEnd(): void {
      hasEnded = true;
      // The last words may still be being read.
      if (answering === 0) left();
    }
    function left(): void {
      finish(() => reject(new Error('the peer closed the connection')));
    }

    socket.on('data', onData);
    socket.on('end', onEnd);
    socket.on('close', onEnd);
    for (const part of conversation.start()) socket.write(part);
  });
}
