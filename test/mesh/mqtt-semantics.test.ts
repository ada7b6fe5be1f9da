import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { Lab } from './lab.ts';
import {
  mintInvite,
  startMesh,
  startNode,
  statesSeen,
  type LabMesh,
  type MeshHost,
} from './lab-mesh.ts';
import { shareLab } from './share-lab.ts';
import { difference, heardFrom, linkedAs, listen, numbered, reportOf, speak } from './traffic.ts';

let lab: Lab;
let mesh: LabMesh;
let a: MeshHost;
let b: MeshHost;
let c: MeshHost;

shareLab({ hosts: 4 }, async (fresh) => {
  lab = fresh;
  mesh = await startMesh(lab, 3, { flags: ['--profile', 'fast'] });
  await linkedAs(mesh, (at) => [0, 1, 2].filter((other) => other !== at), 20_000);
  a = mesh.node(0);
  b = mesh.node(1);
  c = mesh.node(2);
});
afterEach(() => lab?.heal());

/** Publishes one message with mosquitto_pub. */
function say(node: MeshHost, topic: string, payload: string, ...args: readonly string[]) {
  const text = payload === '' ? ['-n'] : ['-m', payload];
  return node.host.mosquittoPub([
    '-p',
    `${node.mqttPort}`,
    '-t',
    topic,
    '-q',
    '1',
    ...text,
    ...args,
  ]);
}

/** What a fresh subscriber is given at once: `topic payload retain`. */
async function storedOn(node: MeshHost, filter: string): Promise<string[]> {
  const argv = ['mosquitto_sub', '-h', '127.0.0.1', '-p', `${node.mqttPort}`, '-t', filter];
  const { stdout } = await node.host.exec([...argv, '-q', '1', '-W', '1', '-F', '%t %p %r']);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}

/** Asks again until the fresh subscribers of every node are given this. */
async function expectStored(nodes: readonly MeshHost[], filter: string, wanted: string[]) {
  const end = performance.now() + 20_000;
  for (const node of nodes) {
    let found = await storedOn(node, filter);
    while (found.join() !== wanted.join() && performance.now() < end) {
      found = await storedOn(node, filter);
    }
    expect(found, `on ${node.name}`).toEqual(wanted);
  }
}

describe('a retained message', () => {
  test('waits on every node for late subscribers and is deleted everywhere by an empty one', async () => {
    await say(a, 'kept/one', 'first', '-r');
    await say(b, 'kept/two', 'second', '-r');
    await expectStored([a, b, c], 'kept/#', ['kept/one first 1', 'kept/two second 1']);
    await say(c, 'kept/one', '', '-r');
    await expectStored([a, b, c], 'kept/#', ['kept/two second 1']);
  });

  test('reaches subscribers that are there already without the retained mark, once', async () => {
    const listener = await listen(b, '-q', '1', '-t', 'live/#');
    await say(a, 'live/x', 'now', '-r');
    await listener.waitForCount(1, 10_000);
    await sleep(500);
    expect(listener.messages().map(({ payload, retain }) => `${payload} ${retain}`)).toEqual([
      'now 0',
    ]);
    await listener.stop();
  });

  test('written on both sides of a partition ends as the later one on every node', async () => {
    const onA = await listen(a, '-q', '1', '-t', 'split/#');
    const onC = await listen(c, '-q', '1', '-t', 'split/#');
    lab.partition([a.host], [b.host, c.host]);
    await say(a, 'split/x', 'early', '-r');
    await sleep(50);
    await say(c, 'split/x', 'late', '-r');
    await say(a, 'split/gone', 'there', '-r');
    await sleep(7000);
    lab.heal();
    await expectStored([a, b, c], 'split/#', ['split/gone there 1', 'split/x late 1']);
    for (const listener of [onA, onC]) {
      await listener.waitForCount(3, 20_000);
      await sleep(300);
      const payloads = listener.messages().map(({ payload }) => payload);
      expect(payloads.sort()).toEqual(['early', 'late', 'there']);
      await listener.stop();
    }
  });

  test('that a node missed in a backlog of others is delivered in its place and once', async () => {
    const onB = await listen(b, '-q', '1', '-t', 'log/#');
    lab.partition([b.host], [a.host, c.host]);
    const lines = numbered('log', 4000);
    await speak(a, lines, '-q', '1', '-t', 'log/x', '-r');
    await sleep(7000);
    lab.heal();
    await onB.waitForCount(4000, 40_000);
    await sleep(500);
    expect(difference(lines, heardFrom(onB, 'log'))).toBe('');
    await expectStored([b], 'log/#', ['log/x log:3999 1']);
    await onB.stop();
  });

  test('is given to a node that joins later, to its subscribers old and new', async () => {
    await say(a, 'before/x', 'value', '-r');
    const invite = await mintInvite(a.host);
    const late = await startNode(lab.host(3), ['--profile', 'fast', '--no-mdns', '--no-multicast']);
    const listener = await listen(late, '-q', '1', '-t', 'before/#');
    const joined = await lab.host(3).cli('join', invite);
    expect(joined.code, joined.stderr).toBe(0);
    await listener.waitForCount(1, 20_000);
    await expectStored([late], 'before/#', ['before/x value 1']);
    await sleep(300);
    expect(listener.messages().map(({ payload }) => payload)).toEqual(['value']);
    await lab.host(3).kill();
  });
});

