/** The Noise_XX handshake over a socket, and the sealed stream that MQTT speaks through afterwards. */

import type { Duplex } from 'node:stream';
import type { NodeId } from '../../kernel/ids.ts';
import type { NodeKeys } from '../../wire/keys.ts';
import { createNoise, noisePlainMax } from '../../wire/noise.ts';
import type { NoiseSession } from '../../wire/noise.ts';
import type { FrameGuard } from '../mqtt/frame-guard.ts';
import { GatheringStream } from '../mqtt/gathering-stream.ts';
import { createByteReader } from './byte-reader.ts';
import { magic, magicBytes } from './magic.ts';

/** Time for the whole handshake, in ms. */
export const handshakeMs = 3000;

/** Largest first message, in bytes: it comes from a stranger. */
const firstMessageMax = 512;

/** Largest later handshake message, in bytes: keys, tags and a certificate. */
const messageMax = 4096;

const lengthBytes = 2;

/** Who this node is and whom it lets in. */
export interface LinkCredentials {
  readonly node: NodeId;
  readonly keys: NodeKeys;
  /** Binds the handshake to one mesh. */
  prologue(): Uint8Array;
  /** This node's membership certificate; undefined when it has none. */
  certificate(): Uint8Array | undefined;
  /** Judges a peer's certificate and the Noise key that it just proved to have. */
  admit(
    certificate: Uint8Array,
    xPublic: Uint8Array,
  ): { readonly node: NodeId; readonly edPublic: Uint8Array } | { readonly refusal: string };
}

/** A peer that has proved who it is. */
export interface ProvedPeer {
  readonly node: NodeId;
  readonly edPublic: Uint8Array;
  readonly certificate: Uint8Array;
  readonly session: NoiseSession;
}

/**
 * Shakes hands. The dialler writes the magic; the acceptor expects it in the stream.
 * The socket is destroyed when it fails.
 * @throws {Error} with a reason for people.
 */
export async function shakeHands(
  socket: Duplex,
  credentials: LinkCredentials,
  isInitiator: boolean,
): Promise<ProvedPeer> {
  const reader = createByteReader(socket, handshakeMs);
  try {
    return await converse(socket, reader.take, credentials, isInitiator);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    reader.release();
  }
}

async function converse(
  socket: Duplex,
  take: (count: number) => Promise<Buffer>,
  credentials: LinkCredentials,
  isInitiator: boolean,
): Promise<ProvedPeer> {
  const certificate = credentials.certificate();
  if (certificate === undefined) throw new Error('this node has no membership certificate');
  const { xSeed, xPublic } = credentials.keys;
  const noise = createNoise({
    pattern: 'XX',
    isInitiator,
    prologue: credentials.prologue(),
    xSeed,
    xPublic,
  });

  async function read(bytesMax: number): Promise<Uint8Array> {
    const length = (await take(lengthBytes)).readUInt16BE(0);
    if (length > bytesMax) throw new Error(`a handshake message of ${length} bytes is too long`);
    return noise.read(await take(length));
  }
  function write(payload?: Uint8Array): void {
    for (const part of framed(noise.write(payload))) socket.write(part);
  }
  function judge(theirs: Uint8Array): Omit<ProvedPeer, 'session'> {
    const remote = noise.remoteStatic();
    const verdict =
      remote === undefined ? { refusal: 'no key' } : credentials.admit(theirs, remote);
    if ('refusal' in verdict) throw new Error(`the peer is not admitted: ${verdict.refusal}`);
    if (verdict.node === credentials.node) throw new Error('it is this node itself');
    return { ...verdict, certificate: theirs };
  }

  if (isInitiator) {
    socket.write(magic.link, 'latin1');
    write();
    const peer = judge(await read(messageMax));
    write(certificate);
    return { ...peer, session: noise.finish() };
  }
  const opening = (await take(magicBytes)).toString('latin1');
  if (opening !== magic.link) throw new Error('the connection does not open like a link');
  await read(firstMessageMax);
  write(certificate);
  const peer = judge(await read(messageMax));
  return { ...peer, session: noise.finish() };
}

/**
 * The sealed stream: records of a 16-bit length and a Noise message.
 * Whatever was changed, replayed or reordered on the way destroys it. `guard` judges the plain MQTT bytes.
 */
export function createNoiseStream(
  socket: Duplex,
  session: NoiseSession,
  guard: FrameGuard,
  congestedBytes: number,
): GatheringStream {
  let rest: Buffer = Buffer.alloc(0);
  return new GatheringStream(socket, congestedBytes, {
    outbound(plain) {
      const parts: Uint8Array[] = [];
      for (let at = 0; at < plain.length; at += noisePlainMax) {
        parts.push(...framed(session.seal(plain.subarray(at, at + noisePlainMax))));
      }
      return parts;
    },
    inbound(chunk) {
      const parts: Uint8Array[] = [];
      let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      while (bytes.length >= lengthBytes) {
        const end = lengthBytes + bytes.readUInt16BE(0);
        if (bytes.length < end) break;
        const plain = session.open(bytes.subarray(lengthBytes, end));
        const problem = guard.check(plain);
        if (problem !== undefined) throw new Error(`malformed MQTT: ${problem}`);
        parts.push(plain);
        bytes = bytes.subarray(end);
      }
      rest = bytes;
      return parts;
    },
  });
}

/** The reason of a failure, for people and logs. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function framed(message: Uint8Array): readonly Uint8Array[] {
  const length = Buffer.allocUnsafe(lengthBytes);
  length.writeUInt16BE(message.length, 0);
  return [length, message];
}
