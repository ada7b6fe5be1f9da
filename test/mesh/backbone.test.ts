/** Two LANs whose only way to each other is somebody else's broker: one mesh, each message once, the broker none the wiser. */

import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { writeMosquittoConfig, password, urlOf, user } from '../adapters/backbone/mosquitto.ts';
import type { Program } from '../process.ts';
import type { Host } from './lab-host.ts';
import { mintInvite, startMesh, startNode, type LabMesh, type MeshHost } from './lab-mesh.ts';
import type { Lab } from './lab.ts';
import { shareLab } from './share-lab.ts';
import { difference, heardFrom, listen, numbered, reportOf, speak } from './traffic.ts';
import type { Listener } from './traffic.ts';

/** Hosts 0 and 1 are one site, 2 and 3 the other, 4 has the broker, 5 is a second board of the first site. */
let mesh: LabMesh;
let lab: Lab;
let brokerHost: Host;
let broker: Program;
let spy: Program;
let home: string;
let config: string;
let url: string;

async function startBroker(): Promise<void> {
  broker = brokerHost.start(['mosquitto', '-c', config]);
  const look = ['mosquitto_pub', '-h', '127.0.0.1', '-u', user, '-P', password, '-t', 'x', '-n'];
  for (let waited = 0; (await brokerHost.exec(look)).code !== 0; waited += 100) {
    if (waited > 10_000) throw new Error(`the broker does not listen: ${broker.errors()}`);
    await sleep(100);
  }
}

async function overhear(): Promise<Program> {
  const argv = ['mosquitto_sub', '-h', '127.0.0.1', '-u', user, '-P', password, '-t', '#', '-d'];
  const listener = brokerHost.start(['stdbuf', '-oL', ...argv, '-F', 'heard %t %x']);
  await listener.line((line) => line.startsWith('Subscribed'), 10_000);
  return listener;
}

shareLab({ hosts: 6 }, async (shared) => {
  lab = shared;
  brokerHost = lab.host(4);
  home = await mkdtemp(join(tmpdir(), 'mycel-backbone-'));
  config = await writeMosquittoConfig(home, '1883 0.0.0.0');
  url = urlOf(brokerHost.address, 1883);
  const file = join(home, 'backbone-url');
  await writeFile(file, `${url}\n`, { mode: 0o600 });
  const [a, b, c, d, , f] = lab.hosts as [Host, Host, Host, Host, Host, Host];
  lab.partition([a, b, f], [c, d]);
  await startBroker();
  spy = await overhear();
  mesh = await startMesh(lab, 4, { flags: ['--profile', 'fast', '--backbone', `@${file}`] });
  await mesh.viewsComplete(4, 40_000);
});
afterAll(() => rm(home, { recursive: true, force: true }));

interface Linked {
  readonly links: readonly { readonly peer: string; readonly remote: string }[];
  readonly warnings: readonly string[];
}

async function statusOf(node: MeshHost): Promise<Linked> {
  return (await reportOf(node)) as unknown as Linked;
}

/** Waits until every node has a link to each other one, of the kind that the two places allow. */
async function linkedAcross(ms: number): Promise<void> {
  const end = performance.now() + ms;
  const siteOf = (at: number): number => (at < 2 ? 0 : 1);
  for (const [at, node] of mesh.nodes.entries()) {
    for (;;) {
      const { links } = await statusOf(node);
      const kinds = mesh.nodes.map(({ id }) => links.find(({ peer }) => peer === id)?.remote);
      const isWhole = kinds.every((remote, other) => {
        if (other === at) return remote === undefined;
        const isFar = remote?.includes('.backbone:') ?? false;
        return remote !== undefined && isFar === (siteOf(other) !== siteOf(at));
      });
      if (isWhole) break;
      if (performance.now() > end) throw new Error(`node ${at}: ${JSON.stringify(kinds)}`);
      await sleep(250);
    }
  }
}

