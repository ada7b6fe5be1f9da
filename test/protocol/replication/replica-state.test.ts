import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CausalContext } from '../../../src/protocol/replication/causal-context.ts';
import { addressOf, cellTypes, readBounded } from '../../../src/protocol/replication/cell.ts';
import type { CellType, Plain } from '../../../src/protocol/replication/cell.ts';
import { messageBytesMax } from '../../../src/protocol/replication/messages.ts';
import { ReplicaState } from '../../../src/protocol/replication/replica-state.ts';
import type { CellFact } from '../../../src/protocol/replication/replica-state.ts';
import { weighValue } from '../../../src/protocol/replication/weight.ts';
import {
  addMember,
  assign,
  clear,
  give,
  grant,
  increment,
  raise,
  receiversMax,
  removeMember,
  spend,
} from '../../../src/protocol/replication/writes.ts';
import { stateBytes } from '../../sim/state-mesh.ts';

const names = ['ann', 'bob', 'eve'] as const;
const types = Object.keys(cellTypes) as CellType[];

/** Replicas that write and tell each other; every fact in the order it was made. */
class Group {
  readonly states: ReplicaState[] = names.map(() => new ReplicaState());
  readonly facts: CellFact[] = [];
  #time = 0;

  write(at: number, type: CellType, path: readonly string[], amount: number): void {
    const state = this.states[at] as ReplicaState;
    const replica = names[at] as string;
    const address = addressOf(type, path);
    const entries = state.entries(address);
    const change = ((): ReturnType<typeof assign> | undefined => {
      if (amount % 5 === 0 && type !== 'bounded-counter') return clear();
      switch (type) {
        case 'counter':
          return increment(entries, replica, amount - 5);
        case 'bounded-counter':
          if (amount > 7) return grant(entries, replica, amount);
          if (amount > 5) return give(entries, replica, names[(at + 1) % 3] as string, amount);
          return spend(entries, replica, amount);
        case 'set':
          return amount % 2 === 0 ? addMember(amount) : removeMember(amount);
        case 'max':
        case 'min':
          return raise(entries, type, amount);
        case 'enable-flag':
        case 'disable-flag':
          return assign(amount % 2 === 0);
        default:
          return assign(amount);
      }
    })();
    if (change === undefined) return;
    this.#time += 1;
    this.facts.push(state.write(replica, address, change, { wallMs: this.#time, count: 0 }));
  }

  tell(from: number, to: number): void {
    merge(this.states[to] as ReplicaState, this.states[from] as ReplicaState);
  }
}

/** A whole merge: all live writes, and the deaths of what the other one holds and this one knows to be gone. */
function merge(into: ReplicaState, from: ReplicaState): void {
  for (const address of into.addresses()) {
    const dead = into
      .entries(address)
      .filter(
        ({ replica, count }) =>
          from.context.has(replica, count) &&
          !from.entries(address).some((one) => one.replica === replica && one.count === count),
      );
    into.join({ address, live: [], dead });
  }
  for (const fact of from.facts()) into.join(fact);
  into.joinContext(from.context.entries());
}

const action = fc.record({
  at: fc.nat(2),
  type: fc.constantFrom(...types),
  field: fc.constantFrom('a', 'b'),
  amount: fc.nat(10),
  to: fc.option(fc.nat(2)),
});
const history = fc.array(action, { maxLength: 40 });

function play(
  actions: readonly {
    at: number;
    type: CellType;
    field: string;
    amount: number;
    to: number | null;
  }[],
): Group {
  const group = new Group();
  for (const { at, type, field, amount, to } of actions) {
    if (to === null || to === at) group.write(at, type, ['key', field], amount);
    else group.tell(at, to);
  }
  return group;
}

function copy(state: ReplicaState): ReplicaState {
  const twin = new ReplicaState();
  merge(twin, state);
  return twin;
}

const text = (state: ReplicaState): string => Buffer.from(stateBytes(state)).toString('hex');

describe('the join of replicas', () => {
  test('is commutative, associative and idempotent, contexts included', () => {
    fc.assert(
      fc.property(history, (actions) => {
        const [ann, bob, eve] = play(actions).states as [ReplicaState, ReplicaState, ReplicaState];
        const joined = (...states: ReplicaState[]): ReplicaState => {
          const sum = new ReplicaState();
          for (const state of states) merge(sum, state);
          return sum;
        };
        expect(text(joined(ann, bob))).toBe(text(joined(bob, ann)));
        expect(text(joined(joined(ann, bob), eve))).toBe(text(joined(ann, joined(bob, eve))));
        expect(text(joined(ann, ann))).toBe(text(copy(ann)));
      }),
    );
  });

  test('of deltas in any order, repeated, gives the join of the states', () => {
    fc.assert(
      fc.property(history, fc.infiniteStream(fc.nat()), (actions, dice) => {
        const group = play(actions);
        const whole = new ReplicaState();
        for (const state of group.states) merge(whole, state);
        const next = dice[Symbol.iterator]();
        const shuffled = [...group.facts, ...group.facts.slice(0, 5)]
          .map((fact) => [next.next().value as number, fact] as const)
          .sort(([left], [right]) => left - right);
        const sum = new ReplicaState();
        for (const [, fact] of shuffled) sum.join(fact);
        expect(text(sum)).toBe(text(whole));
        expect(sum.digest.root()).toEqual(whole.digest.root());
      }),
    );
  });

  test('a fact that is new changes the fingerprint, a known one does not', () => {
    fc.assert(
      fc.property(history, (actions) => {
        const { facts } = play(actions);
        const state = new ReplicaState();
        for (const fact of facts) {
          const before = state.digest.root();
          const sizeBefore = state.entryCount;
          const { fresh } = state.join(fact);
          const hasLive = fresh !== undefined && state.entryCount !== sizeBefore;
          if (hasLive) expect(state.digest.root()).not.toEqual(before);
          expect(state.join(fact).fresh).toBeUndefined();
        }
      }),
    );
  });
});

/** Two replicas that do something at the same time and then hear of each other. */
function meet(
  type: CellType,
  prepare: number | undefined,
  ...both: readonly [(group: Group) => void, (group: Group) => void]
): Plain | undefined {
  const group = new Group();
  if (prepare !== undefined) group.write(0, type, ['k'], prepare);
  group.tell(0, 1);
  for (const act of both) act(group);
  group.tell(0, 1);
  group.tell(1, 0);
  const [ann, bob] = group.states as [ReplicaState, ReplicaState];
  const address = addressOf(type, ['k']);
  expect(ann.read(address)).toEqual(bob.read(address));
  return ann.read(address);
}

describe('what writes at the same time become', () => {
  const write = (at: number, type: CellType, amount: number) => (group: Group) =>
    group.write(at, type, ['k'], amount);

  test('register: the later one', () => {
    expect(meet('register', 1, write(0, 'register', 2), write(1, 'register', 3))).toBe(3);
  });

  test('register: a write beats a removal', () => {
    expect(meet('register', 1, write(0, 'register', 2), write(1, 'register', 5))).toBe(2);
  });

  test('multi-register: both, the later first', () => {
    expect(
      meet('multi-register', 1, write(0, 'multi-register', 2), write(1, 'multi-register', 3)),
    ).toEqual([3, 2]);
  });

  test('set: an add beats a removal', () => {
    const remove = (group: Group): void => {
      const state = group.states[1] as ReplicaState;
      state.write('bob', addressOf('set', ['k']), removeMember(2), { wallMs: 9, count: 0 });
    };
    expect(meet('set', 2, write(0, 'set', 2), remove)).toEqual([2]);
  });

  test('counter: both count', () => {
    expect(meet('counter', 6, write(0, 'counter', 7), write(1, 'counter', 9))).toBe(1 + 2 + 4);
  });

  test('flags: the one that gives them their name', () => {
    const [on, off] = [2, 3];
    expect(
      meet('enable-flag', off, write(0, 'enable-flag', on), write(1, 'enable-flag', off)),
    ).toBe(true);
    expect(
      meet('disable-flag', on, write(0, 'disable-flag', on), write(1, 'disable-flag', off)),
    ).toBe(false);
  });

  test('max and min: the extreme', () => {
    expect(meet('max', 1, write(0, 'max', 8), write(1, 'max', 4))).toBe(8);
    expect(meet('min', 9, write(0, 'min', 8), write(1, 'min', 4))).toBe(4);
  });
});

test('a bounded counter never spends more than was granted, whatever is heard in whatever order', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ at: fc.nat(2), amount: fc.integer({ min: 1, max: 10 }), fact: fc.nat() }),
        { maxLength: 80 },
      ),
      (steps) => {
        const group = new Group();
        const address = addressOf('bounded-counter', ['budget']);
        for (const { at, amount, fact } of steps) {
          group.write(at, 'bounded-counter', ['budget'], amount);
          // One fact of the past reaches one replica, in no order at all, its parts on their own.
          const heard = group.facts[fact % Math.max(1, group.facts.length)];
          if (heard !== undefined) {
            group.states[(at + fact) % 3]?.join(fact % 2 === 0 ? heard : { ...heard, dead: [] });
          }
          const all = new ReplicaState();
          for (const one of group.facts) all.join(one);
          const { granted, spent, left } = readBounded(all.entries(address));
          expect(spent).toBeLessThanOrEqual(granted);
          expect(left).toBeGreaterThanOrEqual(0);
        }
      },
    ),
  );
});

