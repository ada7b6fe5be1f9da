/** A group of voters, each a process of its own on loopback, that can be asked, loaded and killed. */

import { fork, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { VoterPlan, VoterTasks } from './voter-end.ts';

const program = fileURLToPath(new URL('voter-end.ts', import.meta.url));
const typescript = new URL('../typescript.mjs', import.meta.url).href;

/** One voter. */
export interface Voter {
  readonly name: string;
  /** The node's id. */
  readonly id: string;
  readonly port: number;
  ask<Name extends keyof VoterTasks>(
    task: Name,
    ask: VoterTasks[Name]['ask'],
  ): Promise<VoterTasks[Name]['answer']>;
  /** Ends it as a power cut would. @returns when, in ns of the machine's monotonic clock */
  kill(): Promise<bigint>;
}

/** The group. */
export interface VoterGroup {
  readonly home: string;
  readonly voters: readonly Voter[];
  /** Starts one that was killed, on what its disk holds. */
  restart(name: string): Promise<void>;
  /** Waits until every voter is up, seated and agrees who leads. @returns the leader */
  settled(ms?: number): Promise<Voter>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts `size` nodes that grow a group of that many voters by themselves. */
export async function startVoters(
  size: number,
  profile: VoterPlan['profile'] = 'loopback',
): Promise<VoterGroup> {
  const home = await mkdtemp(join(tmpdir(), 'mycel-voters-'));
  const voters: Voter[] = [];
  const start = async (name: string, invite?: string): Promise<void> => {
    const at = voters.findIndex((one) => one.name === name);
    const place = { name, dataDir: join(home, name), port: voters[at]?.port ?? 0 };
    const joining = invite === undefined ? {} : { join: invite };
    const voter = await startVoter({ ...place, profile, ...joining });
    if (at < 0) voters.push(voter);
    else voters[at] = voter;
  };
  const group: VoterGroup = {
    home,
    voters,
    restart: (name) => start(name),
    settled: (ms = 60_000) => settled(voters, ms),
    async [Symbol.asyncDispose]() {
      await Promise.all(voters.map((voter) => voter.kill()));
      await rm(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  try {
    for (let at = 0; at < size; at += 1) {
      await start(`voter-${at}`, await voters[0]?.ask('invite', {}));
    }
    await group.settled();
    return group;
  } catch (error) {
    await group[Symbol.asyncDispose]();
    throw error;
  }
}

async function settled(voters: readonly Voter[], ms: number): Promise<Voter> {
  const until = performance.now() + ms;
  let problem = 'nobody was asked';
  for (; performance.now() < until; await sleep(20)) {
    try {
      const views = await Promise.all(voters.map((voter) => voter.ask('leader', {})));
      const leaders = new Set(views.map(({ leader }) => leader));
      const leader = voters.find(({ id }) => leaders.has(id));
      const isWhole = views.every(
        (view) => view.voters.length === voters.length && view.links === voters.length - 1,
      );
      if (leaders.size === 1 && leader !== undefined && isWhole) return leader;
      problem = JSON.stringify(views);
    } catch (error) {
      problem = String(error);
    }
  }
  const seen = await Promise.all(voters.map((voter) => voter.ask('look', {})));
  const views = voters.map(({ name, id }, at) => `${name} (${id.slice(0, 8)}): ${seen[at]}`);
  throw new Error(['the voters do not settle', problem, ...views].join('\n'));
}

async function startVoter(plan: VoterPlan): Promise<Voter> {
  const child = fork(program, [JSON.stringify(plan)], { execArgv: ['--import', typescript] });
  const waiting = new Map<number, { resolve(answer: never): void; reject(error: Error): void }>();
  let lastId = 0;
  const answerOf = (id: number): Promise<never> =>
    new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
  const whole = answerOf(0);
  child.on('message', (message: { id: number; answer?: never; error?: string }) => {
    const one = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error === undefined) one?.resolve(message.answer as never);
    else one?.reject(new Error(`${plan.name}: ${message.error}`));
  });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  void gone.then(() => {
    for (const one of waiting.values()) one.reject(new Error(`${plan.name} has ended`));
  });
  const { id, port }: { readonly id: string; readonly port: number } = await whole;
  return {
    name: plan.name,
    id,
    port,
    ask(task, ask) {
      lastId += 1;
      const answer = answerOf(lastId);
      child.send({ id: lastId, task, ...ask });
      return answer;
    },
    kill: () => killed(child, gone),
  };
}

async function killed(child: ChildProcess, gone: Promise<void>): Promise<bigint> {
  const at = process.hrtime.bigint();
  child.kill('SIGKILL');
  await gone;
  return at;
}