/** Each listener heard each publisher's messages once and in order. */
async function expectAll(
  listeners: readonly Listener[],
  sent: Readonly<Record<string, readonly string[]>>,
  ms: number,
): Promise<void> {
  const count = Object.values(sent).reduce((sum, lines) => sum + lines.length, 0);
  for (const listener of listeners) await listener.waitForCount(count, ms);
  await sleep(1_000);
  for (const [at, listener] of listeners.entries()) {
    for (const [publisher, lines] of Object.entries(sent)) {
      expect(difference(lines, heardFrom(listener, publisher)), `${publisher} at ${at}`).toBe('');
    }
    expect(listener.messages()).toHaveLength(count);
  }
}

const listeners = (topic: string): Promise<Listener[]> =>
  Promise.all(mesh.nodes.map((node) => listen(node, '-q', '1', '-t', topic)));

test('two LANs that only reach the broker are one mesh, and every plain client sees each message once', async () => {
  await linkedAcross(30_000);
  const all = await listeners('site/#');
  await sleep(500);
  const sent = Object.fromEntries(
    mesh.nodes.map((_, at) => [`from-${at}`, numbered(`from-${at}`, 500)]),
  );
  await Promise.all(
    mesh.nodes.map((node, at) =>
      speak(node, sent[`from-${at}`] ?? [], '-q', '1', '-t', `site/${at}`),
    ),
  );
  await expectAll(all, sent, 30_000);
  for (const one of all) await one.stop();
});

test('signals cross the broker too, and bulk of megabytes is not lost on it', async () => {
  const [first, , , last] = mesh.nodes;
  if (first === undefined || last === undefined) throw new Error('four nodes');
  const far = await listen(last, '-q', '1', '-t', 'bulk/#');
  await sleep(500);
  const padding = 'x'.repeat(20_000);
  const lines = numbered('bulk', 300).map((line) => `${line}:${padding}`);
  const startedAt = performance.now();
  await speak(first, lines, '-q', '1', '-t', 'bulk/x');
  await far.waitForCount(lines.length, 60_000);
  const seconds = (performance.now() - startedAt) / 1000;
  console.info(`6 MB of events through the broker in ${seconds.toFixed(2)} s`);
  expect(difference(lines, heardFrom(far, 'bulk'))).toBe('');
  const near = await listen(last, '-t', 'quick');
  await sleep(500);
  await speak(first, ['now'], '-t', 'quick');
  await near.waitForCount(1, 5_000);
  await far.stop();
  await near.stop();
});

test('a broker that is killed and started again: the sites part and come together, no event is lost or twice', async () => {
  const all = await listeners('cut/#');
  await sleep(500);
  const [a, , c] = mesh.nodes;
  if (a === undefined || c === undefined) throw new Error('four nodes');
  const lines = { a: numbered('a', 300), c: numbered('c', 300) };
  const part = (of: readonly string[], at: number): string[] => of.slice(at * 100, at * 100 + 100);
  const publish = (at: number): Promise<unknown> =>
    Promise.all([
      speak(a, part(lines.a, at), '-q', '1', '-t', 'cut/a'),
      speak(c, part(lines.c, at), '-q', '1', '-t', 'cut/c'),
    ]);
  await publish(0);
  broker.child.kill('SIGKILL');
  await broker.ended;
  await sleep(500);
  expect((await statusOf(a)).warnings.join(' ')).toMatch(
    /backbone broker at 10\.\S+ cannot be reached/,
  );
  await publish(1);
  // Long enough for both sites to take the other for dead.
  await sleep(15_000);
  await startBroker();
  spy = await overhear();
  await publish(2);
  await expectAll(all, lines, 60_000);
  await linkedAcross(30_000);
  for (const one of all) await one.stop();
});

