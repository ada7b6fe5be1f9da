/** What calls promise on every mesh port; run on real nodes and on the memory twin. */

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MycelError } from '../../src/kernel/errors.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import type { Calls } from '../../src/ports/calls.ts';
import { utf8 } from '../../src/wire/bytes.ts';

/** Two members that call each other. */
export interface CallsPlace {
  readonly ann: { readonly id: NodeId; readonly calls: Calls };
  readonly bob: { readonly id: NodeId; readonly calls: Calls };
  /** Bob says goodbye and stops. */
  leave(): Promise<void>;
  dispose(): Promise<void>;
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const deadlineMs = 20_000;

/** Runs the contract. */
export function callsContract(kind: string, makePlace: () => Promise<CallsPlace>): void {
  describe(`calls on a ${kind} mesh`, () => {
    let place: CallsPlace;
    beforeEach(async () => {
      place = await makePlace();
    });
    afterEach(() => place.dispose());

    test('are answered by the member they are for, which knows who asks', async () => {
      const { ann, bob } = place;
      bob.calls.serve('greet', async (body, { from }) => utf8(`hello ${text(body)} at ${from}`));
      const answer = await ann.calls.call(bob.id, 'greet', utf8('ann'), { deadlineMs });
      expect(text(answer)).toBe(`hello ann at ${ann.id}`);
    });

    test('reach the own node too', async () => {
      const { ann } = place;
      ann.calls.serve('greet', async (body) => utf8(`hello ${text(body)}`));
      const answer = await ann.calls.call(ann.id, 'greet', utf8('me'), { deadlineMs });
      expect(text(answer)).toBe('hello me');
    });

    test('run side by side, each with its own answer', async () => {
      const { ann, bob } = place;
      bob.calls.serve('double', async (body) => utf8(String(Number(text(body)) * 2)));
      const answers = await Promise.all(
        Array.from({ length: 500 }, (_, at) =>
          ann.calls.call(bob.id, 'double', utf8(String(at)), { deadlineMs }),
        ),
      );
      expect(answers.map((one) => Number(text(one)))).toEqual(answers.map((_, at) => at * 2));
    });

    test('carry bodies far larger than a parcel, both ways, and refuse what is too large', async () => {
      const { ann, bob } = place;
      bob.calls.serve('echo', async (body) => body);
      const body = Uint8Array.from({ length: 3_000_000 }, (_, at) => (at * 7919) >>> 3);
      const answer = await ann.calls.call(bob.id, 'echo', body, { deadlineMs });
      expect(Buffer.compare(answer, body)).toBe(0);
      const large = new Uint8Array(8 * 1024 * 1024 + 1);
      await expect(ann.calls.call(bob.id, 'echo', large, { deadlineMs })).rejects.toMatchObject({
        code: 'MYCEL_TOO_LARGE',
      });
    });

    test('fail as the handler failed, code and details included', async () => {
      const { ann, bob } = place;
      bob.calls.serve('refuse', async () => {
        throw new MycelError('MYCEL_BAD_OPTION', {
          reason: 'Seven is not prime enough.',
          limit: 7,
        });
      });
      bob.calls.serve('stumble', () => {
        throw new TypeError('x is undefined');
      });
      const refused = ann.calls.call(bob.id, 'refuse', utf8(''), { deadlineMs });
      await expect(refused).rejects.toMatchObject({
        code: 'MYCEL_BAD_OPTION',
        details: { limit: 7 },
      });
      const stumbled = ann.calls.call(bob.id, 'stumble', utf8(''), { deadlineMs });
      await expect(stumbled).rejects.toMatchObject({
        code: 'MYCEL_HANDLER_FAILED',
        details: { reason: 'x is undefined' },
      });
      const unknown = ann.calls.call(bob.id, 'nothing', utf8(''), { deadlineMs });
      await expect(unknown).rejects.toMatchObject({ code: 'MYCEL_UNKNOWN_METHOD' });
    });

    test('with the same key are one request: a repeat joins it or gets its kept answer', async () => {
      const { ann, bob } = place;
      let runs = 0;
      let go = (): void => {};
      const gate = new Promise<void>((resolve) => {
        go = resolve;
      });
      bob.calls.serve('once', async () => {
        runs += 1;
        await gate;
        return utf8(`run ${runs}`);
      });
      const first = ann.calls.call(bob.id, 'once', utf8(''), { deadlineMs, key: 'k' });
      await vi.waitFor(() => expect(runs).toBe(1), { timeout: 10_000 });
      const second = ann.calls.call(bob.id, 'once', utf8(''), { deadlineMs, key: 'k' });
      go();
      expect([text(await first), text(await second)]).toEqual(['run 1', 'run 1']);
      const third = await ann.calls.call(bob.id, 'once', utf8(''), { deadlineMs, key: 'k' });
      expect(text(third)).toBe('run 1');
      const other = await ann.calls.call(bob.id, 'once', utf8(''), { deadlineMs, key: 'other' });
      expect(text(other)).toBe('run 2');
    });

    test('end at their deadline, and the handler hears of it', async () => {
      const { ann, bob } = place;
      let wasAborted = false;
      let leftMs = 0;
      bob.calls.serve('never', (_, context) => {
        leftMs = context.deadlineMs;
        const { signal } = context;
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            wasAborted = true;
            reject(signal.reason as Error);
          });
        });
      });
      const call = ann.calls.call(bob.id, 'never', utf8(''), { deadlineMs: 300 });
      await expect(call).rejects.toMatchObject({ code: 'MYCEL_DEADLINE' });
      await vi.waitFor(() => expect(wasAborted).toBe(true), { timeout: 10_000 });
      expect(leftMs).toBeGreaterThan(0);
      expect(leftMs).toBeLessThanOrEqual(300);
    });

    test('can be cancelled, here and there', async () => {
      const { ann, bob } = place;
      let state = 'not begun';
      bob.calls.serve('wait', (_, { signal }) => {
        state = 'running';
        return new Promise(() => {
          signal.addEventListener('abort', () => {
            state = 'aborted';
          });
        });
      });
      const controller = new AbortController();
      const { signal } = controller;
      const call = ann.calls.call(bob.id, 'wait', utf8(''), { deadlineMs, signal });
      await vi.waitFor(() => expect(state).toBe('running'), { timeout: 10_000 });
      controller.abort(new Error('no need'));
      await expect(call).rejects.toThrow('no need');
      await vi.waitFor(() => expect(state).toBe('aborted'), { timeout: 10_000 });
    });

    test('stream their answers in order, as large as each may be, and end or fail where the handler does', async () => {
      const { ann, bob } = place;
      bob.calls.serveStream('count', async function* (body) {
        const count = Number(text(body));
        for (let at = 0; at < count; at += 1) yield utf8(String(at));
        yield new Uint8Array(100_000);
        if (count === 7) throw new MycelError('MYCEL_BAD_OPTION', { reason: 'Seven.' });
      });
      const sizes: number[] = [];
      for await (const item of ann.calls.stream(bob.id, 'count', utf8('1000'), { deadlineMs })) {
        if (item.length < 10) expect(text(item)).toBe(String(sizes.length));
        sizes.push(item.length);
      }
      expect(sizes).toHaveLength(1_001);
      expect(sizes.at(-1)).toBe(100_000);
      const got: Uint8Array[] = [];
      const failing = async (): Promise<void> => {
        const stream = ann.calls.stream(bob.id, 'count', utf8('7'), { deadlineMs });
        for await (const item of stream) got.push(item);
      };
      await expect(failing()).rejects.toMatchObject({ code: 'MYCEL_BAD_OPTION' });
      expect(got).toHaveLength(8);
    });

    test('hold the handler of a stream back while nobody reads, and stop it when the reader goes', async () => {
      const { ann, bob } = place;
      let made = 0;
      let isOver = false;
      bob.calls.serveStream('endless', async function* () {
        try {
          for (;;) {
            made += 1;
            yield new Uint8Array(10_000);
          }
        } finally {
          isOver = true;
        }
      });
      for await (const item of ann.calls.stream(bob.id, 'endless', utf8(''), { deadlineMs })) {
        expect(item).toHaveLength(10_000);
        break;
      }
      await vi.waitFor(() => expect(isOver).toBe(true), { timeout: 10_000 });
      expect(made).toBeLessThan(200);
    });

    test('fail when the member leaves, and cannot be made to a member that is not there', async () => {
      const { ann, bob } = place;
      let isRunning = false;
      bob.calls.serve('wait', () => {
        isRunning = true;
        return new Promise(() => {});
      });
      const call = ann.calls.call(bob.id, 'wait', utf8(''), { deadlineMs });
      const failed = expect(call).rejects.toMatchObject({ code: 'MYCEL_UNREACHABLE' });
      await vi.waitFor(() => expect(isRunning).toBe(true), { timeout: 10_000 });
      await place.leave();
      await failed;
      await expect(ann.calls.call(bob.id, 'wait', utf8(''), { deadlineMs })).rejects.toMatchObject({
        code: 'MYCEL_UNREACHABLE',
      });
    });

    test('have one handler a method', async () => {
      const { ann, bob } = place;
      const stop = bob.calls.serve('one', async () => utf8('first'));
      expect(() => bob.calls.serveStream('one', async function* () {})).toThrow(RangeError);
      stop();
      stop();
      bob.calls.serve('one', async () => utf8('second'));
      const answer = await ann.calls.call(bob.id, 'one', utf8(''), { deadlineMs });
      expect(text(answer)).toBe('second');
    });
  });
}
