/** What runs in the stall responder's thread. */

import type nodeCrypto from 'node:crypto';
import type nodeDgram from 'node:dgram';
import type nodeThreads from 'node:worker_threads';
import type { EpochKey } from '../../wire/datagram-seal.ts';
import type { createStallCodec } from './stall-codec.ts';

/** What the thread is started with. */
export interface StallWorkerData {
  /** When the main thread last ran, in ns of the process's monotonic clock. */
  readonly beat: BigInt64Array;
  readonly host: string;
  readonly port: number;
  /** The first 8 bytes of this node's id. */
  readonly short: Uint8Array;
  readonly label: string;
  readonly keys: readonly EpochKey[];
}

/** The thread's one message: the port it listens on, or why it cannot. */
export interface StallWorkerReport {
  readonly port?: number;
  readonly problem?: string;
}

/**
 * Listens and answers. It refers to nothing outside of itself, because its text is evaluated in the thread.
 * It answers at most 100 questions a second, whoever asks: stalled nodes are asked rarely.
 */
export function stallWorker(
  load: (name: string) => unknown,
  makeCodec: typeof createStallCodec,
): void {
  const threads = load('node:worker_threads') as typeof nodeThreads;
  const dgram = load('node:dgram') as typeof nodeDgram;
  const crypto = load('node:crypto') as typeof nodeCrypto;
  const data = threads.workerData as StallWorkerData;
  const codec = makeCodec(crypto, data.label);
  const own = Buffer.from(data.short);
  let keys = data.keys;
  let tokens = 100;
  let refilledAt = performance.now();

  function mayAnswer(): boolean {
    const now = performance.now();
    tokens = Math.min(100, tokens + (now - refilledAt) / 10);
    refilledAt = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  }

  const socket = dgram.createSocket(data.host.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (packet, from) => {
    if (packet[0] !== 0x53 || packet.length !== 55 || !mayAnswer()) return;
    for (const { epoch, key } of keys) {
      const question = codec.open(0x53, epoch, key, packet);
      // A question names whom it is for, so that a copy of it makes nobody else answer.
      if (question === undefined || !question.plain.subarray(8, 16).equals(own)) continue;
      const stalledMs = Number((process.hrtime.bigint() - Atomics.load(data.beat, 0)) / 1_000_000n);
      const plain = Buffer.alloc(16);
      plain.set(question.plain.subarray(0, 8));
      plain.writeUInt32BE(Math.max(0, Math.min(stalledMs, 0xffff_ffff)), 8);
      socket.send(
        codec.seal(0x73, epoch, key, own, plain),
        from.port,
        from.address,
        () => undefined,
      );
      return;
    }
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    threads.parentPort?.postMessage({ problem: error.code ?? error.message });
  });
  threads.parentPort?.on('message', (next: StallWorkerData['keys']) => {
    keys = next;
  });
  socket.bind(data.port, data.host, () => {
    threads.parentPort?.postMessage({ port: socket.address().port });
  });
}
