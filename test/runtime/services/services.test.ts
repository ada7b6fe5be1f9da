/** Services on a mesh: typed calls, choosing, protection, contexts, and every wrong call with the nearest right one. */

import * as z from 'zod/mini';
import { expect, expectTypeOf, test } from 'vitest';
import { action, defineService, streamAction } from '../../../src/agent/service.ts';
import { MycelError } from '../../../src/kernel/errors.ts';
import { currentContext } from '../../../src/runtime/services/context.ts';
import { schemaHash } from '../../../src/runtime/services/schema.ts';
import { until } from '../loopback.ts';
import { createStage } from './stage.ts';
import type { Seat, Stage } from './stage.ts';

const answer = z.object({ celsius: z.number(), by: z.string() });
/** A thermometer that says who answered. */
const thermometer = (by: string, run: () => void = () => {}) =>
  defineService({
    name: 'thermo',
    version: '1.2.0',
    labels: { category: 'sensor' },
    actions: {
      read: action({ input: z.object({ room: z.string() }), output: answer }, () => {
        run();
        return { celsius: 21, by };
      }),
      watch: streamAction(
        { input: z.object({ count: z.number() }), output: z.number() },
        async function* ({ count }) {
          for (let at = 0; at < count; at += 1) yield at;
        },
      ),
    },
  });

const code = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => value,
    (error: unknown) => (MycelError.is(error) ? error.code : error),
  );

async function known(stage: Stage, seat: Seat, count: number): Promise<void> {
  await until(() => seat.services().length === count);
  expect(stage.seats.length).toBeGreaterThan(0);
}

test('a client has the types of the definition, and the answer comes from the other node', async () => {
  const stage = await createStage(2);
  const [ann, bob] = stage.seats as [Seat, Seat];
  bob.service(thermometer('bob'));
  await known(stage, ann, 1);
  const client = ann.client(thermometer(''));
  const read = await client.read({ room: 'kitchen' });
  expectTypeOf(read).toEqualTypeOf<{ celsius: number; by: string }>();
  expectTypeOf(client.read).parameter(0).toEqualTypeOf<{ room: string }>();
  expect(read).toEqual({ celsius: 21, by: 'bob' });
  const seen: number[] = [];
  for await (const item of client.watch({ count: 1_000 })) {
    seen.push(item);
    if (seen.length === 600) break;
  }
  expect(seen).toHaveLength(600);
  expect(ann.services()).toMatchObject([{ service: 'thermo', version: '1.2.0', node: bob.id }]);
});

test('what is misspelt or of the wrong type is refused with the nearest right thing', async () => {
  const stage = await createStage(2);
  const [ann, bob] = stage.seats as [Seat, Seat];
  bob.service(thermometer('bob'));
  await known(stage, ann, 1);
  const failure = (name: string, input?: unknown, options = {}) =>
    ann.call(name, input, options).catch((error: unknown) => error as MycelError);
  expect(await failure('thermi.read')).toMatchObject({
    code: 'MYCEL_UNKNOWN_SERVICE',
    details: { nearest: 'thermo' },
  });
  expect(await failure('thermo.raed')).toMatchObject({
    code: 'MYCEL_UNKNOWN_ACTION',
    details: { nearest: 'read' },
  });
  expect(await failure('thermo.read', { room: 7 })).toMatchObject({
    code: 'MYCEL_BAD_INPUT',
    message: expect.stringContaining("thermo.read: 'room' must be string"),
  });
  expect(await failure('read')).toMatchObject({ code: 'MYCEL_BAD_OPTION' });
  expect(await failure('thermo.read', {}, { select: 'a,,b' })).toMatchObject({
    code: 'MYCEL_BAD_OPTION',
  });
  expect(await failure('thermo.read', {}, { version: '2' })).toMatchObject({
    code: 'MYCEL_UNKNOWN_SERVICE',
    message: expect.stringContaining('1.2.0'),
  });
});

test('selectors and versions choose the instance, balancing spreads the calls', async () => {
  const stage = await createStage(3, [{}, { location: 'lab/1' }, { location: 'roof' }]);
  const [ann, bob, cyd] = stage.seats as [Seat, Seat, Seat];
  for (const [seat, by] of [
    [bob, 'bob'],
    [cyd, 'cyd'],
  ] as const) {
    seat.service(thermometer(by));
  }
  await known(stage, ann, 2);
  const by = async (options: object): Promise<string> =>
    ((await ann.call('thermo.read', { room: '' }, options)) as { by: string }).by;
  expect(await by({ select: 'location:lab/*' })).toBe('bob');
  expect(await by({ select: 'category:sensor, !location:lab/*' })).toBe('cyd');
  expect(await by({ node: cyd.id })).toBe('cyd');
  const turns = [await by({ balance: 'round-robin' }), await by({ balance: 'round-robin' })];
  expect(turns.toSorted()).toEqual(['bob', 'cyd']);
  const homes = new Set<string>();
  for (let at = 0; at < 10; at += 1) {
    homes.add(await by({ balance: 'consistent-hash', hashKey: 'k' }));
  }
  expect(homes.size).toBe(1);
  const gathered = await ann.callAll('thermo.read', { room: '' });
  expect(gathered.map((one) => one.isOk)).toEqual([true, true]);
});

