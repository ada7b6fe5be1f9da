/**
 * Joining with an invite: Noise_XXpsk3, the newcomer first, the invite's secret as psk.
 *
 * Frame 1 is mesh tag 8 B ‖ invite id 16 B ‖ first handshake message; a host that does not know the invite answers
 * with a code in the clear. The newcomer checks that the answer comes from the key in the invite, so no other mesh can
 * capture it; the inviter checks the secret; then the grant follows in the sealed channel.
 */

import { MycelError } from '../kernel/errors.ts';
import type { MeshId } from '../kernel/ids.ts';
import { meshTagOf } from './authority-entry.ts';
import { concatBytes, fromHex, isSameBytes, toHex, utf8 } from './bytes.ts';
import {
  createConversation,
  earlyFrameBytesMax,
  firstFrameBytesMax,
  laterFrameBytesMax,
} from './conversation.ts';
import type { Conversation, FrameStep } from './conversation.ts';
import type { ParsedInvite } from './invite.ts';
import {
  createMessagePipe,
  encodeAnswer,
  encodeHello,
  readAnswer,
  readHello,
  refusalOf,
} from './join-messages.ts';
import type { JoinGrant, Joined, MessagePipe, Newcomer } from './join-messages.ts';
import { randomBytes } from './keys.ts';
import type { NodeKeys } from './keys.ts';
import { createNoise } from './noise.ts';
import type { NoiseHandshake } from './noise.ts';

const prologueLabel = utf8('mycel/join/1');
const tagLength = 8;
const headerLength = 24;

/** First byte of a frame that says no in the clear; a handshake message starts with 0. */
const plainRefusal = 1;

/** What an inviter is asked for, once the newcomer has proved to know the secret. */
export interface InvitedRequest extends Newcomer {
  readonly inviteId: string;
  readonly handshakeHash: Uint8Array;
}

/** How an inviter answers. */
export interface InviterOptions {
  readonly keys: NodeKeys;
  readonly meshId: MeshId;
  readonly remoteAddress: string;
  /**
   * The psk of an open invite, or why there is none (a `MycelError` whose code reaches the newcomer).
   * Undefined: never heard of it, MYCEL_INVITE_UNKNOWN.
   */
  findSecret(inviteId: string, remoteAddress: string): Uint8Array | MycelError | undefined;
  /** Whoever asked by this id did not know the secret: counts against the invite. */
  wrongSecret(inviteId: string, remoteAddress: string): void;
  /**
   * Writes down that the invite is used, issues the certificate, and gives the grant.
   * Rejecting with a `MycelError` refuses; its code reaches the newcomer.
   */
  grant(request: InvitedRequest): Promise<JoinGrant>;
}

/** The newcomer's side. Its result was checked against the invite's mesh id, not yet against the authority log. */
export function createInvitedJoiner(options: {
  readonly keys: NodeKeys;
  readonly invite: ParsedInvite;
  /** Shown to people. */
  readonly name: string;
}): Conversation<Joined> {
  const { keys, invite } = options;
  const header = concatBytes(fromHex(meshTagOf(invite.meshId)), fromHex(invite.inviteId));
  const noise = createNoise({
    pattern: 'XXpsk3',
    isInitiator: true,
    prologue: concatBytes(prologueLabel, header),
    xSeed: keys.xSeed,
    xPublic: keys.xPublic,
    psk: invite.psk,
  });
  let pipe: MessagePipe | undefined;

  function shakeHands(frame: Uint8Array): FrameStep<Joined> {
    if (frame[0] === plainRefusal)
      throw refusalOf(Buffer.from(frame.subarray(1)).toString(), false);
    noise.read(frame.subarray(1));
    const answerer = noise.remoteStatic();
    if (answerer === undefined || !isSameBytes(answerer, invite.inviterXPublic)) {
      throw new MycelError('MYCEL_INVITE_FOREIGN');
    }
    const message = noise.write(encodeHello(keys, options.name, randomBytes(16)));
    pipe = createMessagePipe(noise.finish());
    return { send: [message] };
  }

  return createConversation<Joined>({
    start: () => [concatBytes(header, noise.write())],
    bytesMax: () => (pipe === undefined ? firstFrameBytesMax : laterFrameBytesMax),
    frame(bytes) {
      if (pipe === undefined) return shakeHands(bytes);
      const message = pipe.open(bytes);
      if (message === undefined) return {};
      return { result: readAnswer(message, keys, invite.meshId).joined };
    },
  });
}

/** The inviter's side. The result says who was let in. */
export function createInviter(options: InviterOptions): Conversation<Newcomer> {
  const { keys, meshId, remoteAddress } = options;
  let inviteId = '';
  let noise: NoiseHandshake | undefined;

  function greet(frame: Uint8Array): FrameStep<Newcomer> {
    const header = frame.slice(0, headerLength);
    if (header.byteLength < headerLength) throw new MycelError('MYCEL_BAD_BYTES');
    if (toHex(header.subarray(0, tagLength)) !== meshTagOf(meshId))
      return refuse('MYCEL_INVITE_FOREIGN');
    inviteId = toHex(header.subarray(tagLength));
    const psk = options.findSecret(inviteId, remoteAddress);
    if (psk === undefined) return refuse('MYCEL_INVITE_UNKNOWN');
    if (MycelError.is(psk)) return refuse(psk.code);
    noise = createNoise({
      pattern: 'XXpsk3',
      isInitiator: false,
      prologue: concatBytes(prologueLabel, header),
      xSeed: keys.xSeed,
      xPublic: keys.xPublic,
      psk,
    });
    noise.read(frame.subarray(headerLength));
    return { send: [concatBytes(new Uint8Array(1), noise.write())] };
  }

  async function answer(
    handshake: NoiseHandshake,
    frame: Uint8Array,
  ): Promise<FrameStep<Newcomer>> {
    let hello: Uint8Array;
    try {
      hello = handshake.read(frame);
    } catch (error) {
      options.wrongSecret(inviteId, remoteAddress);
      throw error;
    }
    const session = handshake.finish();
    const pipe = createMessagePipe(session);
    const { newcomer, nonce } = readHello(hello, session.remoteStatic);
    try {
      const grant = await options.grant({
        ...newcomer,
        inviteId,
        handshakeHash: session.handshakeHash,
      });
      return { send: pipe.seal(encodeAnswer(grant, nonce)), result: newcomer };
    } catch (error) {
      const failure = MycelError.is(error)
        ? error
        : new MycelError('MYCEL_INTERNAL', {}, { cause: error });
      return { send: pipe.seal(encodeAnswer(failure, nonce)), failure };
    }
  }

  return createConversation<Newcomer>({
    start: () => [],
    bytesMax: () => (noise === undefined ? firstFrameBytesMax : earlyFrameBytesMax),
    frame: (bytes) => (noise === undefined ? greet(bytes) : answer(noise, bytes)),
  });
}

function refuse(code: MycelError['code']): FrameStep<Newcomer> {
  const frame = concatBytes(new Uint8Array([plainRefusal]), utf8(code));
  return { send: [frame], failure: new MycelError(code) };
}
