/** `mycel state`, `mycel events` and `mycel partitions` on real nodes, as people and programs use them. */

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { checkStateWear } from '../../device/doctor/node-check.ts';
import { bundleMycel } from './live-mycel.ts';
import type { Live, Mycel } from './live-mycel.ts';

let mycel: Mycel;
let ben: Live;

/** Runs a command on a node and reads its JSON. */
async function ask(node: string, ...args: readonly string[]): Promise<unknown> {
  const { code, out, err } = await mycel.run([...args, '--json', '--data-dir', mycel.dir(node)]);
  if (code !== 0) throw new Error(`exit ${code}: ${err}`);
  return JSON.parse(out);
}

/** Starts a command that prints a JSON value a line until it is ended. */
function follow(node: string, ...args: readonly string[]): Live {
  return mycel.start([...args, '--json', '--data-dir', mycel.dir(node)]);
}

async function interrupt(live: Live): Promise<number | null> {
  live.child.kill('SIGINT');
  return (await live.ended).code;
}

beforeAll(async () => {
  mycel = await bundleMycel();
  await mycel.up('ann');
  const { invite } = (await ask('ann', 'invite')) as { invite: string };
  ben = await mycel.up('ben', ['--join', invite]);
  await ben.line({ event: 'member', name: 'ann', state: 'alive' });
}, 90_000);
afterAll(() => mycel.stop());

describe('mycel state', () => {
  test('what one node writes in each way, the other reads, lists and takes away', async () => {
    const set = { key: 'lamp', type: 'register', value: { on: true } };
    expect(await ask('ann', 'state', 'set', 'lamp', '{"on":true}')).toEqual(set);
    expect(await ask('ann', 'state', 'incr', 'hits', '5')).toMatchObject({ value: 5 });
    expect(await ask('ann', 'state', 'incr', 'hits', '-2')).toMatchObject({ value: 3 });
    await ask('ann', 'state', 'add', 'tags', '"red"');
    await ask('ann', 'state', 'add', 'tags', '"blue"');
    await vi.waitFor(
      async () =>
        expect(await ask('ben', 'state', 'ls')).toEqual([
          { key: 'hits', type: 'counter', value: 3 },
          set,
          { key: 'tags', type: 'set', value: expect.arrayContaining(['red', 'blue']) as unknown },
        ]),
      { timeout: 20_000, interval: 200 },
    );
    expect(await ask('ben', 'state', 'ls', 'la')).toEqual([set]);
    expect(await ask('ben', 'state', 'get', 'lamp')).toEqual(set);
    await ask('ben', 'state', 'remove', 'tags', '"red"');
    await ask('ben', 'state', 'remove', 'lamp');
    await vi.waitFor(
      async () =>
        expect(await ask('ann', 'state', 'get', 'tags')).toMatchObject({ value: ['blue'] }),
      { timeout: 20_000, interval: 200 },
    );
    const people = await mycel.run(['state', 'ls', '--data-dir', mycel.dir('ben')]);
    expect(people.out).toMatch(/KEY +TYPE +VALUE\n/);
    expect(people.out).toMatch(/hits +counter +3/);
  }, 90_000);

  test('both have the same fingerprint, and know what the disk bears', async () => {
    type Status = { fingerprint: string; keys: number; journal: { bytes: number } };
    await vi.waitFor(
      async () => {
        const [ann, bens] = (await Promise.all([
          ask('ann', 'state', 'status'),
          ask('ben', 'state', 'status'),
        ])) as [Status, Status];
        expect(ann.fingerprint).toMatch(/^[0-9a-f]{16}$/);
        expect(bens.fingerprint).toBe(ann.fingerprint);
        expect(ann.journal.bytes).toBeGreaterThan(0);
      },
      { timeout: 20_000, interval: 200 },
    );
  }, 60_000);

  test('watch tells what other nodes change below a prefix, and ends with a signal', async () => {
    const watch = follow('ben', 'state', 'watch', 'room/');
    // Nothing says when it listens: what is written again and again is seen in the end.
    let at = 0;
    const seen = await vi.waitFor(
      async () => {
        at += 1;
        await ask('ann', 'state', 'set', 'elsewhere', String(at));
        await ask('ann', 'state', 'set', 'room/light', String(at));
        return watch.lines.find(({ key }) => key === 'room/light') ?? Promise.reject(new Error());
      },
      { timeout: 30_000, interval: 10 },
    );
    expect(seen).toMatchObject({ key: 'room/light', value: expect.any(Number) as number });
    expect(watch.lines.some(({ key }) => key === 'elsewhere')).toBe(false);
    expect(await interrupt(watch)).toBe(0);
  }, 60_000);

  test.each([
    { args: ['get', 'nobody'], code: 1, says: "Nothing is written under 'nobody'" },
    { args: ['set', 'a', 'red'], code: 2, says: 'is not JSON' },
    { args: ['set', 'a\nb', '1'], code: 1, says: 'control' },
    { args: ['set', 'big', JSON.stringify('x'.repeat(20_000))], code: 1, says: '' },
    { args: ['incr', 'hits', 'two'], code: 2, says: 'not a whole number' },
    { args: ['remove', 'tags', '"green"'], code: 1, says: 'no such thing' },
  ])(
    '$says: exit $code, and nothing changes',
    async ({ args, code, says }) => {
      const before = await ask('ann', 'state', 'ls');
      const ended = await mycel.run(['state', ...args, '--data-dir', mycel.dir('ann')]);
      expect(ended.err).toContain(says);
      expect(ended.code).toBe(code);
      expect(await ask('ann', 'state', 'ls')).toEqual(before);
    },
    60_000,
  );
});

