/** The command against real nodes: what the contract of each command promises. */

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';

import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import { bundleMycel, type Ended, type Live, type Mycel } from './live-mycel.ts';

let mycel: Mycel;
let anna: Live;
let bert: Live;
const at = (name: string): string[] => ['--data-dir', mycel.dir(name)];
const json = async (args: string[], input?: string | Buffer): Promise<unknown> => {
  const { code, out, err } = await mycel.run([...args, '--json'], input);
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${err}`);
  return JSON.parse(out) as unknown;
};

beforeAll(async () => {
  mycel = await bundleMycel();
  anna = await mycel.up('anna', ['--mesh', 'test', '--label', 'room=attic']);
  const { invite } = (await json(['invite', ...at('anna'), '--uses', '2'])) as { invite: string };
  await writeFile(`${mycel.home}/card`, `${invite}\n`);
  bert = await mycel.up('bert', [], { MYCEL_JOIN_FILE: `${mycel.home}/card` });
  await anna.line({ event: 'member', name: 'bert', state: 'alive' });
  await bert.line({ event: 'member', name: 'anna', state: 'alive' });
}, 90_000);
afterAll(() => mycel.stop());
afterEach(() => {
  // A node that went away by itself explains every later failure.
  for (const { child, ended } of [anna, bert]) {
    if (child.exitCode !== null || child.signalCode !== null) return ended.then(expectAlive);
  }
  return undefined;
});

describe('up', () => {
  it('says ready first, with exactly the promised fields', () => {
    const [ready] = anna.lines;
    expect(Object.keys(ready ?? {})).toEqual(['event', 'node', 'name', 'mesh', 'mqttPort']);
    expect(ready).toMatchObject({ event: 'ready', name: 'anna', mesh: 'test' });
  });

  it('tells about others only', () => {
    const self = anna.lines[0]?.['node'];
    for (const { event, id } of anna.lines) if (event === 'member') expect(id).not.toBe(self);
  });

  it('removes the invite from the card once it has joined', async () => {
    await vi.waitFor(() => expect(existsSync(`${mycel.home}/card`)).toBe(false));
  });

  it('refuses the data directory of a running node', async () => {
    const { code, err } = await mycel.run(['up', ...at('anna'), '--json']);
    expect(code).toBe(1);
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'MYCEL_DATA_DIR_BUSY' } });
  });

  it('refuses a taken port that was asked for, in one line with the fix', async () => {
    const server = createServer().listen(0, '0.0.0.0');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { code, err } = await mycel.run([
      'up',
      ...at('port'),
      '--port',
      String(port),
      '--interface',
      'lo',
    ]);
    server.close();
    expect(code).toBe(1);
    expect(err.trimEnd().split('\n')).toHaveLength(1);
    expect(err).toContain('--port');
  });

  it('calls a bad option a usage mistake', async () => {
    expect((await mycel.run(['up', ...at('seed'), '--seed', 'a b'])).code).toBe(2);
  });

  it('goes on alone after an invite that is none, and says so with the fix', async () => {
    const bad = await mycel.up('bad', ['--join', 'hello']);
    expect(bad.lines[0]).toMatchObject({ event: 'ready' });
    const { warnings } = (await json(['status', ...at('bad')])) as { warnings: string[] };
    expect(warnings.join(' ')).toContain('invite');
    bad.child.kill('SIGTERM');
    expect((await bad.ended).code).toBe(0);
  });

  it('stops cleanly on SIGTERM, comes back after kill -9 on the same directory', async () => {
    const first = await mycel.up('cleo');
    first.child.kill('SIGKILL');
    await first.ended;
    expect((await mycel.run(['status', ...at('cleo')])).code).toBe(3);
    const second = await mycel.up('cleo');
    expect(second.lines[0]?.['node']).toBe(first.lines[0]?.['node']);
    second.child.kill('SIGTERM');
    expect(await second.ended).toMatchObject({ code: 0, err: '' });
    expect(second.lines.at(-1)).toEqual({ event: 'stopped' });
  });

  it('ends at "mycel down", which returns after it', async () => {
    const node = await mycel.up('dora');
    expect(await json(['down', ...at('dora')])).toEqual({ stopped: true });
    expect((await node.ended).code).toBe(0);
    expect((await mycel.run(['members', ...at('dora')])).code).toBe(3);
  });
});

describe('up --stop-with-stdin', () => {
  it('ends when the program that holds its stdin has gone', async () => {
    const node = await mycel.up('stdin', ['--stop-with-stdin']);
    node.child.stdin?.end();
    expect((await node.ended).code).toBe(0);
    expect(node.lines.at(-2)).toEqual({ event: 'stopping', reason: 'stdin has ended' });
  });
});

describe('members', () => {
  it('has exactly the promised fields', async () => {
    const members = (await json(['members', ...at('anna')])) as Record<string, unknown>[];
    const keys = ['id', 'name', 'state', 'address', 'incarnation', 'rttMs', 'labels'];
    for (const member of members) expect(Object.keys(member)).toEqual(keys);
    expect(members.find(({ name }) => name === 'anna')).toMatchObject({
      state: 'alive',
      labels: { room: 'attic' },
    });
    expect(members.find(({ name }) => name === 'bert')).toMatchObject({ state: 'alive' });
  });
});

describe('pub and sub', () => {
  it('carry text, binary and stdin from one node to the other, in order', async () => {
    const sub = mycel.start([
      'sub',
      'test/#',
      '--count',
      '4',
      '--timeout',
      '20',
      ...at('bert'),
      '--json',
    ]);
    await vi.waitFor(async () => {
      await mycel.run(['pub', 'test/0', 'warm-up', ...at('anna')]);
      expect(sub.lines.length).toBeGreaterThan(0);
    }, 15_000);
    const first = sub.lines.length;
    expect(first).toBeLessThan(3);
    await mycel.run(['pub', 'test/text', 'grüße', ...at('anna'), '--qos', '1']);
    await mycel.run(['pub', 'test/bytes', ...at('anna')], Buffer.from([0xff, 0xfe, 0x00]));
    if (first === 1) await mycel.run(['pub', 'test/last', ...at('anna')], 'from stdin');
    expect((await sub.ended).code).toBe(0);
    expect(sub.lines[first]).toMatchObject({
      topic: 'test/text',
      payload: 'grüße',
      origin: anna.lines[0]?.['node'],
      qos: 1,
      retain: false,
    });
    expect(Object.keys(sub.lines[0] ?? {})).toEqual([
      'topic',
      'payload',
      'origin',
      'qos',
      'retain',
      'at',
      'id',
    ]);
    expect(sub.lines[first + 1]).toMatchObject({ payload: { base64: '//4A' } });
  });

  it('say why when the count is not reached in time, and when the topic is wrong', async () => {
    const late = await mycel.run([
      'sub',
      'never',
      '--count',
      '1',
      '--timeout',
      '0.2',
      ...at('anna'),
    ]);
    expect(late.code).toBe(1);
    expect(late.err).toContain('0 of 1 messages came');
    expect((await mycel.run(['sub', 'never', '--timeout', '0.2', ...at('anna')])).code).toBe(0);
    const bad = await mycel.run(['pub', 'a/#', 'x', ...at('anna'), '--json']);
    expect(bad.code).toBe(1);
    expect(JSON.parse(bad.err)).toMatchObject({ error: { code: 'MYCEL_BAD_TOPIC' } });
  });
});

describe('the other commands', () => {
  it('status and discover answer for people and for programs', async () => {
    expect(await json(['status', ...at('anna')])).toMatchObject({
      name: 'anna',
      mesh: { name: 'test', isProvisional: false },
      members: { alive: 2 },
    });
    const { code, out } = await mycel.run(['status', ...at('anna')]);
    expect(code).toBe(0);
    expect(out).toContain('LINK TO');
    expect((await mycel.run(['discover', ...at('anna')])).code).toBe(0);
  });

  it('guests are added with a password shown once, listed and removed', async () => {
    const added = (await json([
      'guest',
      'add',
      'phone',
      '--subscribe',
      'home/#',
      ...at('anna'),
    ])) as {
      password: string;
      port: number;
    };
    expect(added.password.length).toBeGreaterThan(7);
    const given = await json(
      ['guest', 'add', 'tv', '--password-stdin', ...at('anna')],
      'secret-secret\n',
    );
    expect(given).toMatchObject({ name: 'tv' });
    const guests = (await json(['guest', 'ls', ...at('anna')])) as { name: string }[];
    expect(guests.map(({ name }) => name).toSorted()).toEqual(['phone', 'tv']);
    expect(JSON.stringify(guests)).not.toContain('secret-secret');
    expect(await json(['guest', 'rm', 'tv', ...at('anna')])).toEqual({ removed: 'tv' });
    expect(await json(['guest', 'ls', ...at('anna')])).toHaveLength(1);
  });

  it('init makes a mesh real once', async () => {
    const emil = await mycel.up('emil', ['--mesh', 'own']);
    expect(await json(['init', '--mesh', 'own', ...at('emil')])).toMatchObject({ name: 'own' });
    expect(await json(['init', ...at('emil')])).toMatchObject({ name: 'own' });
    const wrong = await mycel.run(['init', '--mesh', 'other', ...at('emil')]);
    expect(wrong.code).toBe(1);
    expect(await json(['status', ...at('emil')])).toMatchObject({ mesh: { isProvisional: false } });
    emil.child.kill('SIGTERM');
    expect((await emil.ended).code).toBe(0);
  });
});

describe('demo', () => {
  it('runs three paired nodes, survives a kill, and leaves nothing behind', async () => {
    const before = new Set(
      (await readdir(tmpdir())).filter((name) => name.startsWith('mycel-demo-')),
    );
    const demo = mycel.start(['demo', '--json', '--seconds', '90']);
    for (const [node, member] of [
      ['anna', 'bert'],
      ['bert', 'cleo'],
      ['cleo', 'anna'],
    ] as const) {
      await demo.line({ event: 'sees', node, member, state: 'alive' });
    }
    await demo.line({ event: 'heard', topic: 'demo/anna/load' });
    demo.child.stdin?.write('k');
    const { pid } = await demo.line({ event: 'killed', node: 'cleo' });
    await demo.line({ event: 'ended', node: 'cleo', reason: 'SIGKILL' });
    expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH');
    const readyBefore = demo.lines.filter(
      ({ event, node }) => event === 'ready' && node === 'cleo',
    ).length;
    demo.child.stdin?.write('r');
    await vi.waitFor(
      () =>
        expect(
          demo.lines.filter(({ event, node }) => event === 'ready' && node === 'cleo'),
        ).toHaveLength(readyBefore + 1),
      15_000,
    );
    demo.child.kill('SIGTERM');
    expect(await demo.ended).toMatchObject({ code: 0, err: '' });
    const after = (await readdir(tmpdir())).filter((name) => name.startsWith('mycel-demo-'));
    expect(after.filter((name) => !before.has(name))).toEqual([]);
  }, 60_000);
});

function expectAlive({ code, signal, err }: Ended): never {
  throw new Error(`a node ended by itself with ${code ?? signal}: ${err}`);
}

describe('channels apply', () => {
  const file = (): string => `${mycel.home}/anna/config.json`;
  const names = async (): Promise<string[]> =>
    ((await json(['channels', ...at('anna')])) as { name: string }[]).map(({ name }) => name);
  const apply = (): Promise<Ended> => mycel.run(['channels', 'apply', ...at('anna'), '--json']);

  it('changes the channels of a running node to those of its file, and says why it cannot', async () => {
    const usual = await names();
    await writeFile(file(), '{"channels":{"video":{"class":"signal","topics":["cam/#"]}}}');
    const { code, out } = await apply();
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject([{}, {}, {}, {}, { name: 'video', class: 'signal' }]);
    await writeFile(
      file(),
      '{"channels":{"logs":{"class":"event"},"video":{"class":"signal","overflow":"block"}}}',
    );
    const wrong = await apply();
    expect(wrong.code).toBe(2);
    const { error } = JSON.parse(wrong.err) as { error: { code: string; text: string } };
    expect(error.code).toBe('MYCEL_BAD_OPTION');
    expect(error.text).toContain("'latest-per-topic' or 'drop-oldest'");
    expect(await names()).toEqual([...usual, 'video']);
    await writeFile(file(), '{}');
    expect((await apply()).code).toBe(0);
    expect(await names()).toEqual(usual);
  });
});
