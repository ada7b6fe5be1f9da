/**
 * Noise handshakes without I/O: Noise_XX and Noise_XXpsk3 over 25519, ChaChaPoly and SHA256.
 * Source: Trevor Perrin, "The Noise Protocol Framework", revision 34, sections 5, 7.5 and 9.
 */

import { hkdfSync } from 'node:crypto';
import { MycelError } from '../kernel/errors.ts';
import { invariant } from '../kernel/invariant.ts';
import { nonceBytes, openAead, sealAead, sealAeadApart, tagBytes } from './aead.ts';
import { concatBytes, plainBytes, utf8 } from './bytes.ts';
import { generateXPair, keyBytes, sha256, xPairOf } from './keys.ts';

/** Longest Noise message, in bytes (section 3). */
export const noiseMessageMax = 65_535;

/** Longest plaintext of one sealed message, in bytes. */
export const noisePlainMax: number = noiseMessageMax - tagBytes;

/** `XX` proves both static keys; `XXpsk3` also that both sides know a secret. */
export type NoisePattern = 'XX' | 'XXpsk3';

/** How to take part in a handshake. */
export interface NoiseOptions {
  readonly pattern: NoisePattern;
  readonly isInitiator: boolean;
  /** Both sides must give the same bytes, or the handshake fails. */
  readonly prologue: Uint8Array;
  readonly xSeed: Uint8Array;
  readonly xPublic: Uint8Array;
  /** 32 bytes; required by `XXpsk3`. The responder may wait until it must read the third message. */
  readonly psk?: Uint8Array;
  /** A fixed ephemeral seed, to reproduce published vectors. @default fresh randomness */
  readonly ephemeral?: Uint8Array;
}

/** A handshake in progress. After a failure every call fails. */
export interface NoiseHandshake {
  /** The next message to send. The payload of the first message is readable by anyone. */
  write(payload?: Uint8Array): Uint8Array;
  /** Takes the peer's message, gives its payload. @throws {MycelError} MYCEL_HANDSHAKE_FAILED */
  read(message: Uint8Array): Uint8Array;
  readonly isMyTurn: boolean;
  readonly isDone: boolean;
  /** The peer's static key, once it was read. */
  remoteStatic(): Uint8Array | undefined;
  /** The sealed session; only when `isDone`. */
  finish(): NoiseSession;
}

/** Two one-way sealed streams. Messages must be opened in the order in which they were sealed. */
export interface NoiseSession {
  /** The same 32 bytes on both sides and of no other session: what logins are bound to (section 11.2). */
  readonly handshakeHash: Uint8Array;
  readonly remoteStatic: Uint8Array;
  /**
   * Seals at most `noisePlainMax` bytes; adds 16, and room for a header of the caller's before them.
   * @param headerBytes @default 0
   */
  seal(plain: Uint8Array, headerBytes?: number): Uint8Array;
  /** The same in two pieces, of which the message is made up. */
  sealApart(plain: Uint8Array): readonly Uint8Array[];
  /**
   * Opens the next message. The session stays broken after a failure.
   * @throws {MycelError} MYCEL_SEAL_BROKEN when it was changed, replayed, reordered or sealed by someone else.
   */
  open(sealed: Uint8Array): Uint8Array;
}

type Token = 'e' | 's' | 'ee' | 'es' | 'se' | 'psk';

const patterns: Readonly<Record<NoisePattern, readonly (readonly Token[])[]>> = {
  XX: [['e'], ['e', 'ee', 's', 'es'], ['s', 'se']],
  XXpsk3: [['e'], ['e', 'ee', 's', 'es'], ['s', 'se', 'psk']],
};

const empty = new Uint8Array();

const plainTooLong = 'a Noise message holds at most 65 519 bytes';