test('another overlay of the whole mesh works over it as over any link', async () => {
  const [first] = mesh.nodes;
  if (first === undefined) throw new Error('four nodes');
  const all = await listeners('hub/#');
  const hubs = ['--hub', 'node-0', '--hub', 'node-2'];
  const set = await first.host.cli('topology', 'set', 'pub-sub', ...hubs, '--json');
  expect(set.code, set.stderr).toBe(0);
  const sent = { t: numbered('t', 400) };
  await speak(first, sent.t, '-q', '1', '-t', 'hub/x');
  await expectAll(all, sent, 40_000);
  for (const { host } of mesh.nodes) {
    expect((await host.cli('topology', '--json')).json).toMatchObject({ kind: 'pub-sub' });
  }
  await first.host.cli('topology', 'set', 'full-mesh', '--json');
  await linkedAcross(40_000);
  for (const one of all) await one.stop();
});

test('a wrong password is told in one sentence; neither it nor the right one is in status, log or on the wire', async () => {
  const sixth = lab.host(5);
  const wrong = urlOf(brokerHost.address, 1883, { user, password: 'wrong-wrong' });
  const invite = await mintInvite(lab.host(0));
  const flags = ['--join', invite, '--profile', 'fast', '--log-level', 'debug'];
  const node = await startNode(sixth, flags, { env: { MYCEL_BACKBONE: wrong } });
  let warnings: readonly string[] = [];
  for (let waited = 0; warnings.length === 0 && waited < 20_000; waited += 250) {
    await sleep(250);
    ({ warnings } = await statusOf(node));
  }
  expect(warnings).toEqual([
    `Discovery by backbone: The backbone broker at ${brokerHost.address}:1883 refuses the user or the password. Correct them in --backbone.`,
  ]);
  // Its own site is no worse for it.
  expect((await statusOf(node)).links.length).toBeGreaterThan(0);
  const told = [
    node.process.errors(),
    node.process.lines.join('\n'),
    JSON.stringify(await statusOf(node)),
    ...(await Promise.all(mesh.nodes.map(async (one) => JSON.stringify(await statusOf(one))))),
    ...mesh.nodes.map(({ process }) => process.errors()),
  ].join('\n');
  for (const secret of ['wrong-wrong', password, encodeURIComponent(password)]) {
    expect(told).not.toContain(secret);
  }
});

test('whoever subscribes to everything on the broker reads no topic, payload, name or id', async () => {
  const [first] = mesh.nodes;
  if (first === undefined) throw new Error('four nodes');
  await speak(first, ['the secret recipe'], '-q', '1', '-t', 'kitchen/secret/topic');
  await sleep(1_000);
  const overheard = spy.lines.flatMap((line) => {
    const [, topic, hex] = /^heard (\S+) ([0-9a-f]+)$/.exec(line) ?? [];
    return topic === undefined || hex === undefined ? [] : [{ topic, hex }];
  });
  expect(overheard.length).toBeGreaterThan(100);
  const topics = [...new Set(overheard.map(({ topic }) => topic))];
  for (const topic of topics) expect(topic).toMatch(/^[0-9a-f]{32}\/[0-9a-f]{32}$/);
  expect(new Set(topics.map((topic) => topic.split('/')[0])).size).toBe(1);
  // The head says which process of many, and how many packets it has sent.
  const sealed = overheard.map(({ hex }) => hex.slice(44));
  const bytes = Buffer.from(sealed.join(''), 'hex').toString('latin1');
  const ids = mesh.nodes.flatMap(({ id, name }) => [id, name]);
  for (const words of ['secret recipe', 'kitchen', 'cut/a', 'site/', '$mycel', 'MQTT', ...ids]) {
    expect(bytes).not.toContain(words);
  }
  // Sealed bytes do not shrink.
  const whole = Buffer.from(bytes, 'latin1');
  const file = join(home, 'overheard');
  await writeFile(file, whole);
  const packed = execFileSync('gzip', ['-9c', file], { maxBuffer: 64 * 1024 * 1024 }).length;
  expect(packed).toBeGreaterThan(whole.length * 0.98);
});
