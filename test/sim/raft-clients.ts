/** Clients of a simulated group: they read, write and lock through whoever seems to lead, and keep their history. */

import type { Millis } from '../../src/kernel/core.ts';
import type { Random } from '../../src/kernel/random.ts';
import type { Machine } from '../../src/protocol/consensus/machine.ts';
import type { Command, Outcome } from '../../src/protocol/consensus/machine-types.ts';
import type { Entry } from '../../src/protocol/consensus/messages.ts';
import { encodeRequest } from '../../src/wire/machine-codec.ts';
import type { HistoryEvent, LockOp, RegisterOp } from './linearizability.ts';
import { exponential } from './network.ts';
import type { ReplicaEvents, SimGroup } from './raft.ts';
import type { HostId } from './world.ts';

/** An attempt waits so long for its answer. */
const attemptMs: Millis = 1_000;

/** An operation is given up after so many attempts: nobody knows what became of it. */
const attemptsMax = 12;

/** How busy clients are. */
export interface ClientKnobs {
  readonly count: number;
  /** Mean pause between two operations, in virtual ms. */
  readonly thinkMs: Millis;
  /** Share of attempts at anybody instead of who seems to lead. */
  readonly guessRate: number;
}

/** One object's history. */
export interface ObjectHistory<Op> {
  readonly name: string;
  readonly events: HistoryEvent<Op>[];
  count: number;
}

interface Attempt {
  readonly client: Client;
  /** An answer that comes late must not pass for one to what the client has asked since. */
  readonly task: Task;
  readonly host: HostId;
  index: number;
  term: number;
}

interface Client {
  name: string;
  number: number;
  session: number;
  readonly random: Random;
  task: Task | undefined;
  held: boolean;
}

interface Task {
  /** undefined: a read. */
  readonly command: Command | undefined;
  readonly key: string;
  attempts: number;
  attempt: number;
  finish(outcome: Outcome | { readonly type: 'read'; readonly value: string } | undefined): void;
}

/** The clients. */
export class RaftClients implements ReplicaEvents {
  readonly registers: Map<string, ObjectHistory<RegisterOp>> = new Map();
  readonly locks: Map<string, ObjectHistory<LockOp>> = new Map();
  /** Operations that were answered. */
  doneCount = 0;
  /** Clients stop to begin anything new once this is set. */
  isResting = false;
  #group: SimGroup;
  #knobs: ClientKnobs;
  #attempts = new Map<number, Attempt>();
  #nextRef = 1;
  #nextName = 1;
  #clients: Client[] = [];
  #openReturns: (() => void)[] = [];

  constructor(group: SimGroup, knobs: ClientKnobs, random: Random) {
    this.#group = group;
    this.#knobs = knobs;
    group.listeners.add(this);
    for (let at = 0; at < knobs.count; at += 1) {
      const client: Client = {
        name: this.#name(),
        number: 0,
        session: 0,
        random: random.split(),
        task: undefined,
        held: false,
      };
      this.#clients.push(client);
      this.#later(client, exponential(client.random, 200), () => this.#begin(client));
    }
  }

  /** Whether every client has its answers. */
  isIdle(): boolean {
    return this.#clients.every(({ task }) => task === undefined);
  }

  /** Histories with the returns of what nobody knows put at the end. */
  close(): void {
    for (const open of this.#openReturns) open();
    this.#openReturns = [];
  }

  accepted(host: HostId, ref: number, index: number, term: number): void {
    const attempt = this.#attempts.get(ref);
    if (attempt?.host !== host) return;
    attempt.index = index;
    attempt.term = term;
  }

  refused(_: HostId, ref: number): void {
    const attempt = this.#attempts.get(ref);
    if (attempt === undefined) return;
    this.#attempts.delete(ref);
    this.#again(ref, attempt, 20 + attempt.client.random.below(60));
  }

  applied(host: HostId, entry: Entry, outcome: Outcome | undefined): void {
    for (const [ref, attempt] of this.#attempts) {
      if (attempt.host !== host || attempt.index !== entry.index) continue;
      this.#attempts.delete(ref);
      // Another leader's entry took the place: this attempt was certainly not done.
      if (attempt.term !== entry.term || outcome === undefined) this.#again(ref, attempt, 10);
      else if (attempt.client.task === attempt.task) this.#end(attempt.client, outcome);
    }
  }

  readable(host: HostId, ref: number, machine: Machine): void {
    const attempt = this.#attempts.get(ref);
    if (attempt?.host !== host) return;
    this.#attempts.delete(ref);
    if (attempt.client.task !== attempt.task) return;
    const found = machine.value(attempt.task.key);
    const value = found === undefined ? '' : new TextDecoder().decode(found.value);
    this.#end(attempt.client, { type: 'read', value });
  }

  #name(): string {
    this.#nextName += 1;
    return `client-${this.#nextName}`;
  }

