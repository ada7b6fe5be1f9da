import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { createMemoryClock } from '../../src/adapters/memory/clock.ts';
import { createMemoryLog } from '../../src/adapters/memory/log.ts';
import { openJournal } from '../../src/adapters/disk/journal.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { OpenJournal } from '../../src/ports/journal.ts';
import { SimFiles } from '../adapters/disk/sim-files.ts';
import { simNodeId } from '../sim/routing-mesh.ts';
import { addressOf } from '../../src/protocol/replication/cell.ts';
import { clear } from '../../src/protocol/replication/writes.ts';
import { counterPagesMax } from '../../src/runtime/state/state-cells.ts';
import { encodeStateMessage } from '../../src/wire/state-codec.ts';
import { createTable } from './state-world.ts';
import type { Disk } from './state-world.ts';

const pair = async () => {
  const table = createTable();
  const ann = await table.sit(1);
  const bob = await table.sit(2);
  return { table, ann, bob };
};

describe('handles', () => {
  test('of every type tell the other node what was written', async () => {
    const { table, ann, bob } = await pair();
    await ann.state.register('mode').set({ fan: 'on', level: [1, 2] });
    await ann.state.multi('owner').set('ann');
    await ann.state.set('tags').add('kitchen');
    await ann.state.set('tags').add('warm');
    await ann.state.set('tags').remove('warm');
    await ann.state.counter('hits').increment(4);
    await bob.state.counter('hits').decrement();
    await ann.state.boundedCounter('budget').grant(10);
    await ann.state.flag('alarm').enable();
    await ann.state.flag('kill', { wins: 'disable' }).disable();
    await ann.state.max('peak').offer(30);
    await ann.state.min('low').offer(3);
    const room = ann.state.map<number>('room');
    await room.set('heat', 21);
    await room.map('lamp').set('brightness', 80);
    await table.settle();
    expect(bob.state.register('mode').get()).toEqual({ fan: 'on', level: [1, 2] });
    expect(bob.state.multi('owner').get()).toEqual(['ann']);
    expect(bob.state.set('tags').values()).toEqual(['kitchen']);
    expect(bob.state.counter('hits').value()).toBe(3);
    expect(bob.state.boundedCounter('budget').left()).toBe(10);
    expect(bob.state.flag('alarm').isOn()).toBe(true);
    expect(bob.state.flag('kill', { wins: 'disable' }).isOn()).toBe(false);
    expect(bob.state.max('peak').value()).toBe(30);
    expect(await bob.state.max('peak').offer(29)).toBe(false);
    expect(bob.state.min('low').value()).toBe(3);
    expect(bob.state.map('room').entries()).toEqual([['heat', 21]]);
    expect(bob.state.map('room').map('lamp').get('brightness')).toBe(80);
    expect(bob.state.list('room').map(({ key }) => key)).toEqual([
      'room/heat',
      'room/lamp/brightness',
    ]);
    await bob.state.map('room').delete('lamp');
    await table.settle();
    expect(ann.state.list('room').map(({ key }) => key)).toEqual(['room/heat']);
    expect(ann.state.fingerprint()).toBe(bob.state.fingerprint());
  });

  test('watch a key, a prefix and what a function picks, and stop', async () => {
    const { table, ann, bob } = await pair();
    const seen: string[] = [];
    const stops = [
      bob.state.watch({ key: 'a/b' }, ({ key }) => seen.push(`key ${key}`)),
      bob.state.watch('a/', ({ key, value }) =>
        seen.push(`prefix ${key}=${JSON.stringify(value)}`),
      ),
      bob.state.watch(
        ({ type }) => type === 'counter',
        ({ key }) => seen.push(`counter ${key}`),
      ),
    ];
    const iterator = bob.state.watch('a/');
    const first = iterator.next();
    await ann.state.register('a/b').set(1);
    await ann.state.register('b').set(2);
    await ann.state.counter('c').increment();
    await table.settle(200);
    expect(seen.sort()).toEqual(['counter c', 'key a/b', 'prefix a/b=1']);
    expect((await first).value).toMatchObject({ key: 'a/b', value: 1 });
    await iterator.return?.();
    for (const stop of stops) stop();
    await ann.state.register('a/b').set(3);
    await table.settle(200);
    expect(seen).toHaveLength(3);
  });
});

