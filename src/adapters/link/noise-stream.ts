/** The Noise_XX handshake over a socket, and the sealed stream that MQTT speaks through afterwards. */

import type { Duplex } from 'node:stream';
import type { NodeId } from '../../kernel/ids.ts';
import type { NodeKeys } from '../../wire/keys.ts';
import { createNoise, noiseMessageMax, noisePlainMax } from '../../wire/noise.ts';
import type { NoiseHandshake, NoiseSession } from '../../wire/noise.ts';
import type { FrameGuard } from '../mqtt/frame-guard.ts';
import { GatheringStream } from '../mqtt/gathering-stream.ts';
import { tagBytes } from '../../wire/aead.ts';
import type { Lane } from '../../ports/link.ts';
import { createByteReader } from './byte-reader.ts';
import { createFramePicker } from './frame-picker.ts';
import { magic, magicBytes } from './magic.ts';

/** Time for the whole handshake, in ms. */
export const handshakeMs = 3000;

/** Largest first message, in bytes: it comes from a stranger. */
const firstMessageMax = 512;

/** Largest later handshake message, in bytes: keys, tags and a certificate. */
const messageMax = 4096;

const lengthBytes = 2;

/** From here on a record is sealed in two pieces: three writes are cheaper than one more copy. */
const apartBytesMin: number = 4 * 1024;

const nothing: Buffer = Buffer.alloc(0);

/** Where a record is put together whose end comes in a later read; each is opened before anything else is. */
let halves: Buffer | undefined;

/** Begins the record of a refusal: MQTT has no packet of type 0. */
const refusalByte = 0;

/** How long a peer may take to read why it is refused, in ms. */
const farewellMs = 1000;

/** Records of one refusal; more are left out. */
const refusalRecordsMax = 64;

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
  ):
    | { readonly node: NodeId; readonly edPublic: Uint8Array }
    | { readonly refusal: string; readonly proof?: readonly Uint8Array[] };
  /** A member that was dialled refuses this node and shows why. */
  refused(node: NodeId, proof: Uint8Array): void;
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
 * The socket is closed when it fails, at once or after the last words to a member that was thrown out.
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
    reader.release();
    if (error instanceof MemberRefused && error.records.length > 0) {
      sayFarewell(socket, error.records);
    } else socket.destroy();
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
    if ('refusal' in verdict) {
      // Only the accepting side can say why: its session is whole, the dialler's lacks the last message.
      const proofs = isInitiator ? [] : (verdict.proof ?? []);
      throw new MemberRefused(
        verdict.refusal,
        proofs.length === 0 ? [] : sealProofs(noise, proofs),
      );
    }
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

/** A member that is not let in any more, with the records that show it why. */
class MemberRefused extends Error {
  readonly records: readonly Uint8Array[];

  constructor(refusal: string, records: readonly Uint8Array[]) {
    super(`the peer is not admitted: ${refusal}`);
    this.records = records;
  }
}

/** Says the last words and closes. What the peer still sends is read: an unread byte would reset the connection first. */
function sayFarewell(socket: Duplex, records: readonly Uint8Array[]): void {
  for (const record of records) socket.write(record);
  socket.end();
  socket.resume();
  const cut = setTimeout(() => socket.destroy(), farewellMs).unref();
  socket.once('close', () => clearTimeout(cut));
}

/** Each proof as a record that no MQTT server begins with. */
function sealProofs(noise: NoiseHandshake, proofs: readonly Uint8Array[]): Uint8Array[] {
  const session = noise.finish();
  return proofs
    .slice(0, refusalRecordsMax)
    .flatMap((proof) => framed(session.seal(Buffer.concat([Buffer.of(refusalByte), proof]))));
}

