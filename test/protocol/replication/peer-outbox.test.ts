import { expect, test } from 'vitest';
import { PeerOutbox } from '../../../src/protocol/replication/peer-outbox.ts';
import { ReplicaState } from '../../../src/protocol/replication/replica-state.ts';
import type { CellFact } from '../../../src/protocol/replication/replica-state.ts';
import { assign, addMember } from '../../../src/protocol/replication/writes.ts';
import type { CellChange } from '../../../src/protocol/replication/writes.ts';

const bytesMax = 24 * 1024;
const kibibytes = (count: number, fill: string): string => fill.repeat(count * 1024);

function writer(): {
  readonly state: ReplicaState;
  readonly outbox: PeerOutbox;
  write(address: string, change: CellChange): void;
} {
  const state = new ReplicaState();
  const outbox = new PeerOutbox();
  let wallMs = 0;
  return {
    state,
    outbox,
    write(address, change) {
      wallMs += 1;
      outbox.add(state.write('ann', address, change, { wallMs, count: 0 }));
    },
  };
}

/** Sends until nothing waits, and gives every message. */
function drain(outbox: PeerOutbox, state: ReplicaState): (readonly CellFact[])[] {
  const sent: (readonly CellFact[])[] = [];
  for (let at = 0; at < 20; at += 1) {
    const next = outbox.next(state, at, 100, bytesMax);
    if (next === undefined) return sent;
    sent.push(next.facts);
    outbox.acknowledged(next.seq);
  }
  throw new Error('it never ends');
}

test('what waits for one address and is larger than a message goes in several, each once', () => {
  const { state, outbox, write } = writer();
  for (const fill of ['a', 'b', 'c', 'd']) write('slarge', addMember(kibibytes(9, fill)));
  write('rsmall', assign(1));
  const sent = drain(outbox, state);
  expect(sent.map((facts) => facts.map(({ live }) => live.length))).toEqual([[2], [2, 1]]);
  expect(outbox.waitingCount).toBe(0);
  const other = new ReplicaState();
  for (const fact of sent.flat()) other.join(fact);
  expect(other.digest.root()).toEqual(state.digest.root());
});

test('a death comes with the last of what took the place of the dead, never before it', () => {
  const { state, outbox, write } = writer();
  const values = (fill: string): string[] => Array.from({ length: 3 }, () => kibibytes(11, fill));
  write('ydoc', { replaces: () => false, values: values('a') });
  drain(outbox, state);
  write('ydoc', { replaces: () => true, values: values('b') });
  const other = new ReplicaState();
  for (const facts of drain(outbox, state)) {
    expect(facts.every(({ live, dead }) => dead.length === 0 || live.length > 0)).toBe(true);
    for (const fact of facts) other.join(fact);
  }
  expect(other.digest.root()).toEqual(state.digest.root());
});

test('a part that is lost on the way is sent again', () => {
  const { state, outbox, write } = writer();
  for (const fill of ['a', 'b', 'c']) write('slarge', addMember(kibibytes(9, fill)));
  expect(outbox.next(state, 0, 100, bytesMax)?.facts).toHaveLength(1);
  outbox.lost();
  const other = new ReplicaState();
  for (const fact of drain(outbox, state).flat()) other.join(fact);
  expect(other.digest.root()).toEqual(state.digest.root());
});
