/**
 * A byte stream over a broker: numbered pieces one way, credit the other. A broker may drop what it likes; a piece that is
 * missing ends the stream, because what flows above it (Noise) knows no gaps, and whoever used it dials again.
 */

import { Duplex } from 'node:stream';
import type { Address } from '../../kernel/address.ts';
import type { BackbonePacket, StreamSide } from '../../wire/backbone-packet.ts';

/** Bytes that one end may send before the other has read them. Brokers keep few messages for a slow reader. */
export const streamWindowBytes: number = 256 * 1024;

/** Largest piece, in bytes: a control frame of another stream waits behind no more than a few of them. */
export const pieceBytesMax: number = 16 * 1024;

/** The packets of a stream. */
export type StreamPacket = Extract<BackbonePacket, { readonly stream: string }>;

/** What a stream is carried by. */
export interface StreamCarrier {
  /** Sends to the other end. */
  send(packet: StreamPacket): void;
  /** Whether the connection to the broker takes more; if not, `whenRoom` calls back. */
  hasRoom(): boolean;
  whenRoom(callback: () => void): void;
  /** The stream is over. */
  over(): void;
}

/** One end. */
export class BackboneStream extends Duplex {
  /** As sockets have it. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly #id: string;
  readonly #side: StreamSide;
  readonly #carrier: StreamCarrier;
  #outbox: Buffer[] = [];
  #taken: ((error?: Error | null) => void) | undefined;
  #isWaiting = false;
  #sentSeq = 0;
  #sentBytes = 0;
  #creditBytes = 0;
  #heardSeq = 0;
  #heardBytes = 0;
  #grantedBytes = 0;
  #isSilent = false;

  constructor(id: string, side: StreamSide, remote: Address, carrier: StreamCarrier) {
    super({ allowHalfOpen: false, readableHighWaterMark: 64 * 1024 });
    this.#id = id;
    this.#side = side;
    this.remoteAddress = remote.host;
    this.remotePort = remote.port;
    this.#carrier = carrier;
  }

  /** Lets the other end send; the first credit is also how an acceptor says yes. */
  grant(): void {
    const upTo = this.#heardBytes - this.readableLength + streamWindowBytes;
    // Not for every read: a quarter of the window at a time.
    if (upTo - this.#grantedBytes < streamWindowBytes / 4) return;
    this.#grantedBytes = upTo;
    this.#carrier.send({ kind: 'credit', ...this.#head(), bytes: upTo });
  }

  /** A packet of the other end; `open` is not for a stream. */
  heard(packet: Exclude<StreamPacket, { kind: 'open' }>): void {
    if (this.destroyed) return;
    switch (packet.kind) {
      case 'data':
        return this.#data(packet.seq, packet.bytes);
      case 'credit':
        if (packet.bytes <= this.#creditBytes) return undefined;
        this.#creditBytes = packet.bytes;
        return this.#flush();
      case 'end':
        if (packet.seq !== this.#heardSeq) return this.#lose();
        this.push(null);
        return undefined;
      case 'reset':
        this.#isSilent = true;
        this.destroy();
        return undefined;
    }
  }

  /** The connection to the broker, or the other process, is gone. */
  cut(reason: string): void {
    this.#isSilent = true;
    this.destroy(new Error(reason));
  }

  override _read(): void {
    this.grant();
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    this.#take([chunk], callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    this.#take(
      chunks.map(({ chunk }) => chunk),
      callback,
    );
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#carrier.send({ kind: 'end', ...this.#head(), seq: this.#sentSeq });
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#outbox = [];
    // After both ends have said their last word there is nothing left to reset.
    const isDone = this.writableFinished && this.readableEnded;
    if (!this.#isSilent && !isDone) this.#carrier.send({ kind: 'reset', ...this.#head() });
    this.#carrier.over();
    callback(error);
  }

  #head(): { readonly stream: string; readonly side: StreamSide } {
    return { stream: this.#id, side: this.#side };
  }

  #data(seq: number, bytes: Uint8Array): void {
    if (seq !== this.#heardSeq) return this.#lose();
    this.#heardSeq += 1;
    this.#heardBytes += bytes.length;
    if (this.#heardBytes > this.#grantedBytes) {
      this.destroy(new Error('the other end sends more than it may'));
      return;
    }
    // A copy: the bytes are a view of what the MQTT parser holds.
    this.push(Buffer.from(bytes));
  }

  #lose(): void {
    this.destroy(new Error('the backbone lost a part of the stream'));
  }

  #take(chunks: readonly Buffer[], callback: (error?: Error | null) => void): void {
    this.#outbox.push(...chunks);
    this.#taken = callback;
    this.#flush();
  }

  #flush(): void {
    while (this.#outbox.length > 0 && !this.destroyed) {
      const room = Math.min(pieceBytesMax, this.#creditBytes - this.#sentBytes);
      if (room <= 0) return;
      if (!this.#carrier.hasRoom()) return this.#waitForRoom();
      const bytes = this.#cut(room);
      this.#sentBytes += bytes.length;
      this.#carrier.send({ kind: 'data', ...this.#head(), seq: this.#sentSeq, bytes });
      this.#sentSeq += 1;
    }
    if (this.destroyed) return;
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
  }

  #waitForRoom(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#carrier.whenRoom(() => {
      this.#isWaiting = false;
      this.#flush();
    });
  }

  /** Takes at most so many bytes off the outbox, as one piece. */
  #cut(bytesMax: number): Buffer {
    const parts: Buffer[] = [];
    let bytes = 0;
    for (;;) {
      const [first] = this.#outbox;
      if (first === undefined || bytes >= bytesMax) break;
      const part = first.subarray(0, bytesMax - bytes);
      parts.push(part);
      bytes += part.length;
      if (part.length === first.length) this.#outbox.shift();
      else this.#outbox[0] = first.subarray(part.length);
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, bytes);
  }
}