/** Starts a handshake. */
export function createNoise(options: NoiseOptions): NoiseHandshake {
  const { pattern, isInitiator, psk } = options;
  invariant(pattern === 'XX' || psk?.byteLength === keyBytes, 'XXpsk3 needs a psk of 32 bytes');
  const messages = patterns[pattern];
  const symmetric = createSymmetricState(`Noise_${pattern}_25519_ChaChaPoly_SHA256`);
  symmetric.mixHash(options.prologue);
  const ownStatic = xPairOf(options.xSeed);
  const ownEphemeral =
    options.ephemeral === undefined ? generateXPair() : xPairOf(options.ephemeral);
  let remoteEphemeral: Uint8Array | undefined;
  let remoteStatic: Uint8Array | undefined;
  let round = 0;
  let isFailed = false;

  const isDone = (): boolean => round === messages.length;
  const isMyTurn = (): boolean => !isFailed && !isDone() && (round % 2 === 0) === isInitiator;

  /** 'es' is initiator's ephemeral with responder's static, 'se' the other way round. */
  function mixShared(token: 'ee' | 'es' | 'se'): void {
    const isMineStatic = token !== 'ee' && (token === 'se') === isInitiator;
    const isTheirsStatic = token !== 'ee' && !isMineStatic;
    const theirs = isTheirsStatic ? remoteStatic : remoteEphemeral;
    const secret = theirs && (isMineStatic ? ownStatic : ownEphemeral).agree(theirs);
    if (secret === undefined) throw failure('The peer sent a worthless key.');
    symmetric.mixKey(secret);
  }

  function mixEphemeral(publicKey: Uint8Array): void {
    symmetric.mixHash(publicKey);
    // In psk patterns the ephemeral randomises the key as well (section 9.2).
    if (pattern === 'XXpsk3') symmetric.mixKey(publicKey);
  }

  function mixPsk(): void {
    if (psk !== undefined) symmetric.mixKeyAndHash(psk);
  }

  function writeToken(token: Token): Uint8Array {
    if (token === 'e') {
      mixEphemeral(ownEphemeral.xPublic);
      return ownEphemeral.xPublic;
    }
    if (token === 's') return symmetric.encryptAndHash(ownStatic.xPublic);
    if (token === 'psk') mixPsk();
    else mixShared(token);
    return empty;
  }

  /** Takes what the token needs from the front of `rest`; gives what is left. */
  function readToken(token: Token, rest: Uint8Array): Uint8Array {
    if (token === 'e') {
      if (rest.byteLength < keyBytes) throw failure('A message is too short.');
      remoteEphemeral = rest.slice(0, keyBytes);
      mixEphemeral(remoteEphemeral);
      return rest.subarray(keyBytes);
    }
    if (token === 's') {
      const length = keyBytes + tagBytes;
      if (rest.byteLength < length) throw failure('A message is too short.');
      remoteStatic = symmetric.decryptAndHash(rest.subarray(0, length));
      return rest.subarray(length);
    }
    if (token === 'psk') mixPsk();
    else mixShared(token);
    return rest;
  }

  return {
    get isMyTurn() {
      return isMyTurn();
    },
    get isDone() {
      return isDone() && !isFailed;
    },
    remoteStatic: () => remoteStatic,
    write(payload = empty) {
      if (isFailed) throw failure('It failed before.');
      invariant(isMyTurn(), 'it is the peer’s turn to write');
      const parts = (messages[round] ?? []).map(writeToken);
      round += 1;
      return concatBytes(...parts, symmetric.encryptAndHash(payload));
    },
    read(message) {
      if (isFailed) throw failure('It failed before.');
      invariant(!isMyTurn() && !isDone(), 'it is not the peer’s turn to write');
      try {
        if (message.byteLength > noiseMessageMax) throw failure('A message is too long.');
        let rest = plainBytes(message);
        for (const token of messages[round] ?? []) rest = readToken(token, rest);
        const payload = symmetric.decryptAndHash(rest);
        round += 1;
        return payload;
      } catch (error) {
        isFailed = true;
        throw error;
      }
    },
    finish() {
      invariant(isDone() && !isFailed && remoteStatic !== undefined, 'the handshake is not done');
      const { first, second, handshakeHash } = symmetric.split();
      return createSession({
        handshakeHash,
        remoteStatic,
        sealKey: isInitiator ? first : second,
        openKey: isInitiator ? second : first,
      });
    },
  };
}