test('$SRV answers on every node', async () => {
  const stage = await createStage(3);
  const [ann, bob] = stage.seats as [Seat, Seat];
  bob.service(thermometer('bob'));
  await known(stage, ann, 1);
  await ann.call('thermo.read', { room: '' });
  const pings = await ann.callAll('$SRV.ping');
  expect(pings.filter(({ isOk }) => isOk)).toHaveLength(3);
  expect(await ann.call('$SRV.stats', {}, { node: bob.id })).toMatchObject([
    { service: 'thermo', calls: 1, errors: 0 },
  ]);
  expect(await ann.call('$SRV.info', {}, { node: bob.id })).toMatchObject([
    { schemas: { read: { input: { type: 'object' } } } },
  ]);
});

test('deadline, trace and user fields go along through nested calls over nodes', async () => {
  const stage = await createStage(3);
  const [ann, bob, cyd] = stage.seats as [Seat, Seat, Seat];
  const seen: unknown[] = [];
  const text = { input: z.string(), output: z.string() };
  cyd.service({
    name: 'inner',
    version: '1.0.0',
    actions: {
      go: action(text, (input, context) => {
        seen.push(context);
        return `${input} ${context.user['person'] ?? ''} ${context.depth} ${context.deadlineMs <= 400}`;
      }),
    },
  });
  bob.service({
    name: 'outer',
    version: '1.0.0',
    actions: {
      go: action(text, async (input, { trace }) => {
        expect(currentContext()?.trace).toBe(trace);
        return (await bob.call('inner.go', input, { timeoutMs: 60_000 })) as string;
      }),
      circle: action(text, async (input) => (await bob.call('outer.circle', input)) as string),
    },
  });
  await known(stage, ann, 2);
  await known(stage, bob, 2);
  const options = { timeoutMs: 400, user: { person: 'ida' }, correlation: 'order 7' };
  expect(await ann.call('outer.go', 'x', options)).toBe('x ida 2 true');
  expect(seen).toMatchObject([{ correlation: 'order 7', from: bob.id }]);
  expect(await code(ann.call('outer.circle', 'x'))).toBe('MYCEL_CALL_LOOP');
});

test('a deadline ends a call, local or far, and aborts the handler', async () => {
  const stage = await createStage(2);
  const [ann, bob] = stage.seats as [Seat, Seat];
  let aborted = 0;
  bob.service({
    name: 'slow',
    version: '1.0.0',
    actions: {
      go: action({ input: z.unknown(), output: z.string() }, (_, { signal }) => {
        return new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            aborted += 1;
            resolve('late');
          });
        });
      }),
    },
  });
  await known(stage, ann, 1);
  expect(await code(ann.call('slow.go', 1, { timeoutMs: 50 }))).toBe('MYCEL_DEADLINE');
  expect(await code(bob.call('slow.go', 1, { timeoutMs: 50 }))).toBe('MYCEL_DEADLINE');
  const controller = new AbortController();
  const cancelled = ann.call('slow.go', 1, { signal: controller.signal });
  controller.abort(new Error('no more'));
  await expect(cancelled).rejects.toThrow('no more');
  await until(() => aborted >= 2);
});

test('a full instance is passed over, a failing one is left alone, and then the fallback answers', async () => {
  const stage = await createStage(3);
  const [ann, bob, cyd] = stage.seats as [Seat, Seat, Seat];
  let tries = 0;
  const failing = (idempotent: boolean) => ({
    name: 'frail',
    version: '1.0.0',
    actions: {
      go: action({ input: z.unknown(), output: z.string(), idempotent }, () => {
        tries += 1;
        throw new Error('broken');
      }),
    },
  });
  bob.service(failing(true));
  cyd.service({
    ...failing(true),
    actions: {
      go: action({ input: z.unknown(), output: z.string(), idempotent: true }, () => 'well'),
    },
  });
  await known(stage, ann, 2);
  const go = (options = {}) =>
    ann.call('frail.go', 1, { balance: 'round-robin', retries: 1, ...options });
  for (let at = 0; at < 12; at += 1) expect(await go()).toBe('well');
  // Every other call began at the failing instance, until its breaker opened.
  expect(tries).toBe(5);
  const only = { node: bob.id };
  expect(await code(go(only))).toBe('MYCEL_SERVICE_BUSY');
  expect(await go({ ...only, fallback: () => 'instead' })).toBe('instead');
  expect(await code(ann.call('frail.go', 1, { ...only, retries: 0 }))).toBe('MYCEL_SERVICE_BUSY');
});