describe('a plain client', () => {
  test('killed without a word has its will heard on the other nodes', async () => {
    const onB = await listen(b, '-q', '1', '-t', 'wills/#');
    const onC = await listen(c, '-q', '1', '-t', 'wills/#');
    const will = ['--will-topic', 'wills/x', '--will-payload', 'gone', '--will-qos', '1'];
    const argv = ['mosquitto_sub', '-h', '127.0.0.1', '-p', `${a.mqttPort}`, '-t', 'none', '-d'];
    const dying = a.host.start(['stdbuf', '-oL', ...argv, ...will]);
    await dying.line((text) => text.startsWith('Subscribed'), 10_000);
    dying.child.kill('SIGKILL');
    for (const listener of [onB, onC]) {
      await listener.waitForCount(1, 10_000);
      await sleep(200);
      expect(listener.messages().map(({ payload }) => payload)).toEqual(['gone']);
      await listener.stop();
    }
  });

  test('gets what its wildcards match from another node and nothing else', async () => {
    const plus = await listen(b, '-q', '1', '-t', 'w/+/temp');
    const hash = await listen(b, '-q', '1', '-t', 'w/#');
    for (const topic of ['w/a/temp', 'w/b/temp', 'w/a/hum', 'w/a/b/temp', 'w', 'x/a/temp']) {
      await say(a, topic, topic);
    }
    await say(a, 'w/end/temp', 'end');
    await plus.waitForCount(3, 10_000);
    await hash.waitForCount(6, 10_000);
    await sleep(200);
    const got = (listener: typeof plus): string[] => listener.messages().map(({ topic }) => topic);
    expect(got(plus)).toEqual(['w/a/temp', 'w/b/temp', 'w/end/temp']);
    expect(got(hash)).toEqual(['w/a/temp', 'w/b/temp', 'w/a/hum', 'w/a/b/temp', 'w', 'w/end/temp']);
    await plus.stop();
    await hash.stop();
  });

  test('sees nothing below $SYS and $mycel, and is refused $mycel by SUBACK 0x80', async () => {
    const all = await listen(b, '-q', '1', '-R', '-t', '#', '-t', '$SYS/#', '-t', '+/#');
    await say(a, 'ordinary', 'x');
    await all.waitForCount(1, 10_000);
    await sleep(1000);
    expect(new Set(all.messages().map(({ topic }) => topic))).toEqual(new Set(['ordinary']));
    await all.stop();
    for (const filter of ['$share/g/$mycel/#', '$mycel/#', '$mycel/d']) {
      const argv = ['mosquitto_sub', '-h', '127.0.0.1', '-p', `${b.mqttPort}`, '-t', filter];
      const { code, stdout, stderr } = await b.host.exec([...argv, '-W', '3', '-d']);
      expect(`${stdout}${stderr}`, filter).toMatch(/All subscription requests were denied|: 128/);
      expect(code, filter).not.toBe(27);
    }
  });

  test('with overlapping filters gets each message of another node once for each at most, in order', async () => {
    const listener = await listen(b, '-q', '1', '-t', 'over/#', '-t', 'over/+', '-t', 'over/x');
    const lines = numbered('over', 200);
    await speak(a, lines, '-q', '1', '-t', 'over/x');
    await listener.waitForCount(200, 10_000);
    await sleep(300);
    expect(difference(lines, heardFrom(listener, 'over'))).toBe('');
    await listener.stop();
  });

  test('sends empty, large and binary payloads through unchanged', async () => {
    const binary = Buffer.from(Array.from({ length: 102_400 }, (_, at) => (at * 7 + 13) % 256));
    const argv = ['mosquitto_sub', '-h', '127.0.0.1', '-p', `${c.mqttPort}`, '-q', '1', '-v'];
    const sub = c.host.start(['stdbuf', '-oL', ...argv, '-t', 'bin/#', '-F', '%t %l %x', '-d']);
    await sub.line((text) => text.startsWith('Subscribed'), 10_000);
    await say(a, 'bin/empty', '');
    const file = `${lab.host(0).dataDir}-binary`;
    const { writeFile } = await import('node:fs/promises');
    await writeFile(file, binary);
    await a.host.mosquittoPub(['-p', `${a.mqttPort}`, '-t', 'bin/large', '-q', '1', '-f', file]);
    expect(await sub.line((text) => text.startsWith('bin/empty'), 10_000)).toBe('bin/empty 0 ');
    const large = await sub.line((text) => text.startsWith('bin/large'), 10_000);
    expect(large).toBe(`bin/large 102400 ${binary.toString('hex')}`);
    sub.child.kill();
  });

  test('is told by a lost connection that its message is over the limit, and the node says why', async () => {
    const listener = await listen(b, '-q', '1', '-t', 'limit/#');
    const most = 16 * 1024 * 1024;
    const beyond = [
      { bytes: most + 1024, flags: [] },
      { bytes: most + 1024 * 1024, flags: [] },
      { bytes: 129 * 1024, flags: ['-r'] },
    ];
    for (const { bytes, flags } of beyond) {
      const argv = ['mosquitto_pub', '-h', '127.0.0.1', '-p', `${a.mqttPort}`, '-q', '1', ...flags];
      const script = `head -c ${bytes} /dev/zero | "$@" -t limit/x -s`;
      const { code } = await a.host.exec(['sh', '-c', script, 'sh', ...argv], { ms: 10_000 });
      expect(code, `${bytes} bytes`).not.toBe(0);
    }
    expect(a.process.errors()).toContain(
      `a payload of ${most + 1024} bytes is larger than ${most}`,
    );
    expect(a.process.errors()).toContain(
      'a payload of 132096 bytes is too large to be retained: at most 131072',
    );
    await say(a, 'limit/x', 'small');
    await listener.waitForCount(1, 10_000);
    expect(listener.messages().map(({ payload }) => payload)).toEqual(['small']);
    await listener.stop();
  });

  test('with a persistent session gets what other nodes published while it was away', async () => {
    const session = ['-q', '1', '-t', 'away/#', '-i', 'sleeper', '-c'];
    const first = await listen(c, ...session);
    await first.stop();
    const lines = numbered('away', 500);
    await speak(a, lines, '-q', '1', '-t', 'away/x');
    const again = await listen(c, ...session);
    await again.waitForCount(500, 10_000);
    await sleep(300);
    expect(difference(lines, heardFrom(again, 'away'))).toBe('');
    await again.stop();
  });
});

test('everybody is still held alive', async () => {
  for (const node of mesh.nodes) {
    for (const other of mesh.nodes) {
      if (other !== node) expect(statesSeen(node.process).get(other.id)).toBe('alive');
    }
    expect((await reportOf(node)).links.length).toBeGreaterThanOrEqual(2);
  }
});