interface SymmetricState {
  mixHash(data: Uint8Array): void;
  mixKey(material: Uint8Array): void;
  mixKeyAndHash(material: Uint8Array): void;
  encryptAndHash(plain: Uint8Array): Uint8Array;
  decryptAndHash(sealed: Uint8Array): Uint8Array;
  split(): { first: Uint8Array; second: Uint8Array; handshakeHash: Uint8Array };
}

/** Section 5.2: the chaining key, the hash of all that was said, and the current cipher key. */
function createSymmetricState(protocolName: string): SymmetricState {
  const name = utf8(protocolName);
  let hash =
    name.byteLength <= 32 ? concatBytes(name, new Uint8Array(32 - name.byteLength)) : sha256(name);
  let chainingKey = hash;
  let key: Uint8Array | undefined;
  const nonce = new Uint8Array(nonceBytes);

  function mixHash(data: Uint8Array): void {
    hash = sha256(hash, data);
  }

  /** Section 4.3: HKDF with the chaining key as salt and no info, cut into keys of 32 bytes. */
  function derive(material: Uint8Array, count: number): (at: number) => Uint8Array {
    const out = new Uint8Array(hkdfSync('sha256', material, chainingKey, empty, count * keyBytes));
    return (at) => out.slice(at * keyBytes, (at + 1) * keyBytes);
  }

  function useKey(next: Uint8Array): void {
    key = next;
    nonce.fill(0);
  }

  return {
    mixHash,
    mixKey(material) {
      const part = derive(material, 2);
      chainingKey = part(0);
      useKey(part(1));
    },
    mixKeyAndHash(material) {
      const part = derive(material, 3);
      chainingKey = part(0);
      mixHash(part(1));
      useKey(part(2));
    },
    encryptAndHash(plain) {
      const out = key === undefined ? plain : sealAead(key, nonce, hash, plain);
      if (key !== undefined) countUp(nonce);
      mixHash(out);
      return out;
    },
    decryptAndHash(sealed) {
      const plain = key === undefined ? sealed.slice() : openAead(key, nonce, hash, sealed);
      if (plain === undefined)
        throw failure('The peer does not know the secret, or bytes were changed.');
      if (key !== undefined) countUp(nonce);
      mixHash(sealed);
      return plain;
    },
    split() {
      const part = derive(empty, 2);
      return { first: part(0), second: part(1), handshakeHash: hash };
    },
  };
}

function createSession(state: {
  handshakeHash: Uint8Array;
  remoteStatic: Uint8Array;
  sealKey: Uint8Array;
  openKey: Uint8Array;
}): NoiseSession {
  const sealNonce = new Uint8Array(nonceBytes);
  const openNonce = new Uint8Array(nonceBytes);
  let isBroken = false;
  return {
    handshakeHash: state.handshakeHash,
    remoteStatic: state.remoteStatic,
    seal(plain, headerBytes = 0) {
      invariant(plain.byteLength <= noisePlainMax, plainTooLong);
      const sealed = sealAead(state.sealKey, sealNonce, undefined, plain, headerBytes);
      countUp(sealNonce);
      return sealed;
    },
    sealApart(plain) {
      invariant(plain.byteLength <= noisePlainMax, plainTooLong);
      const pieces = sealAeadApart(state.sealKey, sealNonce, plain);
      countUp(sealNonce);
      return pieces;
    },
    open(sealed) {
      const isSized = !isBroken && sealed.byteLength <= noiseMessageMax;
      const plain = isSized ? openAead(state.openKey, openNonce, undefined, sealed) : undefined;
      if (plain === undefined) {
        isBroken = true;
        throw new MycelError('MYCEL_SEAL_BROKEN');
      }
      countUp(openNonce);
      return plain;
    },
  };
}

/** Adds one to the little-endian 64-bit counter in bytes 4 to 11: 2^48 messages outlast any device. */
function countUp(nonce: Uint8Array): void {
  for (let at = 4; at < nonceBytes; at += 1) {
    const next = ((nonce[at] ?? 0) + 1) & 0xff;
    nonce[at] = next;
    if (next !== 0) return;
  }
}

function failure(reason: string): MycelError {
  return new MycelError('MYCEL_HANDSHAKE_FAILED', { reason });
}
