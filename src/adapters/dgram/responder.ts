/**
 * Answers "alive but stalled" from a thread of its own: a node whose event loop is blocked says so, a frozen or dead one
 * says nothing. What it costs and when it pays: docs/decisions/0008-stall-responder.md.
 */

import { Worker } from 'node:worker_threads';
import { nodeIdToBytes, type NodeId } from '../../kernel/ids.ts';
import type { EpochKey } from '../../wire/datagram-seal.ts';
import { bindFailure } from './bind-failure.ts';
import { createStallCodec } from './stall-codec.ts';
import { stallWorker, type StallWorkerData, type StallWorkerReport } from './stall-worker.ts';

/** How often the main thread shows that it runs, in ms. An answer below twice this means "not stalled". */
const heartbeatMs = 250;

/** How to start a responder. */
export interface StallResponderOptions {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly node: NodeId;
  /** Every key in use; a question under any of them is answered under the same. */
  readonly keys: readonly EpochKey[];
  /** Separates its keys from every other use of the epoch key. @default stallLabel */
  readonly label?: string;
  /** The thread ended by itself: the node goes on without it. */
  failed(error: Error): void;
}

/** The label that both sides use by default. */
export const stallLabel = 'mycel/stall/1';

/** A running responder; it keeps no process alive. */
export interface StallResponder {
  readonly port: number;
  /** Hands over the keys after a rotation. */
  setKeys(keys: readonly EpochKey[]): void;
  /** Ends the thread and its socket. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts the thread and waits until it listens.
 * @throws {MycelError} MYCEL_PORT_TAKEN, or MYCEL_BAD_OPTION when the host is not an address of this computer.
 */
export async function startStallResponder(options: StallResponderOptions): Promise<StallResponder> {
  const beat = new BigInt64Array(new SharedArrayBuffer(8));
  const show = (): void => {
    Atomics.store(beat, 0, process.hrtime.bigint());
  };
  show();
  const data: StallWorkerData = {
    beat,
    host: options.host,
    port: options.port,
    short: nodeIdToBytes(options.node).slice(0, 8),
    label: options.label ?? stallLabel,
    keys: options.keys,
  };
  // The text of two functions that refer to nothing outside themselves: works from sources and from one bundled file.
  const code = `(${stallWorker.toString()})(require, ${createStallCodec.toString()})`;
  const worker = new Worker(code, {
    eval: true,
    workerData: data,
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1, stackSizeMb: 1 },
  });
  const port = await listening(worker, options);
  worker.unref();
  const timer = setInterval(show, heartbeatMs);
  timer.unref();
  let stopped: Promise<unknown> | undefined;
  worker.on('error', (error: Error) => {
    clearInterval(timer);
    if (stopped === undefined) options.failed(error);
  });
  return {
    port,
    setKeys: (keys) => worker.postMessage(keys),
    async stop() {
      clearInterval(timer);
      stopped ??= worker.terminate();
      await stopped;
    },
  };
}

async function listening(worker: Worker, options: StallResponderOptions): Promise<number> {
  const report = await new Promise<StallWorkerReport>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  worker.removeAllListeners();
  if (report.port !== undefined) return report.port;
  await worker.terminate();
  throw bindFailure(options, report.problem ?? 'unknown');
}