test('a page of a bounded counter gives to 128 replicas at most, and always fits a message', () => {
  const state = new ReplicaState();
  const address = addressOf('bounded-counter', ['budget']);
  const at = { wallMs: 1, count: 0 };
  const name = (of: number): string => `${String(of).padStart(60, 'n')}:zzz.zzzzzz`;
  const giveTo = (of: number): boolean => {
    const change = give(state.entries(address), 'ann', name(of), 1);
    if (change !== undefined) state.write('ann', address, change, at);
    return change !== undefined;
  };
  state.write('ann', address, grant([], 'ann', 1_000), at);
  for (let of = 0; of < receiversMax; of += 1) expect(giveTo(of)).toBe(true);
  expect(giveTo(receiversMax)).toBe(false);
  expect(giveTo(7)).toBe(true);
  const [page] = state.entries(address);
  expect(page && weighValue(page.value)).toBeLessThan(messageBytesMax / 2);
  const { rights, left } = readBounded(state.entries(address));
  expect([rights.get(name(7)), rights.get('ann'), left]).toEqual([2, 1_000 - 129, 1_000]);
});

test('a million writes and removals leave a state of its starting size', () => {
  const state = new ReplicaState();
  const address = addressOf('register', ['switch']);
  const hits = addressOf('counter', ['hits']);
  const at = { wallMs: 1, count: 0 };
  state.write('ann', address, assign(true), at);
  state.write('ann', hits, increment([], 'ann', 1), at);
  const before = stateBytes(state).length;
  for (let cycle = 0; cycle < 500_000; cycle += 1) {
    state.write('ann', address, assign(cycle), at);
    state.write('ann', address, clear(), at);
  }
  for (let cycle = 0; cycle < 50_000; cycle += 1) {
    state.write('ann', hits, increment(state.entries(hits), 'ann', 1), at);
  }
  expect(state.context.intervalCount).toBe(1);
  expect(state.size).toBe(1);
  expect(stateBytes(state).length).toBeLessThan(2 * before);
  expect(state.read(hits)).toBe(50_001);
});

test('a context is the set of the dots that were added', () => {
  const dot = fc.tuple(fc.constantFrom(...names), fc.integer({ min: 1, max: 30 }));
  fc.assert(
    fc.property(
      fc.array(dot, { maxLength: 60 }),
      fc.array(dot, { maxLength: 60 }),
      (one, other) => {
        const build = (dots: readonly (readonly [string, number])[]): CausalContext => {
          const context = new CausalContext();
          for (const [replica, count] of dots) context.add(replica, count);
          return context;
        };
        const left = build(one);
        const right = build(other);
        const wanted = new Set([...one, ...other].map(String));
        expect(left.covers(right.entries())).toBe(
          other.every(([replica, count]) => left.has(replica, count)),
        );
        left.join(right.entries());
        for (const replica of names) {
          for (let count = 0; count <= 31; count += 1) {
            expect(left.has(replica, count)).toBe(wanted.has(String([replica, count])));
          }
        }
        expect(left.entries()).toEqual(build([...other, ...one].toReversed()).entries());
      },
    ),
  );
});
