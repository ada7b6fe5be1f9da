/** A node of the built library that holds much replicated state, in a process of its own. */

import { createNode } from 'mycel';

/** What it is told. */
export interface StatePlan {
  readonly dataDir: string;
  /** Keys to write once it runs. */
  readonly keys: number;
  /** Times that a value is set and deleted again. */
  readonly cycles: number;
}

/** What it found. */
export interface StateFound {
  /** From the call to a started node, in ms. */
  readonly startMs: number;
  readonly keys: number;
  /** After a collection, in MB. */
  readonly rss: number;
  readonly journalBytesBefore: number;
  readonly journalBytesAfter: number;
  /** Set and delete pairs a second. */
  readonly cyclesPerSecond: number;
}

/** Writes on their way at once: they share syncs. */
const window = 1_000;

const plan = JSON.parse(process.argv[2] ?? '') as StatePlan;
process.on('disconnect', () => process.exit());

const from = performance.now();
const node = await createNode({
  dataDir: plan.dataDir,
  port: 0,
  guestPort: 0,
  interfaces: ['lo'],
  profile: 'loopback',
  mdns: false,
  multicast: false,
  logLevel: 'warn',
});
await node.start();
const startMs = performance.now() - from;

async function many(count: number, act: (at: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let at = next++; at < count; at = next++) await act(at);
  };
  await Promise.all(Array.from({ length: Math.min(window, count) }, work));
}

await many(plan.keys, (at) =>
  node.state.register(`sensor/${at % 1_000}/${Math.floor(at / 1_000)}`).set({ value: at }),
);
const journalBytesBefore = node.state.status().journal.bytes;
const cyclesFrom = performance.now();
await many(plan.cycles, async (at) => {
  const register = node.state.register(`cycle/${at % window}`);
  await register.set(at);
  await register.delete();
});
const cyclesPerSecond = (plan.cycles / (performance.now() - cyclesFrom)) * 1_000;
globalThis.gc?.();
const { keys, journal } = node.state.status();
const found: StateFound = {
  startMs,
  keys,
  rss: process.memoryUsage().rss / 1e6,
  journalBytesBefore,
  journalBytesAfter: journal.bytes,
  cyclesPerSecond,
};
await node.stop();
process.send?.(found);
