/**
 * Joining at an open window: Noise_XX, then six digits that both people compare.
 *
 * The digits come from the handshake hash and a nonce of each side. The host commits to its nonce in the second
 * message, before it sees the newcomer's in the third, and shows it last: someone in the middle gets one guess in a
 * million, where digits made from the hash alone could be ground out offline (ZRTP, RFC 6189, section 4.4.1.1).
 */

import { MycelError } from '../kernel/errors.ts';
import { concatBytes, isSameBytes, utf8 } from './bytes.ts';
import {
  createConversation,
  earlyFrameBytesMax,
  firstFrameBytesMax,
  laterFrameBytesMax,
} from './conversation.ts';
import type { Conversation, FrameStep } from './conversation.ts';
import {
  createMessagePipe,
  encodeAnswer,
  encodeHello,
  readAnswer,
  readHello,
} from './join-messages.ts';
import type { JoinGrant, Joined, MessagePipe, Newcomer } from './join-messages.ts';
import { keyBytes, randomBytes, sha256 } from './keys.ts';
import type { NodeKeys } from './keys.ts';
import { createNoise } from './noise.ts';

const prologue = utf8('mycel/open-join/1');
const commitLabel = utf8('mycel/open-join/commit/1');
const codeLabel = utf8('mycel/open-join/code/1');

/** The newcomer as the host sees it. */
export interface OpenNewcomer extends Newcomer {
  /** Six digits to compare with those on the newcomer's own screen. */
  readonly code: string;
}

/** What the newcomer gets. */
export interface OpenJoined extends Joined {
  /** Six digits to compare with those on an admin's screen. */
  readonly code: string;
}

/** The newcomer's side. It takes whatever mesh answers: the six digits tell whether it was the right one. */
export function createOpenJoiner(options: {
  readonly keys: NodeKeys;
  readonly name: string;
}): Conversation<OpenJoined> {
  const { keys } = options;
  const noise = createNoise({ pattern: 'XX', isInitiator: true, prologue, ...pick(keys) });
  const ownNonce = randomBytes(16);
  let commitment: Uint8Array = new Uint8Array();
  let handshakeHash: Uint8Array = new Uint8Array();
  let pipe: MessagePipe | undefined;

  function finish(message: Uint8Array): FrameStep<OpenJoined> {
    const { joined, nonce } = readAnswer(message, keys, undefined);
    if (!isSameBytes(sha256(commitLabel, nonce), commitment)) {
      throw new MycelError('MYCEL_HANDSHAKE_FAILED', { reason: 'The host changed its mind.' });
    }
    return { result: { ...joined, code: codeOf(handshakeHash, ownNonce, nonce) } };
  }

  return createConversation<OpenJoined>({
    start: () => [noise.write()],
    bytesMax: () => (pipe === undefined ? firstFrameBytesMax : laterFrameBytesMax),
    frame(bytes) {
      if (pipe !== undefined) {
        const message = pipe.open(bytes);
        return message === undefined ? {} : finish(message);
      }
      commitment = noise.read(bytes);
      if (commitment.byteLength !== keyBytes) throw new MycelError('MYCEL_BAD_BYTES');
      const message = noise.write(encodeHello(keys, options.name, ownNonce));
      const session = noise.finish();
      handshakeHash = session.handshakeHash;
      pipe = createMessagePipe(session);
      return { send: [message] };
    },
  });
}

/**
 * The host's side. `grant` gives a probation certificate or rejects with a `MycelError` whose code reaches the
 * newcomer (MYCEL_WINDOW_CLOSED); approval comes later, as a new certificate over the link.
 */
export function createOpenHost(options: {
  readonly keys: NodeKeys;
  grant(request: OpenNewcomer): Promise<JoinGrant>;
}): Conversation<OpenNewcomer> {
  const noise = createNoise({ pattern: 'XX', isInitiator: false, prologue, ...pick(options.keys) });
  const ownNonce = randomBytes(16);
  let isGreeted = false;

  async function answer(frame: Uint8Array): Promise<FrameStep<OpenNewcomer>> {
    const hello = noise.read(frame);
    const session = noise.finish();
    const pipe = createMessagePipe(session);
    const { newcomer, nonce } = readHello(hello, session.remoteStatic);
    const known = { ...newcomer, code: codeOf(session.handshakeHash, nonce, ownNonce) };
    try {
      const grant = await options.grant(known);
      return { send: pipe.seal(encodeAnswer(grant, ownNonce)), result: known };
    } catch (error) {
      const failure = MycelError.is(error)
        ? error
        : new MycelError('MYCEL_INTERNAL', {}, { cause: error });
      return { send: pipe.seal(encodeAnswer(failure, ownNonce)), failure };
    }
  }

  return createConversation<OpenNewcomer>({
    start: () => [],
    bytesMax: () => (isGreeted ? earlyFrameBytesMax : firstFrameBytesMax),
    frame(bytes) {
      if (isGreeted) return answer(bytes);
      noise.read(bytes);
      isGreeted = true;
      return { send: [noise.write(sha256(commitLabel, ownNonce))] };
    },
  });
}

/** Six decimal digits, uniform within one part in 10^9. */
function codeOf(handshakeHash: Uint8Array, newcomers: Uint8Array, hosts: Uint8Array): string {
  const hash = sha256(concatBytes(codeLabel, handshakeHash, newcomers, hosts));
  const number = hash.subarray(0, 6).reduce((value, byte) => value * 256 + byte, 0);
  return String(number % 1_000_000).padStart(6, '0');
}

function pick(keys: NodeKeys): Pick<NodeKeys, 'xSeed' | 'xPublic'> {
  return { xSeed: keys.xSeed, xPublic: keys.xPublic };
}
