/** The checker that every history of keys and locks goes through: hand-made histories, and agreement with brute force. */

import { expect, test } from 'vitest';
import { createRandom } from '../../src/kernel/random.ts';
import type { Random } from '../../src/kernel/random.ts';
import { isLinearizable, registerModel } from './linearizability.ts';
import type { HistoryEvent, RegisterOp, SequentialModel } from './linearizability.ts';

/** What is asked of a register, and, in a return, what was answered. */
type Value =
  | { readonly do: 'read'; readonly is?: number }
  | { readonly do: 'write'; readonly is: number }
  | { readonly do: 'cas'; readonly from: number; readonly is: number; readonly isDone?: boolean }
  /** Nobody heard what came of it. */
  | { readonly do: 'unknown' };

const register: SequentialModel<number, Value> = {
  initial: 0,
  step(state, call, result) {
    if (call.do === 'read') {
      return result.do === 'unknown' || (result.do === 'read' && result.is === state)
        ? { state }
        : undefined;
    }
    if (call.do === 'write') return { state: call.is };
    if (call.do !== 'cas') return undefined;
    const isDone = state === call.from;
    const isAsTold = result.do === 'unknown' || (result.do === 'cas' && result.isDone === isDone);
    return isAsTold ? { state: isDone ? call.is : state } : undefined;
  },
  keyOf: String,
};

/** Writes a history as text: `1:w5 1:ok 2:r 2:=5`; `?` is an answer that nobody heard. */
function parse(text: string): HistoryEvent<Value>[] {
  const calls = new Map<string, { id: number; call: Value }>();
  let next = 0;
  const events: HistoryEvent<Value>[] = [];
  const late: HistoryEvent<Value>[] = [];
  for (const word of text.split(' ')) {
    const [who = '', what = ''] = word.split(':');
    const open = calls.get(who);
    if (open === undefined) {
      const [first = '', second = ''] = what.slice(1).split('>');
      const call: Value = what.startsWith('w')
        ? { do: 'write', is: Number(first) }
        : what.startsWith('c')
          ? { do: 'cas', from: Number(first), is: Number(second) }
          : { do: 'read' };
      calls.set(who, { id: next, call });
      events.push({ kind: 'call', id: next, value: call });
      next += 1;
      continue;
    }
    calls.delete(who);
    const { id, call } = open;
    if (what === '?') {
      late.push({ kind: 'return', id, value: { do: 'unknown' } });
      continue;
    }
    const value: Value =
      call.do === 'cas'
        ? { ...call, isDone: what === 'done' }
        : call.do === 'read'
          ? { do: 'read', is: Number(what.slice(1)) }
          : call;
    events.push({ kind: 'return', id, value });
  }
  return [...events, ...late];
}

test.each([
  ['nothing happened', '1:r 1:=0', true],
  ['a read of what was written', '1:w5 1:ok 2:r 2:=5', true],
  ['a stale read', '1:w5 1:ok 2:r 2:=0', false],
  ['a read beside a write may see either', '1:w5 2:r 2:=0 3:r 3:=5 1:ok', true],
  ['but not first the new and then the old', '1:w5 2:r 2:=5 3:r 3:=0 1:ok', false],
  ['a value that nobody wrote', '1:w5 1:ok 2:r 2:=6', false],
  ['an answer that was lost may have come true', '1:w5 1:? 2:r 2:=5', true],
  ['or not', '1:w5 1:? 2:r 2:=0 3:r 3:=0', true],
  ['or late', '1:w5 1:? 2:r 2:=0 3:r 3:=5', true],
  ['but not twice', '1:w5 1:? 2:r 2:=5 3:w7 3:ok 4:r 4:=5', false],
  ['of two that compare and set one wins', '1:c0>1 2:c0>2 1:done 2:no 3:r 3:=1', true],
  ['not both', '1:c0>1 2:c0>2 1:done 2:done', false],
  ['a set that failed although it fitted', '1:c0>1 1:no', false],
  [
    'two writers, readers that disagree about the order',
    '1:w1 2:w2 1:ok 2:ok 3:r 3:=1 4:r 4:=2',
    false,
  ],
] as const)('%s', (_, text, verdict) => {
  expect(isLinearizable(parse(text), register)).toBe(verdict);
});

/** Tries every order that respects real time. */
function bruteForce(events: readonly HistoryEvent<Value>[]): boolean {
  const calls = events.filter(({ kind }) => kind === 'call');
  const placeOf = (kind: string, id: number): number =>
    events.findIndex((event) => event.kind === kind && event.id === id);
  const resultOf = new Map(
    events.flatMap(({ kind, id, value }) => (kind === 'return' ? [[id, value] as const] : [])),
  );
  const isBefore = (left: number, right: number): boolean =>
    placeOf('return', left) < placeOf('call', right);
  const search = (left: readonly HistoryEvent<Value>[], state: number): boolean =>
    left.length === 0 ||
    left.some(({ id, value }) => {
      if (left.some((other) => other.id !== id && isBefore(other.id, id))) return false;
      const after = register.step(state, value, resultOf.get(id) as Value);
      return (
        after !== undefined &&
        search(
          left.filter((one) => one.id !== id),
          after.state,
        )
      );
    });
  return search(calls, register.initial);
}

