/** `mycel config` on a real node: what people type, what they see, and what is refused. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { runConfigCall } from '../../device/control-config.ts';
import { parseRequest } from '../../device/control-protocol.ts';
import { startNode } from '../runtime/loopback.ts';
import { bundleMycel } from './live-mycel.ts';
import type { Mycel } from './live-mycel.ts';

let mycel: Mycel;
beforeAll(async () => {
  mycel = await bundleMycel();
}, 60_000);
afterAll(() => mycel.stop());

async function ask(node: string, ...args: readonly string[]): Promise<unknown> {
  const { code, out, err } = await mycel.run([...args, '--json', '--data-dir', mycel.dir(node)]);
  if (code !== 0) throw new Error(`exit ${code}: ${err}`);
  return JSON.parse(out);
}

test('settings are set, read, listed, looked back at and taken back', async () => {
  await mycel.up('ann');
  const row = { path: 'heating.target', from: 'mesh' };
  expect(await ask('ann', 'config', 'get', 'heating.target')).toMatchObject({
    value: null,
    from: 'nobody',
  });
  expect(await ask('ann', 'config', 'set', 'heating.target', '20')).toMatchObject({
    ...row,
    value: 20,
    version: 1,
  });
  await ask('ann', 'config', 'set', 'heating.target', '{"day":21}');
  await ask('ann', 'config', 'set', 'light', '"on"', '--eventual');
  expect(await ask('ann', 'config', 'get')).toMatchObject([
    { ...row, value: { day: 21 }, version: 2 },
    { path: 'light', value: 'on', from: 'mesh' },
  ]);
  expect(await ask('ann', 'config', 'history', 'heating.target')).toMatchObject([
    { version: 2, value: { day: 21 }, isLocal: false },
    { version: 1, value: 20 },
  ]);
  expect(await ask('ann', 'config', 'rollback', 'heating.target')).toMatchObject({
    value: 20,
    version: 3,
  });
  expect(await ask('ann', 'config', 'rollback', 'heating.target', '2')).toMatchObject({
    value: { day: 21 },
    version: 4,
  });
  // What the node says itself comes first.
  await ask('ann', 'config', 'set', 'light', '"off"', '--local');
  expect(await ask('ann', 'config', 'get', 'light')).toMatchObject({ value: 'off', from: 'node' });
  expect(await ask('ann', 'config', 'get', 'light', '--agreed', 'majority')).toEqual({
    path: 'light',
    value: 'off',
  });
  const people = await mycel.run(['config', 'get', '--data-dir', mycel.dir('ann')]);
  expect(people.out).toMatch(/PATH +VALUE +FROM +VERSION\nheating\.target +\{"day":21\} +mesh +4/);
}, 60_000);

test.each([
  { args: ['set', 'not a path', '1'], code: 2, says: 'words joined by dots' },
  { args: ['set', 'light', 'on'], code: 2, says: 'is not JSON' },
  { args: ['set', 'light', '1', '--local', '--eventual'], code: 2, says: 'exclude each other' },
  { args: ['rollback', 'nothing'], code: 2, says: 'no earlier value' },
  { args: ['get', 'nothing'], code: 1, says: "Nobody has set 'nothing'." },
  { args: ['rollback', 'light', 'two'], code: 2, says: 'is not a version' },
  { args: ['get', '--agreed', 'newest'], code: 2, says: 'about one setting' },
  { args: ['get', 'light', '--agreed', 'loudest'], code: 2, says: 'newest, majority' },
])(
  '$args is refused with exit $code',
  async ({ args, code, says }) => {
    const ended = await mycel.run(['config', ...args, '--data-dir', mycel.dir('ann')]);
    expect(ended.err).toContain(says);
    expect(ended.code).toBe(code);
  },
  30_000,
);

test('a key without a value: exit 1 and a sentence for people, null for programs', async () => {
  const told = await mycel.run(['kv', 'get', 'nothing', '--data-dir', mycel.dir('ann')]);
  expect(told).toMatchObject({ code: 1, out: '' });
  expect(told.err).toContain("The key 'nothing' has no value. Give it one:");
  expect(await ask('ann', 'kv', 'get', 'nothing')).toBe(null);
  expect(await ask('ann', 'config', 'get', 'nothing')).toMatchObject({ from: 'nobody' });
}, 30_000);

test('without a majority nothing is set: exit 1, in clear words, and the value stays', async () => {
  await mycel.up('ben');
  await ask('ben', 'config', 'set', 'mode', '"day"');
  const others = [];
  for (const name of ['cat', 'dan']) {
    const { invite } = (await ask('ben', 'invite')) as { invite: string };
    others.push(await mycel.up(name, ['--join', invite]));
  }
  for (let turn = 0; ; turn += 1) {
    const { voters } = (await ask('ben', 'leader')) as { voters: string[] };
    if (voters.length === 3) break;
    if (turn > 60) throw new Error('no three voters');
  }
  expect(await ask('ben', 'config', 'get', 'mode', '--agreed', 'majority')).toMatchObject({
    value: 'day',
  });
  for (const { child, ended } of others) {
    child.kill('SIGKILL');
    await ended;
  }
  const asked = ['config', 'set', 'mode', '"night"', '--timeout', '1s'];
  const ended = await mycel.run([...asked, '--data-dir', mycel.dir('ben')]);
  expect(ended.code).toBe(1);
  expect(ended.err).toContain('No majority of the voters could be reached');
  expect(await ask('ben', 'config', 'get', 'mode')).toMatchObject({ value: 'day' });
  await ask('ben', 'config', 'set', 'mode', '"night"', '--eventual');
  expect(await ask('ben', 'config', 'get', 'mode')).toMatchObject({ value: 'night' });
}, 120_000);

test('a value is checked by the schema that the node declared, before anything changes', async () => {
  const node = await startNode('strict');
  node.config.declare('limit', {
    default: 5,
    schema: (value) => (typeof value === 'number' && value < 10 ? undefined : 'Give below 10.'),
  });
  const set = (value: string) =>
    runConfigCall(node, { op: 'config-set', args: { path: 'limit', value, scope: 'mesh' } });
  const row = { path: 'limit', version: 0 };
  const get = { op: 'config-get', args: { path: 'limit' } } as const;
  expect(await runConfigCall(node, get)).toEqual({ ...row, value: 5, from: 'default' });
  await expect(set('99')).rejects.toMatchObject({
    code: 'MYCEL_BAD_OPTION',
    message: expect.stringContaining('Give below 10.') as string,
  });
  expect(await runConfigCall(node, get)).toMatchObject({ value: 5 });
  await set('7');
  expect(await runConfigCall(node, get)).toMatchObject({ value: 7, from: 'mesh' });
});

test('requests are checked field by field', () => {
  const asks = (op: string, args: unknown) => parseRequest(JSON.stringify({ id: 1, op, args }));
  expect(asks('config-set', { path: 'a', value: '1', scope: 'mesh' })).toHaveProperty('request');
  expect(asks('config-set', { path: 'a', value: '1', scope: 'all' })).toHaveProperty('problem');
  expect(asks('config-get', { path: 'x'.repeat(257) })).toHaveProperty('problem');
  expect(asks('config-rollback', { path: 'a', version: 0 })).toHaveProperty('problem');
});