  /** Tries again, unless the client has done so already, or has its answer. */
  #again(ref: number, { client, task }: Attempt, ms: Millis): void {
    this.#later(client, ms, () => {
      if (client.task === task && task.attempt === ref) this.#try(client);
    });
  }

  #later(_: Client, ms: Millis, call: () => void): void {
    this.#group.world.at(this.#group.world.now + ms, call);
  }

  #begin(client: Client): void {
    if (this.isResting || client.task !== undefined) return;
    if (client.session === 0) return this.#openSession(client);
    if (client.random.below(4) === 0) return this.#lock(client);
    this.#register(client);
  }

  #openSession(client: Client): void {
    const command: Command = { op: 'openSession', node: client.name as never, ttlMs: 3_600_000 };
    this.#start(client, '', command, (outcome) => {
      if (outcome?.type === 'done') client.session = outcome.index;
    });
  }

  #register(client: Client): void {
    const key = `key-${client.random.below(3)}`;
    const history = historyOf(this.registers, key);
    const pick = client.random.below(3);
    const fresh = `${client.name}/${client.number}`;
    const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
    if (pick === 0) {
      const back = this.#call(history, { op: 'get' });
      this.#start(client, key, undefined, (outcome) =>
        back(outcome?.type === 'read' ? { op: 'value', value: outcome.value } : { op: 'unknown' }),
      );
    } else if (pick === 1) {
      const back = this.#call(history, { op: 'put', value: fresh });
      this.#start(client, key, { op: 'put', key, value: encode(fresh) }, (outcome) =>
        back(outcome === undefined ? { op: 'unknown' } : { op: 'ok' }),
      );
    } else {
      const last = lastWritten(history);
      const back = this.#call(history, { op: 'cas', from: last, to: fresh });
      const value = last === '' ? undefined : encode(last);
      const expect = { type: 'value', value } as const;
      this.#start(client, key, { op: 'cas', key, expect, value: encode(fresh) }, (outcome) => {
        if (outcome === undefined) return back({ op: 'unknown' });
        back({ op: outcome.type === 'done' ? 'ok' : 'conflict' });
      });
    }
  }

  #lock(client: Client): void {
    const name = 'lock-0';
    const owner = client.name;
    const history = historyOf(this.locks, name);
    const { session } = client;
    if (client.held) {
      const back = this.#call(history, { op: 'release', owner });
      this.#start(client, name, { op: 'release', session, name, owner }, (outcome) => {
        client.held = false;
        if (outcome === undefined) return back({ op: 'unknown' });
        back({ op: outcome.type === 'done' ? 'ok' : 'not-held' });
      });
      return;
    }
    const back = this.#call(history, { op: 'acquire', owner });
    const command: Command = { op: 'acquire', session, name, owner, permits: 1, mayWait: false };
    this.#start(client, name, command, (outcome) => {
      client.held = outcome?.type === 'granted';
      if (outcome === undefined) return back({ op: 'unknown' });
      back(outcome.type === 'granted' ? { op: 'granted', token: outcome.token } : { op: 'busy' });
    });
  }

  /** Notes a call; the returned function notes its return. */
  #call<Op extends { readonly op: string }>(
    history: ObjectHistory<Op>,
    value: Op,
  ): (result: Op) => void {
    const id = history.count;
    history.count += 1;
    history.events.push({ kind: 'call', id, value });
    return (result) => {
      const event = { kind: 'return', id, value: result } as const;
      if (result.op === 'unknown') this.#openReturns.push(() => history.events.push(event));
      else history.events.push(event);
    };
  }

  #start(client: Client, key: string, command: Command | undefined, finish: Task['finish']): void {
    client.number += 1;
    client.task = { command, key, attempts: 0, attempt: 0, finish };
    this.#try(client);
  }

  #try(client: Client): void {
    const { task } = client;
    if (task === undefined) return;
    task.attempts += 1;
    if (task.attempts > attemptsMax) {
      // A late copy of the request may still be carried out: whoever sent it is nobody any more.
      this.#end(client, undefined);
      client.name = this.#name();
      client.session = 0;
      client.held = false;
      return;
    }
    const { world, hosts } = this.#group;
    const ids = [...hosts.keys()];
    const isGuess = client.random.unit() < this.#knobs.guessRate;
    const host = isGuess
      ? (ids[client.random.below(ids.length)] as HostId)
      : (this.#group.leader()?.id ?? (ids[client.random.below(ids.length)] as HostId));
    const ref = this.#nextRef;
    this.#nextRef += 1;
    task.attempt = ref;
    this.#attempts.set(ref, { client, task, host, index: 0, term: 0 });
    this.#later(client, attemptMs, () => {
      this.#attempts.delete(ref);
      if (client.task === task && task.attempt === ref) this.#try(client);
    });
    const replica = hosts.get(host);
    if (replica?.host.phase() !== 'running') return;
    world.trace.add(world.now, host, 'client', ref);
    if (task.command === undefined) replica.host.feed({ type: 'readAsked', ref });
    else {
      const { name, number } = client;
      const data = encodeRequest({ client: name, number, advanceMs: 1, command: task.command });
      replica.host.feed({ type: 'proposed', items: [{ ref, data }] });
    }
  }

  #end(client: Client, outcome: Parameters<Task['finish']>[0]): void {
    const { task } = client;
    client.task = undefined;
    if (task === undefined) return;
    if (outcome !== undefined) this.doneCount += 1;
    task.finish(outcome);
    this.#later(client, exponential(client.random, this.#knobs.thinkMs), () => this.#begin(client));
  }
}

function historyOf<Op>(all: Map<string, ObjectHistory<Op>>, name: string): ObjectHistory<Op> {
  const known = all.get(name);
  if (known !== undefined) return known;
  const history: ObjectHistory<Op> = { name, events: [], count: 0 };
  all.set(name, history);
  return history;
}

/** What the key probably holds: a guess, so that some compare-and-sets succeed. */
function lastWritten(history: ObjectHistory<RegisterOp>): string {
  for (let at = history.events.length - 1; at >= 0; at -= 1) {
    const value = history.events[at]?.value;
    if (value?.op === 'put') return value.value;
    if (value?.op === 'cas') return value.to;
    if (value?.op === 'value') return value.value;
  }
  return '';
}