test('in 3 000 histories drawn at random it says what trying every order says', () => {
  const random = createRandom(11);
  const verdicts = { yes: 0, no: 0 };
  for (let history = 0; history < 3_000; history += 1) {
    const words: string[] = [];
    const open: { who: number; what: string }[] = [];
    let calls = 0;
    while (calls < 6 || open.length > 0) {
      if (calls < 6 && (open.length === 0 || random.below(2) === 0)) {
        const what = ['r', `w${1 + random.below(2)}`, `c${random.below(3)}>${random.below(3)}`][
          random.below(3)
        ] as string;
        open.push({ who: calls, what });
        words.push(`${calls}:${what}`);
        calls += 1;
        continue;
      }
      const [done] = open.splice(random.below(open.length), 1);
      if (done === undefined) continue;
      const isLost = random.below(8) === 0;
      const answers = done.what === 'r' ? [`=${random.below(3)}`] : ['done', 'no'];
      words.push(`${done.who}:${isLost ? '?' : answers[random.below(answers.length)]}`);
    }
    const events = parse(words.join(' '));
    const verdict = isLinearizable(events, register);
    expect(verdict, words.join(' ')).toBe(bruteForce(events));
    verdicts[verdict ? 'yes' : 'no'] += 1;
  }
  // Both kinds were there in numbers.
  expect(Math.min(verdicts.yes, verdicts.no)).toBeGreaterThan(300);
});

interface Done {
  readonly call: RegisterOp;
  readonly result: RegisterOp;
  readonly calledAt: number;
  readonly returnedAt: number;
}

/** Five clients of one register that does each operation at one instant; of some nobody hears what came of them. */
function play(random: Random): Done[] {
  const done: Done[] = [];
  const clients = Array.from({ length: 5 }, () => 0);
  let value = '';
  let now = 0;
  for (let written = 0; done.length < 85;) {
    const who = random.below(clients.length);
    // The register does one thing after the other: the effect of this operation is now.
    now += 1 + random.below(10);
    const calledAt = Math.max(clients[who] as number, now - random.below(40));
    if (calledAt >= now) continue;
    const call = ((): RegisterOp => {
      const kind = random.below(3);
      if (kind === 0) return { op: 'get' };
      written += 1;
      if (kind === 1) return { op: 'put', value: String(written) };
      const from = random.below(2) === 0 ? value : String(1 + random.below(written));
      return { op: 'cas', from, to: String(written) };
    })();
    const isLost = call.op !== 'get' && random.below(10) === 0;
    const isDone = !isLost || random.below(2) === 0;
    const answer = ((): RegisterOp => {
      if (call.op === 'get') return { op: 'value', value };
      if (call.op === 'cas' && call.from !== value) return { op: 'conflict' };
      if (isDone) value = call.op === 'put' ? call.value : call.op === 'cas' ? call.to : value;
      return { op: 'ok' };
    })();
    const returnedAt = now + 0.5 + random.below(40);
    clients[who] = returnedAt;
    done.push({ call, result: isLost ? { op: 'unknown' } : answer, calledAt, returnedAt });
  }
  return done;
}

/** Has one read return what had been overwritten for certain before it was asked; undefined when there is no such read. */
function stale(done: readonly Done[], random: Random): Done[] | undefined {
  const puts = done.filter(({ call, result }) => call.op === 'put' && result.op === 'ok');
  const choices = done.flatMap((read, at) => {
    const over = puts.filter(({ returnedAt }) => returnedAt < read.calledAt);
    const old = puts.find((put) => over.some((next) => put.returnedAt < next.calledAt));
    return read.call.op === 'get' && old?.call.op === 'put' ? [{ at, value: old.call.value }] : [];
  });
  const chosen = choices[random.below(Math.max(1, choices.length))];
  if (chosen === undefined) return undefined;
  const result: RegisterOp = { op: 'value', value: chosen.value };
  return done.map((one, at) => (at === chosen.at ? { ...one, result } : one));
}

function eventsOf(done: readonly Done[]): HistoryEvent<RegisterOp>[] {
  const events = done.flatMap(({ call, result, calledAt, returnedAt }, id) => [
    { at: calledAt, event: { kind: 'call', id, value: call } as const },
    {
      at: result.op === 'unknown' ? Infinity : returnedAt,
      event: { kind: 'return', id, value: result } as const,
    },
  ]);
  return events.sort((left, right) => left.at - right.at).map(({ event }) => event);
}

/** Of the shape of the logs that Jepsen wrote of etcd; those themselves: test/sim/jepsen.ts. */
test('V-L1: 102 histories of five clients, of which half have one stale read, are told apart', () => {
  const random = createRandom(102);
  const verdicts = { fine: 0, stale: 0 };
  while (verdicts.fine + verdicts.stale < 102) {
    const done = play(random);
    const wrong = verdicts.stale < verdicts.fine ? stale(done, random) : undefined;
    expect(isLinearizable(eventsOf(wrong ?? done), registerModel)).toBe(wrong === undefined);
    verdicts[wrong === undefined ? 'fine' : 'stale'] += 1;
  }
  expect(verdicts.stale).toBeGreaterThan(45);
});
