/** The end of a request before its time: what an AbortSignal promises, as far as the gateway relies on it. */

import { expect, test } from 'vitest';

import { LlmFailure } from '../../gateway/failure.ts';
import { Halt } from '../../gateway/halt.ts';

const why = new LlmFailure('deadline', 'Too late.');

test('a call is heard once, by those who still listen', () => {
  const halt = new Halt();
  const heard: string[] = [];
  const gone = (): void => void heard.push('gone');
  halt.onCall(() => void heard.push('first'));
  halt.onCall(gone);
  halt.onCall(() => void heard.push('second'));
  halt.off(gone);
  halt.throwIfCalled();
  halt.call(why);
  halt.call(new LlmFailure('cancelled', 'Again.'));
  expect(heard).toEqual(['first', 'second']);
  expect(halt.reason).toBe(why);
  expect(halt.failureOf(new Error('anything'))).toBe(why);
  expect(() => halt.throwIfCalled()).toThrow(why);
});

test('a listener may take back another one, or itself, while it is called', () => {
  const halt = new Halt();
  let count = 0;
  const itself = (): void => {
    count += 1;
    halt.off(itself);
  };
  halt.onCall(itself);
  halt.onCall(() => void (count += 1));
  halt.call(why);
  expect(count).toBe(2);
});

test('it is a signal for those who know nothing else, before and after it was called', () => {
  const early = new Halt();
  const { signal } = early;
  expect(signal.aborted).toBe(false);
  early.call(why);
  expect([signal.aborted, signal.reason]).toEqual([true, why]);
  const late = new Halt();
  late.call(why);
  expect([late.signal.aborted, late.signal.reason]).toEqual([true, why]);
});

test('a signal calls it, with a reason of the gateway’s own words', () => {
  const controller = new AbortController();
  const halt = Halt.of(controller.signal);
  expect(halt.isCalled).toBe(false);
  controller.abort();
  expect(halt.reason).toMatchObject({ kind: 'cancelled' });
  expect(Halt.of(AbortSignal.abort(why)).reason).toBe(why);
});

test('a wait ends with its time, with a call, and at once after one', async () => {
  const halt = new Halt();
  await halt.wait(1);
  expect(halt.isCalled).toBe(false);
  const waiting = halt.wait(600_000);
  halt.call(why);
  await waiting;
  await halt.wait(600_000);
});