describe('bad input', () => {
  test('a value that its schema refuses changes nothing, and the message names the key and the place', async () => {
    const { ann } = await pair();
    const schema = z.object({ level: z.number().check(z.lte(100)) });
    const register = ann.state.register('dimmer', schema);
    await register.set({ level: 40 });
    await expect(register.set({ level: 400 })).rejects.toMatchObject({
      code: 'MYCEL_STATE_INVALID',
      message: expect.stringMatching(/'dimmer' \(at level\)/) as string,
    });
    expect(register.get()).toEqual({ level: 40 });
  });

  test('what is not JSON, too deep or too large is refused, and the value stays', async () => {
    const { ann } = await pair();
    const register = ann.state.register<unknown>('key');
    await register.set('kept');
    const deep = JSON.parse('['.repeat(9) + ']'.repeat(9)) as unknown;
    for (const value of [undefined, NaN, 1n, () => 1, new Date(), deep]) {
      await expect(register.set(value)).rejects.toMatchObject({ code: 'MYCEL_STATE_INVALID' });
    }
    await expect(register.set('x'.repeat(20_000))).rejects.toMatchObject({
      code: 'MYCEL_TOO_LARGE',
      message: expect.stringMatching(/of 'key' takes 20005 bytes; 16384 are allowed/) as string,
    });
    expect(register.get()).toBe('kept');
  });

  test('a key with control characters, an empty and a long one are refused', async () => {
    const { ann } = await pair();
    for (const key of ['', 'a\u0000b', 'line\nbreak', '\ud800', 'x'.repeat(129)]) {
      expect(() => ann.state.register(key)).toThrow(
        expect.objectContaining({ code: 'MYCEL_STATE_INVALID' }) as Error,
      );
    }
  });

  test('a peer whose clock is in 2099 wins nothing: both sides hear of it; right again, its writes are told', async () => {
    const table = createTable();
    const ann = await table.sit(1);
    const disk: Disk = new Map();
    const bob = await table.sit(2, { wallMs: Date.UTC(2099, 0, 1), disk });
    await ann.state.register('mode').set('right');
    await table.settle();
    expect(bob.state.register('mode').get()).toBe('right');
    await bob.state.register('mode').set('future');
    await bob.state.register('other').set('future, too');
    await table.settle();
    expect(ann.state.register('mode').get()).toBe('right');
    expect(ann.alerts[0]).toMatchObject({ code: 'clock-ahead-there' });
    expect(ann.alerts[0]?.text).toContain(simNodeId(2));
    expect(bob.alerts[0]).toMatchObject({ code: 'clock-ahead-here' });
    await bob.stop();
    const again = await table.sit(2, { disk });
    await table.settle();
    expect(ann.state.register('mode').get()).toBe('future');
    expect(ann.state.register('other').get()).toBe('future, too');
    expect(ann.state.fingerprint()).toBe(again.state.fingerprint());
    await ann.state.register('mode').set('right again');
    await table.settle();
    expect(again.state.register('mode').get()).toBe('right again');
  });
});

test('a counter has pages of 4096 replicas at most: those go on counting, others are told what to do', async () => {
  const { table, ann, bob } = await pair();
  await ann.state.counter('hits').increment(5);
  await table.settle(600);
  const port = table.mesh.join(simNodeId(9));
  for (let from = 1; from < counterPagesMax; from += 117) {
    const count = Math.min(117, counterPagesMax - from);
    const live = Array.from({ length: count }, (_, at) => {
      const hybrid = { wallMs: ann.clock.wallMs(), count: 0 };
      return { replica: `gone-${from + at}:1.x`, count: 1, at: hybrid, value: [2, 1] };
    });
    const facts = [{ address: addressOf('counter', ['hits']), live, dead: [] }];
    const push = encodeStateMessage({ kind: 'push', seq: from, facts });
    for (const at of [1, 2]) port.send(simNodeId(at), 'state', push);
  }
  await table.settle(600);
  expect(bob.state.counter('hits').value()).toBe(5 + counterPagesMax - 1);
  await ann.state.counter('hits').increment(1);
  const refused = { code: 'MYCEL_STATE_INVALID' };
  await expect(bob.state.counter('hits').increment(1)).rejects.toMatchObject(refused);
  await table.settle(600);
  await bob.room.change(addressOf('counter', ['hits']), () => clear());
  await bob.state.counter('hits').increment(1);
  await table.settle();
  expect([ann, bob].map(({ state }) => state.counter('hits').value())).toEqual([1, 1]);
});

