/** The demo's three nodes as one thing: paired by real invites, fed with real facts, killed and revived. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import type { MemberState } from 'mycel';

import { createDemoNode, type DemoNode } from './demo-node.ts';
import { readFacts } from './facts.ts';

/** The names, which are also the levels of their topics: `demo/anna/load`. */
const nodeNames = ['anna', 'bert', 'cleo'] as const;

/** Pause between two joins, in ms: an inviter takes one attempt a second from an address, and all of ours are loopback. */
const joinPauseMs = 1200;

/** How often each node publishes its facts, in ms. */
const factsEveryMs = 1000;

/** What happens, for those who watch without a table. */
export type DemoEvent =
  | { readonly event: 'ready'; readonly node: string; readonly mqttPort: number }
  | { readonly event: 'joined'; readonly node: string }
  | {
      readonly event: 'sees';
      readonly node: string;
      readonly member: string;
      readonly state: MemberState;
    }
  | {
      readonly event: 'heard';
      readonly node: string;
      readonly topic: string;
      readonly value: string;
    }
  | { readonly event: 'killed'; readonly node: string; readonly pid: number }
  | { readonly event: 'ended'; readonly node: string; readonly reason: string };

/** One line of the table. */
export interface DemoRow {
  readonly name: string;
  readonly isUp: boolean;
  readonly mqttPort: number | undefined;
  /** What it thinks of the others. */
  readonly sees: ReadonlyMap<string, MemberState>;
  /** Its facts, as the other nodes received them. */
  readonly facts: ReadonlyMap<string, string>;
  /** Messages its subscriber got since the start. */
  readonly heardCount: number;
}

/** The running demo. */
export interface DemoMesh {
  rows(): readonly DemoRow[];
  /** Kills the last node that is up. */
  kill(): void;
  /** Starts every node that is down, with the data it had. */
  revive(): Promise<void>;
  /** Stops all nodes and removes their directories. Idempotent. */
  stop(): Promise<void>;
}

interface Seat {
  readonly node: DemoNode;
  readonly sees: Map<string, MemberState>;
  readonly facts: Map<string, string>;
  heardCount: number;
}

/**
 * Starts the first node, has it invite the others, and begins to publish.
 * @param signal stops everything, also in the middle of the start.
 * @throws {Failure} MYCEL_DEMO when a node does not start; everything started is stopped first.
 */
export async function startDemoMesh(
  tell: (event: DemoEvent) => void,
  signal: AbortSignal,
): Promise<DemoMesh> {
  const home = await mkdtemp(join(tmpdir(), 'mycel-demo-'));
  const seats: Seat[] = [];
  for (const name of nodeNames) seats.push(createSeat(name, join(home, name), seats, tell));
  const timers: NodeJS.Timeout[] = [];
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= (async () => {
      for (const timer of timers) clearInterval(timer);
      await Promise.all(seats.map(({ node }) => node.stop()));
      await rm(home, { recursive: true, force: true });
    })();
    return stopped;
  };
  signal.addEventListener('abort', () => void stop(), { once: true });
  try {
    const [first, ...others] = seats.map(({ node }) => node);
    await first?.start(undefined);
    signal.throwIfAborted();
    const made = await first?.control?.call('invite', { uses: others.length });
    signal.throwIfAborted();
    for (const [at, node] of others.entries()) {
      if (at > 0) await setTimeout(joinPauseMs, undefined, { signal });
      await node.start(made?.invite);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  timers.push(setInterval(() => publishFacts(seats), factsEveryMs));
  publishFacts(seats);
  return {
    rows: () =>
      seats.map(({ node, sees, facts, heardCount }) => {
        const { name, isUp, mqttPort } = node;
        return { name, isUp, mqttPort, sees, facts, heardCount };
      }),
    kill() {
      const victim = seats.findLast(({ node }) => node.isUp)?.node;
      if (victim?.pid === undefined) return;
      tell({ event: 'killed', node: victim.name, pid: victim.pid });
      victim.kill();
    },
    async revive() {
      const down = seats.filter(({ node }) => node.pid === undefined);
      await Promise.all(down.map(({ node }) => node.start(undefined)));
    },
    stop,
  };
}

function createSeat(
  name: string,
  dataDir: string,
  seats: readonly Seat[],
  tell: (event: DemoEvent) => void,
): Seat {
  const seat: Seat = {
    sees: new Map(),
    facts: new Map(),
    heardCount: 0,
    node: createDemoNode(name, dataDir, {
      joined: () => tell({ event: 'joined', node: name }),
      ready: () => tell({ event: 'ready', node: name, mqttPort: seat.node.mqttPort ?? 0 }),
      member(member, state) {
        seat.sees.set(member, state);
        tell({ event: 'sees', node: name, member, state });
      },
      heard({ topic, payloadBase64 }) {
        seat.heardCount += 1;
        const [, about = '', kind = ''] = topic.split('/');
        const subject = seats.find(({ node }) => node.name === about);
        // Only what came through the mesh is shown: a node's own facts are heard by the others.
        if (subject === undefined || subject === seat) return;
        const value = Buffer.from(payloadBase64, 'base64').toString('utf8');
        const isFirst = !subject.facts.has(kind);
        subject.facts.set(kind, value);
        if (isFirst) tell({ event: 'heard', node: name, topic, value });
      },
      ended(reason) {
        seat.sees.clear();
        seat.facts.clear();
        tell({ event: 'ended', node: name, reason });
      },
    }),
  };
  return seat;
}

function publishFacts(seats: readonly Seat[]): void {
  const facts = Object.entries(readFacts());
  for (const { node } of seats) {
    for (const [kind, value] of facts) {
      // A node that was killed in this very moment answers nothing; its end is told elsewhere.
      node.control
        ?.call('publish', {
          topic: `demo/${node.name}/${kind}`,
          payloadBase64: Buffer.from(String(value)).toString('base64'),
          qos: 0,
          retain: true,
        })
        .catch(() => undefined);
    }
  }
}