describe('mycel events', () => {
  test('an event of one node is found and followed on the other, by type and by story', async () => {
    const tail = follow('ben', 'events', 'tail', 'door.*');
    await vi.waitFor(
      async () => {
        await ask('ann', 'events', 'emit', 'window.open');
        await ask('ann', 'events', 'emit', 'door.open', '{"by":"eve"}', '--correlation', 'visit');
        expect(tail.lines.length).toBeGreaterThan(0);
      },
      { timeout: 30_000, interval: 10 },
    );
    expect(tail.lines[0]).toMatchObject({ type: 'door.open', data: { by: 'eve' } });
    expect(tail.lines.every(({ type }) => type === 'door.open')).toBe(true);
    expect(await interrupt(tail)).toBe(0);
    const query = async (...flags: string[]): Promise<{ type: string }[]> => {
      const answer = await ask('ben', 'events', 'query', ...flags);
      const { events, missing } = answer as { events: { type: string }[]; missing: string[] };
      expect(missing).toEqual([]);
      return events;
    };
    const story = await query('--correlation', 'visit', '--limit', '1');
    expect(story.map(({ type }) => type)).toEqual(['door.open']);
    expect((await query('--type', 'window.*')).length).toBeGreaterThan(0);
    // They happened at the other node.
    expect(await query('--type', 'door.*', '--local')).toEqual([]);
    const bad = await mycel.run(['events', 'emit', 'x', 'red', '--data-dir', mycel.dir('ann')]);
    expect([bad.code, bad.err]).toEqual([2, expect.stringContaining('is not JSON')]);
  }, 90_000);
});

test.each([
  { journal: { flashBytesPerDay: 1024 * 1024 }, level: 'ok', says: /^it writes .* a day to flash/ },
  { journal: { flashBytesPerDay: 2 ** 31 }, level: 'warn', says: /a small card bears/ },
  { journal: { trouble: 'The disk is full.' }, level: 'fail', says: /The disk is full/ },
])('the doctor says $level of $journal', ({ journal, level, says }) => {
  const calm = { bytes: 0, records: 0, flashBytesPerDay: 0, trouble: undefined, notes: [] };
  const finding = checkStateWear({ ...calm, ...journal });
  expect(finding.level).toBe(level);
  expect(finding.text).toMatch(says);
});

test('the doctor of a running node has a line about its wear', async () => {
  const { out } = await mycel.run(['doctor', '--json', '--data-dir', mycel.dir('ann')]);
  const findings = JSON.stringify(JSON.parse(out));
  expect(findings).toMatch(/state on disk/);
  expect(findings).toMatch(/a day to flash/);
}, 60_000);

test('partitions names who is missed, and tells what healing merged', async () => {
  type Answer = { missing: { node: string }[]; reports: { keysMerged: number }[] };
  expect(await ask('ann', 'partitions')).toEqual({ missing: [], reports: [] });
  ben.child.kill('SIGKILL');
  await ben.ended;
  await vi.waitFor(
    async () => expect(((await ask('ann', 'partitions')) as Answer).missing).toHaveLength(1),
    { timeout: 30_000, interval: 200 },
  );
  const people = await mycel.run(['partitions', '--data-dir', mycel.dir('ann')]);
  expect(people.out).toMatch(/missing \w+ for .*; it is asked for, for ever/);
  await ask('ann', 'state', 'set', 'meanwhile', '1');
  await mycel.up('ben');
  await vi.waitFor(
    async () => {
      const { missing, reports } = (await ask('ann', 'partitions')) as Answer;
      expect(missing).toEqual([]);
      expect(reports).toHaveLength(1);
    },
    { timeout: 60_000, interval: 300 },
  );
  expect(await ask('ben', 'state', 'get', 'meanwhile')).toMatchObject({ value: 1 });
}, 150_000);
