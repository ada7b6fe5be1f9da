/** The state machine that a group of replicas applies its log to: every replica comes to the same state. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { unreachable } from '../../kernel/invariant.ts';
import { LockTable } from './lock-table.ts';
import type { Lock } from './lock-table.ts';
import { machineLimits as limits } from './machine-types.ts';
import type { Command, Outcome, Request } from './machine-types.ts';

/** A value with the index at which it was written. */
export interface Versioned {
  readonly value: Uint8Array;
  readonly version: number;
}

/** A node's promise to be there: what is held in its name ends with it. */
export interface Session {
  readonly node: NodeId;
  readonly ttlMs: number;
  /** When it ends, in the machine's own time. */
  readonly until: number;
}

/** A meeting point. `generation` counts how often everybody had come. */
export interface Barrier {
  readonly parties: number;
  readonly arrived: readonly string[];
  readonly generation: number;
}

/** Everything there is, as plain data. */
export interface MachineState {
  readonly time: number;
  readonly hash: number;
  readonly values: readonly (readonly [string, number, Uint8Array])[];
  readonly sessions: readonly (readonly [number, NodeId, number, number])[];
  readonly locks: readonly (readonly [string, Lock])[];
  readonly barriers: readonly (readonly [string, Barrier])[];
  readonly sequences: readonly (readonly [string, number])[];
  readonly clients: readonly (readonly [string, readonly (readonly [number, Outcome])[]])[];
}

/** What an applied request touched, for those who wait for it. */
export interface Applied {
  readonly outcome: Outcome;
  /** `lock NAME`, `barrier NAME` or `key KEY`. */
  readonly touched: readonly string[];
}

/** The machine. Deterministic: same requests at same indices, same state. */
export class Machine {
  /** Moves on with the requests alone, never faster than the clock of any leader. */
  time = 0;
  /** A running hash of everything applied: replicas that differ in it have parted ways. */
  hash = 0;
  #values = new Map<string, Versioned>();
  #bytes = 0;
  #sessions = new Map<number, Session>();
  #locks = new LockTable();
  #barriers = new BoundedMap<string, Barrier>(limits.barriersMax);
  #sequences = new Map<string, number>();
  #clients = new BoundedMap<string, BoundedMap<number, Outcome>>(limits.clientsMax);
  #touched: string[] = [];