describe('the budget', () => {
  test('is spent by a node without rights after it asked for them, and never beyond the grant', async () => {
    const { table, ann, bob } = await pair();
    await ann.state.boundedCounter('budget').grant(100);
    await table.settle();
    const budget = bob.state.boundedCounter('budget');
    expect(budget.mine()).toBe(0);
    const spent = budget.spend(30);
    await table.settle();
    await spent;
    expect(budget.spent()).toBe(30);
    const refused = budget.spend(71).catch((error: unknown) => error);
    await table.settle();
    expect(await refused).toMatchObject({ code: 'MYCEL_STATE_BOUND' });
    expect(ann.state.boundedCounter('budget').left()).toBe(70);
  });

  test('holds while the mesh is split', async () => {
    const { table, ann, bob } = await pair();
    await ann.state.boundedCounter('budget').grant(10);
    await table.settle();
    table.mesh.cut(simNodeId(1), simNodeId(2));
    const refused = bob.state
      .boundedCounter('budget')
      .spend(1)
      .catch((error: unknown) => error);
    await ann.state.boundedCounter('budget').spend(10);
    await table.settle();
    expect(await refused).toMatchObject({ code: 'MYCEL_STATE_BOUND' });
    table.mesh.mend(simNodeId(1), simNodeId(2));
    await table.settle();
    expect(bob.state.boundedCounter('budget').left()).toBe(0);
  });
});

describe('storage', () => {
  test('brings everything back after a restart', async () => {
    const table = createTable();
    const disk: Disk = new Map();
    const ann = await table.sit(1, { disk });
    await ann.state.register('a').set(1);
    await ann.state.register('b').set(2);
    await ann.state.register('b').delete();
    await ann.state.counter('hits').increment(7);
    const before = ann.state.fingerprint();
    const replica = ann.room.replica();
    await ann.stop();
    const again = await table.sit(1, { disk });
    expect(again.state.fingerprint()).toBe(before);
    expect(again.room.replica()).toBe(replica);
    expect(again.state.counter('hits').value()).toBe(7);
    await again.state.counter('hits').increment();
    expect(again.state.counter('hits').value()).toBe(8);
  });

  function onSimulatedDisk(files: SimFiles): OpenJournal {
    const world = { files, clock: createMemoryClock(), log: createMemoryLog() };
    return (name, replay) => openJournal({ ...world, name }, replay);
  }

  test.for([
    ['damaged', (content: Buffer) => content.fill(0xaa, 300, 600)],
    ['of a newer version', (content: Buffer) => (content.writeUInt32BE(9, 4), content)],
  ] as const)(
    'that is %s is told, and filled again from the mesh under a new name',
    async ([, harm]) => {
      const table = createTable();
      const files = new SimFiles(createRandom(1));
      const ann = await table.sit(1);
      const bob = await table.sit(2, { open: onSimulatedDisk(files) });
      for (let key = 0; key < 40; key += 1) await bob.state.register(`key ${key}`).set(key);
      await bob.state.register('key 3').delete();
      await table.settle();
      const before = ann.state.fingerprint();
      const replica = bob.room.replica();
      await bob.stop();
      files.edit('state.journal', harm);
      const again = await table.sit(2, { open: onSimulatedDisk(files) });
      expect(again.room.replica()).not.toBe(replica);
      expect(again.room.status().journal.notes.join(' ')).toMatch(/set aside as state\.journal\./);
      await table.settle();
      expect(again.state.fingerprint()).toBe(before);
      expect(ann.state.fingerprint()).toBe(before);
      expect(ann.state.register('key 3').get()).toBeUndefined();
    },
  );

  test('that is full costs durability only: the node says so and goes on, and tells the disk later', async () => {
    const table = createTable();
    const files = new SimFiles(createRandom(1));
    const ann = await table.sit(1, { open: onSimulatedDisk(files) });
    await ann.state.register('before').set(1);
    files.errno = 'ENOSPC';
    await ann.state.register('meanwhile').set(2);
    expect(ann.state.register('meanwhile').get()).toBe(2);
    await table.settle(15_000);
    expect(ann.alerts).toEqual([
      { code: 'storage-refused', text: expect.stringMatching(/disk is full/) as string },
    ]);
    expect(ann.state.status().journal.trouble).toMatch(/memory only/);
  });
});
