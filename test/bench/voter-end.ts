/** One voter of the built library in a process of its own, told by its parent what to do, so that it can be killed. */

import { closeSync, constants, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createNode } from 'mycel';

/** How to start one. */
export interface VoterPlan {
  readonly name: string;
  readonly dataDir: string;
  readonly profile: 'loopback' | 'wired';
  /** 0: a free one. A node that is started again keeps the one it had, as a board does. */
  readonly port: number;
  /** An invite of the founder; none: this one is the founder, or was here before. */
  readonly join?: string;
}

/** What a parent asks for, and what it gets. Instants are ns of the machine's monotonic clock, as text. */
export interface VoterTasks {
  readonly invite: { readonly ask: object; readonly answer: string };
  /** Who leads, as the group itself says. */
  readonly leader: {
    readonly ask: object;
    readonly answer: {
      readonly leader: string | undefined;
      readonly voters: readonly string[];
      /** Nodes it has a link with. */
      readonly links: number;
    };
  };
  /** What it sees of the others, for the text of a failure. */
  readonly look: { readonly ask: object; readonly answer: string };
  /** Asks who leads again and again until it is not `not`: when it was told, and when the link to that one closed. */
  readonly successor: {
    readonly ask: { readonly not: string };
    readonly answer: { readonly at: string; readonly closedAt: string };
  };
  /** One write after the other: how long each took, in ms. */
  readonly serial: { readonly ask: { readonly count: number }; readonly answer: readonly number[] };
  /**
   * Writes of as many bytes as one command takes in the log, each durable before the next one, how long each took in ms:
   * to the end of a file with `fsync`, and within a file of zeros as a replica's log does it.
   */
  readonly syncs: {
    readonly ask: { readonly count: number };
    readonly answer: {
      readonly appends: readonly number[];
      readonly overwrites: readonly number[];
    };
  };
  /** So many writers at once for so long: decided writes a second. */
  readonly load: {
    readonly ask: { readonly writers: number; readonly seconds: number };
    readonly answer: { readonly perSecond: number; readonly latenciesMs: readonly number[] };
  };
}

/** What is measured is how long a decision takes, not whether a busy machine makes it within the usual five seconds. */
const patience = { deadlineMs: 30_000 };

/** Value of every write, about 64 bytes encoded. */
const small = 'x'.repeat(60);

/** Bytes that one such write takes in the log, which keeps it twice. */
const recordBytes = 320;

/** How long the slowest follower may still write when a commit is through, in ms. */
const calmMs = 5;

const plan = JSON.parse(process.argv[2] ?? '') as VoterPlan;
process.on('disconnect', () => process.exit());

const node = await createNode({
  name: plan.name,
  dataDir: plan.dataDir,
  port: plan.port,
  guestPort: 0,
  interfaces: ['lo'],
  profile: plan.profile,
  mdns: false,
  multicast: false,
  logLevel: 'warn',
  ...(plan.join === undefined ? {} : { join: plan.join }),
});
await node.start();

async function successor(not: string): Promise<VoterTasks['successor']['answer']> {
  const clock = (): string => String(process.hrtime.bigint());
  let closedAt = '';
  const stop = node.on('link', ({ peer, isOpen }) => {
    if (peer === not && !isOpen && closedAt === '') closedAt = clock();
  });
  try {
    for (;;) {
      const { leader } = await node.leader(undefined, patience);
      if (leader !== undefined && leader !== not) return { at: clock(), closedAt };
      await sleep(2);
    }
  } finally {
    stop();
  }
}

/** On the disk of the replica's own log, in the process that commits. */
async function syncs(count: number): Promise<VoterTasks['syncs']['answer']> {
  await sleep(calmMs);
  const bytes = Buffer.alloc(recordBytes, 7);
  const timed = (file: number, write: (at: number) => void): number[] => {
    const took: number[] = [];
    for (let at = 0; at < count; at += 1) {
      const from = performance.now();
      write(at * recordBytes);
      took.push(performance.now() - from);
    }
    closeSync(file);
    return took;
  };
  const growing = openSync(join(plan.dataDir, 'growing'), 'w');
  const appends = timed(growing, (at) => {
    writeSync(growing, bytes, 0, recordBytes, at);
    fsyncSync(growing);
  });
  const { O_RDWR, O_CREAT, O_DSYNC } = constants;
  const whole = openSync(join(plan.dataDir, 'whole'), O_RDWR | O_CREAT | O_DSYNC);
  writeSync(whole, Buffer.alloc(count * recordBytes), 0, count * recordBytes, 0);
  const overwrites = timed(whole, (at) => {
    writeSync(whole, bytes, 0, recordBytes, at);
  });
  return { appends, overwrites };
}

type Answers = { readonly [Name in keyof VoterTasks]: VoterTasks[Name]['answer'] };
type Task = {
  [Name in keyof VoterTasks]: {
    readonly id: number;
    readonly task: Name;
  } & VoterTasks[Name]['ask'];
}[keyof VoterTasks];

process.on('message', (task: Task) => {
  void run(task).then(
    (answer) => process.send?.({ id: task.id, answer }),
    (error: unknown) => process.send?.({ id: task.id, error: String(error) }),
  );
});
process.send?.({ id: 0, answer: { id: node.id, port: node.status().mqttPort } });

async function run(task: Task): Promise<Answers[keyof Answers]> {
  switch (task.task) {
    case 'invite':
      return (await node.invite()).invite;
    case 'leader': {
      const { leader, voters } = await node.leader(undefined, patience);
      return { leader, voters, links: node.status().links.length };
    }
    case 'look': {
      const members = node.members().map(({ name, state }) => `${name} is ${state}`);
      const links = node.status().links.map(({ peer }) => `linked with ${peer.slice(0, 8)}`);
      return [...members, ...links].join(', ');
    }
    case 'successor':
      return successor(task.not);
    case 'serial': {
      const took: number[] = [];
      for (let at = 0; at < task.count; at += 1) {
        const from = performance.now();
        await node.kv.put(`serial/${at % 16}`, small, patience);
        took.push(performance.now() - from);
      }
      return took;
    }
    case 'syncs':
      return syncs(task.count);
    case 'load': {
      const from = performance.now();
      const until = from + task.seconds * 1_000;
      const latenciesMs: number[] = [];
      const write = async (writer: number): Promise<void> => {
        while (performance.now() < until) {
          const askedAt = performance.now();
          await node.kv.put(`load/${writer}`, small, patience);
          latenciesMs.push(performance.now() - askedAt);
        }
      };
      await Promise.all(Array.from({ length: task.writers }, (_, writer) => write(writer)));
      return { perSecond: (latenciesMs.length / (performance.now() - from)) * 1_000, latenciesMs };
    }
  }
}
