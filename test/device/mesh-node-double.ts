/** A node that only records what the control socket asks of it, for tests of the protocol itself. */

import { nodeIdFromHash } from '../../src/kernel/ids.ts';
import type { MeshId, NodeId } from '../../src/kernel/ids.ts';
import { MycelError } from '../../src/kernel/errors.ts';
import type {
  MemberInfo,
  MeshEvents,
  MeshMessage,
  MeshNode,
  NodeStatus,
  SubscribeOptions,
} from '../../src/runtime/mesh-node.ts';

/** The id of a numbered node. */
export function idOf(seed: number): NodeId {
  return nodeIdFromHash(new Uint8Array(16).fill(seed));
}

/** A member with the given fields. */
export function member(seed: number, name: string): MemberInfo {
  return {
    id: idOf(seed),
    name,
    state: 'alive',
    address: `10.0.0.${seed}:1883`,
    incarnation: '1.0',
    rttMs: seed,
    labels: {},
    roles: [],
    capabilities: [],
    version: '0.1.0',
    isStalled: false,
    isSelf: seed === 1,
  };
}

/** The double, with handles for the test. */
export interface NodeDouble extends MeshNode {
  readonly calls: (readonly [string, ...unknown[]])[];
  emit<Name extends keyof MeshEvents>(name: Name, value: MeshEvents[Name]): void;
  /** Hands a message to every subscriber of its filter; gives how many there were. */
  deliver(topic: string, payload: Uint8Array): number;
  listenerCount(): number;
}

/** Makes one with three members and one newcomer who waits. */
export function createNodeDouble(): NodeDouble {
  const calls: (readonly [string, ...unknown[]])[] = [];
  const listeners = new Map<keyof MeshEvents, Set<(value: never) => void>>();
  const subscribers = new Map<string, Set<(message: MeshMessage) => void>>();
  const record = async (...call: [string, ...unknown[]]): Promise<void> => {
    calls.push(call);
  };
  const double = {
    id: idOf(1),
    name: 'one',
    calls,
    start: () => record('start'),
    stop: () => record('stop'),
    [Symbol.asyncDispose]: () => record('stop'),
    status: () => statusOf(),
    members: () => [member(1, 'one'), member(2, 'two'), member(3, 'two'), member(4, 'four')],
    discover: () => ({ rungs: [] }),
    on(event: keyof MeshEvents, listener: (value: never) => void) {
      const set = listeners.get(event) ?? new Set();
      listeners.set(event, set.add(listener));
      return () => set.delete(listener);
    },
    async publish(topic: string, payload: Uint8Array | string, options: unknown) {
      if (topic.includes('#')) throw new MycelError('MYCEL_BAD_TOPIC', { reason: 'It has a #.' });
      calls.push(['publish', topic, Buffer.from(payload as Uint8Array).toString('utf8'), options]);
    },
    subscribe(
      filter: string,
      listener: (message: MeshMessage) => void,
      options?: SubscribeOptions,
    ) {
      const set = subscribers.get(filter) ?? new Set();
      subscribers.set(filter, set.add(listener));
      options?.signal?.addEventListener('abort', () => set.delete(listener));
      return () => set.delete(listener);
    },
    async invite(options: unknown) {
      calls.push(['invite', options]);
      return { invite: 'mycel:1:test', expiresInMs: 900_000, uses: 1 };
    },
    found: (name?: string) => record('found', name),
    openJoinWindow: (ms: number) => record('window', ms),
    pending: () => [{ id: idOf(9), name: 'newcomer', code: '123456' }],
    approve: (id: NodeId) => record('approve', id),
    join: (invite: string) => record('join', invite),
    revoke: (id: NodeId) => record('revoke', id),
    leave: () => record('leave'),
    async addGuest(name: string, password: string | undefined, rules: unknown) {
      calls.push(['guest-add', name, password, rules]);
      return { password: password ?? 'made', port: 1884 };
    },
    guests: () => [],
    removeGuest: (name: string) => record('guest-rm', name),
    emit(name: keyof MeshEvents, value: unknown) {
      for (const listener of listeners.get(name) ?? []) listener(value as never);
    },
    deliver(topic: string, payload: Uint8Array) {
      const set = subscribers.get(topic) ?? new Set();
      for (const listener of set) {
        listener({
          topic,
          payload,
          origin: idOf(2),
          qos: 1,
          retain: false,
          at: 1,
          id: `${idOf(2)}-1-0`,
        });
      }
      return set.size;
    },
    listenerCount: () =>
      [...listeners.values(), ...subscribers.values()].reduce((sum, { size }) => sum + size, 0),
  };
  return double as unknown as NodeDouble;
}

function statusOf(): NodeStatus {
  return {
    node: idOf(1),
    name: 'one',
    version: '0.1.0',
    mesh: {
      id: '0'.repeat(32) as MeshId,
      name: 'home',
      isProvisional: true,
      isDev: false,
      epoch: 0,
      joinWindowMs: 0,
      isAdmin: true,
      probationCode: undefined,
    },
    mqttPort: 1883,
    guestPort: undefined,
    uptimeMs: 1000,
    members: { alive: 4, suspect: 0, dead: 0, left: 0, dormant: 0 },
    overlay: { name: 'full-mesh', active: 0, activeMax: undefined, passive: 0 },
    links: [],
    channels: [],
    clients: [],
    evictions: [],
    evictionCount: 0,
    headOfLine: { overMs: 100, incidents: 0, waits: 0, longestMs: 0 },
    discovery: [],
    loopLagMs: 0,
    rssBytes: 1,
    metrics: { counters: {}, gauges: {}, drops: {} },
    warnings: [],
  };
}