  /** Applies the request at an index of the log. Total: whatever is refused is refused by every replica. */
  apply(index: number, request: Request): Applied {
    this.#touched = [];
    const { client, number, advanceMs, command } = request;
    const step = Number.isFinite(advanceMs) ? advanceMs : 0;
    this.time += Math.max(0, Math.min(step, limits.advanceMsMax));
    this.#expire(index);
    const known = this.#clients.get(client)?.get(number);
    const outcome = known ?? this.#run(index, command);
    if (known === undefined && client !== '') this.#remember(client, number, outcome);
    this.#mix(index);
    this.#mix(this.time);
    this.#mix(outcome.type.length * 31 + ('token' in outcome ? outcome.token : 0));
    this.#mix(this.#values.size * 65_537 + this.#bytes);
    return { outcome, touched: this.#touched };
  }

  value(key: string): Versioned | undefined {
    return this.#values.get(key);
  }

  /** Keys that begin so, in order. */
  keys(prefix: string): string[] {
    return [...this.#values.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  lock(name: string): Lock | undefined {
    return this.#locks.get(name);
  }

  session(id: number): Session | undefined {
    return this.#sessions.get(id);
  }

  barrier(name: string): Barrier | undefined {
    return this.#barriers.get(name);
  }

  /** When the next session ends unless it is kept, in the machine's own time; Infinity: none. */
  nextExpiry(): number {
    let next = Infinity;
    for (const { until } of this.#sessions.values()) next = Math.min(next, until);
    return next;
  }

  state(): MachineState {
    return {
      time: this.time,
      hash: this.hash,
      values: [...this.#values].map(([key, { value, version }]) => [key, version, value]),
      sessions: [...this.#sessions].map(([id, { node, ttlMs, until }]) => [id, node, ttlMs, until]),
      locks: [...this.#locks.entries()],
      barriers: [...this.#barriers],
      sequences: [...this.#sequences],
      clients: [...this.#clients].map(([client, outcomes]) => [client, [...outcomes]]),
    };
  }

  restore(state: MachineState): void {
    this.time = state.time;
    this.hash = state.hash;
    this.#values = new Map(state.values.map(([key, version, value]) => [key, { value, version }]));
    this.#bytes = state.values.reduce((sum, [key, , value]) => sum + sizeOf(key, value), 0);
    this.#sessions = new Map(
      state.sessions.map(([id, node, ttlMs, until]) => [id, { node, ttlMs, until }]),
    );
    this.#locks = new LockTable();
    for (const [name, lock] of state.locks) this.#locks.restore(name, lock);
    this.#barriers.clear();
    for (const [name, barrier] of state.barriers) this.#barriers.set(name, barrier);
    this.#sequences = new Map(state.sequences);
    this.#clients.clear();
    for (const [client, outcomes] of state.clients) {
      for (const [number, outcome] of outcomes) this.#remember(client, number, outcome);
    }
  }

  #remember(client: string, number: number, outcome: Outcome): void {
    const kept = this.#clients.get(client) ?? new BoundedMap(limits.requestsPerClientMax);
    kept.set(number, outcome);
    this.#clients.set(client, kept);
  }

  #mix(value: number): void {
    this.hash = Math.imul(this.hash ^ (Math.floor(value) | 0), 0x01000193) >>> 0;
  }

  /** Ends the sessions whose time is over, before anything else is looked at. */
  #expire(index: number): void {
    const over = new Set<number>();
    for (const [id, { until }] of this.#sessions) if (until <= this.time) over.add(id);
    if (over.size > 0) this.#end(index, over);
  }

  #end(index: number, sessions: ReadonlySet<number>): void {
    for (const id of sessions) this.#sessions.delete(id);
    for (const name of this.#locks.endSessions(index, sessions)) this.#touch('lock', name);
  }

  #touch(kind: 'lock' | 'barrier' | 'key', name: string): void {
    this.#touched.push(`${kind} ${name}`);
  }

  #run(index: number, command: Command): Outcome {
    switch (command.op) {
      case 'put':
        return this.#write(index, command.key, command.value);
      case 'delete':
        return this.#write(index, command.key, undefined);
      case 'cas':
        return this.#compareAndSet(index, command);
      case 'openSession':
        return this.#open(index, command.node, command.ttlMs);
      case 'keepSession':
        return this.#keep(index, command.session);
      case 'closeSession':
        if (!this.#sessions.has(command.session)) return refused('no-session');
        this.#end(index, new Set([command.session]));
        return { type: 'done', index };
      case 'acquire':
        return this.#acquire(index, command);
      case 'release': {
        const { name, session, owner } = command;
        if (!this.#locks.release(index, name, { session, owner })) return refused('not-held');
        this.#touch('lock', name);
        return { type: 'done', index };
      }
      case 'arrive':
        return this.#arrive(command);
      case 'next': {
        const { name, count } = command;
        const last = this.#sequences.get(name) ?? 0;
        const isFull = !this.#sequences.has(name) && this.#sequences.size >= limits.sequencesMax;
        if (isFull || !isKey(name) || !(count >= 1 && last + count <= Number.MAX_SAFE_INTEGER)) {
          return refused('full');
        }
        this.#sequences.set(name, last + count);
        return { type: 'numbers', first: last + 1 };
      }
      case 'clock':
        return { type: 'done', index };
      default:
        return unreachable(command);
    }
  }

  #write(index: number, key: string, value: Uint8Array | undefined): Outcome {
    const before = this.#values.get(key);
    const bytes =
      this.#bytes -
      (before === undefined ? 0 : sizeOf(key, before.value)) +
      (value === undefined ? 0 : sizeOf(key, value));
    const isNew = before === undefined && value !== undefined;
    if (
      !isKey(key) ||
      (value?.length ?? 0) > limits.valueBytesMax ||
      bytes > limits.bytesMax ||
      (isNew && this.#values.size >= limits.keysMax)
    ) {
      return refused('full');
    }
    this.#bytes = bytes;
    if (value === undefined) this.#values.delete(key);
    else this.#values.set(key, { value, version: index });
    this.#touch('key', key);
    return { type: 'done', index };
  }

  #compareAndSet(index: number, command: Extract<Command, { op: 'cas' }>): Outcome {
    const { key, expect, value } = command;
    const found = this.#values.get(key);
    const isMet =
      expect.type === 'version'
        ? (found?.version ?? 0) === expect.version
        : isSame(found?.value, expect.value);
    if (!isMet) return { type: 'refused', reason: 'conflict', version: found?.version ?? 0 };
    return this.#write(index, key, value);
  }

  #open(index: number, node: NodeId, ttlMs: number): Outcome {
    if (this.#sessions.size >= limits.sessionsMax) return refused('full');
    const ttl = Math.max(limits.ttlMsMin, Math.min(limits.ttlMsMax, ttlMs));
    this.#sessions.set(index, { node, ttlMs: ttl, until: this.time + ttl });
    return { type: 'done', index };
  }

  #keep(index: number, id: number): Outcome {
    const session = this.#sessions.get(id);
    if (session === undefined) return refused('no-session');
    this.#sessions.set(id, { ...session, until: this.time + session.ttlMs });
    return { type: 'done', index };
  }

  #acquire(index: number, command: Extract<Command, { op: 'acquire' }>): Outcome {
    const { session, name, owner, permits, mayWait } = command;
    // A lock is never granted to a session that has ended (etcd#11456).
    if (!this.#sessions.has(session)) return refused('no-session');
    if (!isKey(name) || !(permits >= 1 && permits <= limits.permitsMax)) return refused('full');
    const outcome = this.#locks.acquire(index, name, { session, owner }, permits, mayWait);
    if (outcome.type === 'granted') this.#touch('lock', name);
    return outcome;
  }

  #arrive(command: Extract<Command, { op: 'arrive' }>): Outcome {
    const { name, party, parties } = command;
    if (!isKey(name) || !(parties >= 1 && parties <= limits.partiesMax)) return refused('full');
    const before = this.#barriers.get(name) ?? { parties, arrived: [], generation: 0 };
    if (before.arrived.length > 0 && before.parties !== parties) return refused('other-parties');
    const arrived = before.arrived.includes(party) ? before.arrived : [...before.arrived, party];
    const isOpen = arrived.length >= parties;
    const generation = before.generation + (isOpen ? 1 : 0);
    this.#barriers.set(name, { parties, arrived: isOpen ? [] : arrived, generation });
    if (isOpen) this.#touch('barrier', name);
    return { type: 'arrived', generation: before.generation, isOpen };
  }
}

function refused(reason: Extract<Outcome, { type: 'refused' }>['reason']): Outcome {
  return { type: 'refused', reason };
}

function isKey(text: string): boolean {
  return text.length > 0 && text.length <= limits.keyLengthMax;
}

function sizeOf(key: string, value: Uint8Array): number {
  return key.length * 2 + value.length + 64;
}

function isSame(left: Uint8Array | undefined, right: Uint8Array | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}