/** What a sealed stream hands to others than its reader. */
export interface Aside {
  /** Takes the proofs that an accepting peer sends instead of MQTT. */
  refused?(proof: Uint8Array): void;
  /** Takes the frames; without it they are left in the stream. */
  frame?(lane: Lane, frame: Uint8Array): void;
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
  aside: Aside = {},
): GatheringStream {
  const { refused, frame } = aside;
  let rest: Buffer = nothing;
  let frames: { readonly lane: Lane; readonly bytes: Uint8Array }[] = [];
  const picker =
    frame === undefined
      ? undefined
      : createFramePicker((lane, bytes) => void frames.push({ lane, bytes }));
  // Later records may begin in the middle of a packet, with any byte.
  let mayBeRefusal = refused !== undefined;

  function take(sealed: Uint8Array, parts: Uint8Array[]): void {
    const plain = session.open(sealed);
    mayBeRefusal &&= plain[0] === refusalByte;
    if (mayBeRefusal) return refused?.(plain.subarray(1));
    const problem = guard.check(plain);
    if (problem !== undefined) throw new Error(`malformed MQTT: ${problem}`);
    if (picker === undefined) parts.push(plain);
    else for (const part of picker.pick(plain)) parts.push(part);
  }

  return new GatheringStream(socket, congestedBytes, {
    isDoneAtOnce: true,
    outbound(plain) {
      const parts: Uint8Array[] = [];
      for (let at = 0; at < plain.length; at += noisePlainMax) {
        const piece = plain.subarray(at, at + noisePlainMax);
        if (piece.length >= apartBytesMin) {
          parts.push(lengthOf(piece.length + tagBytes), ...session.sealApart(piece));
          continue;
        }
        // In one piece, length included: two would go through another call of the kernel.
        const record = session.seal(piece, lengthBytes);
        const length = record.length - lengthBytes;
        record[0] = length >> 8;
        record[1] = length & 0xff;
        parts.push(record);
      }
      return parts;
    },
    inbound(chunk) {
      const parts: Uint8Array[] = [];
      let bytes = chunk;
      if (rest.length > 0) {
        const { record, used } = joined(rest, chunk);
        rest = record;
        if (!isWhole(record)) return parts;
        take(record.subarray(lengthBytes), parts);
        bytes = chunk.subarray(used);
      }
      while (isWhole(bytes)) {
        const end = lengthBytes + bytes.readUInt16BE(0);
        take(bytes.subarray(lengthBytes, end), parts);
        bytes = bytes.subarray(end);
      }
      rest = bytes.length === 0 ? nothing : bytes;
      return parts;
    },
    deliver() {
      if (frames.length === 0) return;
      const taken = frames;
      frames = [];
      for (const { lane, bytes } of taken) frame?.(lane, bytes);
    },
  });
}

/** The reason of a failure, for people and logs. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether the bytes hold a whole record. */
function isWhole(bytes: Buffer): boolean {
  return bytes.length >= lengthBytes && bytes.length >= lengthBytes + bytes.readUInt16BE(0);
}

/**
 * The record that began with an earlier read, and how much of the new one belongs to it. What is whole is in memory that the
 * next record is put together in; what is not has its own.
 */
function joined(rest: Buffer, chunk: Buffer): { readonly record: Buffer; readonly used: number } {
  const high = rest[0] ?? 0;
  const low = rest[1] ?? chunk[0] ?? 0;
  const needed = lengthBytes + high * 256 + low;
  const used = Math.min(chunk.length, needed - rest.length);
  if (rest.length + used < needed) return { record: Buffer.concat([rest, chunk]), used };
  halves ??= Buffer.allocUnsafeSlow(lengthBytes + noiseMessageMax);
  rest.copy(halves);
  chunk.copy(halves, rest.length, 0, used);
  return { record: halves.subarray(0, needed), used };
}

function framed(message: Uint8Array): readonly Uint8Array[] {
  return [lengthOf(message.length), message];
}

function lengthOf(bytes: number): Buffer {
  const length = Buffer.allocUnsafe(lengthBytes);
  length.writeUInt16BE(bytes, 0);
  return length;
}