test('what is not idempotent is not made again elsewhere when it failed', async () => {
  const stage = await createStage(3);
  const [ann, ...others] = stage.seats as [Seat, Seat, Seat];
  let runs = 0;
  for (const seat of others) {
    seat.service({
      name: 'once',
      version: '1.0.0',
      actions: {
        go: action({ input: z.unknown(), output: z.string() }, () => {
          runs += 1;
          throw new MycelError('MYCEL_TIMEOUT');
        }),
      },
    });
  }
  await known(stage, ann, 2);
  expect(await code(ann.call('once.go', 1))).toBe('MYCEL_TIMEOUT');
  expect(runs).toBe(1);
});

test('a bulkhead holds the rest back, a rate turns away, a wrong answer is the fault of the service', async () => {
  const stage = await createStage(2);
  const [ann, bob] = stage.seats as [Seat, Seat];
  let [running, most] = [0, 0];
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  bob.service({
    name: 'narrow',
    version: '1.0.0',
    concurrency: 2,
    actions: {
      go: action({ input: z.unknown(), output: z.number() }, async () => {
        running += 1;
        most = Math.max(most, running);
        await gate;
        running -= 1;
        return 1;
      }),
    },
  });
  bob.service({
    name: 'paced',
    version: '1.0.0',
    ratePerSecond: 3,
    actions: {
      go: action({ input: z.unknown(), output: z.number() }, () => 1),
      lie: action({ input: z.unknown(), output: z.number() }, () => 'one' as unknown as number),
    },
  });
  await known(stage, ann, 2);
  const many = Promise.all(Array.from({ length: 8 }, () => ann.call('narrow.go', 1)));
  await until(() => running === 2);
  release();
  expect(await many).toHaveLength(8);
  expect(most).toBe(2);
  expect(await code(ann.call('paced.lie', 1))).toBe('MYCEL_BAD_OUTPUT');
  const codes = await Promise.all(Array.from({ length: 6 }, () => code(bob.call('paced.go', 1))));
  expect(codes.filter((one) => one === 1)).toHaveLength(3);
  expect(codes).toContain('MYCEL_SERVICE_BUSY');
});

test('a service that is withdrawn, and one whose node goes, are offered no more', async () => {
  const stage = await createStage(3);
  const [ann, bob, cyd] = stage.seats as [Seat, Seat, Seat];
  const withdraw = bob.service(thermometer('bob'));
  cyd.service(thermometer('cyd'));
  await known(stage, ann, 2);
  withdraw();
  await known(stage, ann, 1);
  stage.mesh.leave(cyd.id, 'dead');
  await known(stage, ann, 0);
  expect(await code(ann.call('thermo.read', { room: '' }))).toBe('MYCEL_UNKNOWN_SERVICE');
});

test('a definition that cannot be offered is refused whole', async () => {
  const stage = await createStage(1);
  const [ann] = stage.seats as [Seat];
  const good = thermometer('ann');
  for (const bad of [
    { ...good, name: '9 lives' },
    { ...good, name: '$SRV' },
    { ...good, version: 'v1' },
    { ...good, actions: {} },
  ]) {
    expect(() => ann.service(bad)).toThrow(/MYCEL_BAD_OPTION/);
  }
  const labels = Object.fromEntries(
    Array.from({ length: 400 }, (_, at) => [`label${at}`, 'x'.repeat(100)]),
  );
  expect(() => ann.service({ ...good, labels })).toThrow(/MYCEL_TOO_LARGE/);
  ann.service(good);
  expect(() => ann.service(good)).toThrow(/already/);
  expect(ann.services()).toHaveLength(1);
});

test('a hash says whether two versions of an action have the same shape', () => {
  const one = schemaHash(z.object({ a: z.number(), b: z.string() }), z.string());
  expect(schemaHash(z.object({ b: z.string(), a: z.number() }), z.string())).toBe(one);
  expect(schemaHash(z.object({ a: z.number() }), z.string())).not.toBe(one);
  expect(one).toMatch(/^[0-9a-f]{8}$/);
});
