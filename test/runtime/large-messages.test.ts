import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { connectAsync } from 'mqtt';
import { expect, onTestFinished, test } from 'vitest';
import type { MeshNode } from '../../src/index.ts';
import { messageBytesMax, payloadBytesMax } from '../../src/kernel/large-message.ts';
import { portOf, startMesh, until } from './loopback.ts';

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function scratch(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'mycel-large-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  return home;
}

/** Three nodes of one mesh. */
async function trio(): Promise<Record<'ann' | 'bob' | 'cleo', MeshNode>> {
  const [ann, bob, cleo] = await startMesh('ann', 'bob', 'cleo');
  if (ann === undefined || bob === undefined || cleo === undefined) throw new Error('no mesh');
  return { ann, bob, cleo };
}

/** Runs one of Mosquitto's own programs to its end. */
async function run(program: string, args: readonly string[]): Promise<Buffer> {
  const child = spawn(program, args);
  const out: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  const [code] = await once(child, 'close');
  expect(code, program).toBe(0);
  return Buffer.concat(out);
}

test.each([0, 1, 2])('10 MiB at QoS %i go from mosquitto_pub to mosquitto_sub', async (qos) => {
  const { ann, bob } = await trio();
  const file = join(await scratch(), 'payload');
  const payload = randomBytes(10 * 1024 * 1024);
  await writeFile(file, payload);
  const at = (node: MeshNode): string => `-h 127.0.0.1 -p ${portOf(node)} -q ${qos}`;
  const heard = run('mosquitto_sub', `${at(bob)} -t large/# -C 1 -N -W 20`.split(' '));
  await until(() => ann.listeners('large/one').nodes.length > 0);
  await run('mosquitto_pub', `${at(ann)} -t large/one -f ${file}`.split(' '));
  expect(digest(await heard)).toBe(digest(payload));
});

test('large and small messages of one client keep their order, and each comes once', async () => {
  const { ann, bob } = await trio();
  const publisher = await connectAsync(`mqtt://127.0.0.1:${portOf(ann)}`);
  const subscriber = await connectAsync(`mqtt://127.0.0.1:${portOf(bob)}`);
  onTestFinished(() => Promise.all([publisher.endAsync(true), subscriber.endAsync(true)]) as never);
  const heard: string[] = [];
  subscriber.on('message', (_topic, bytes) => heard.push(`${bytes.length} ${digest(bytes)}`));
  await subscriber.subscribeAsync('order/#', { qos: 1 });
  await until(() => ann.listeners('order/x').nodes.length > 0);
  const sizes = [10, 300_000, 20, 3_000_000, payloadBytesMax, payloadBytesMax + 1, 30];
  const payloads = [...sizes, ...sizes].map((bytes) => randomBytes(bytes));
  await Promise.all(payloads.map((one) => publisher.publishAsync('order/x', one, { qos: 1 })));
  await until(() => heard.length >= payloads.length);
  expect(heard).toEqual(payloads.map((bytes) => `${bytes.length} ${digest(bytes)}`));
  expect(bob.status().metrics.counters['router.parts-torn'] ?? 0).toBe(0);
});

test('a program publishes and hears large messages, and a group gets each whole and once', async () => {
  const { ann, bob, cleo } = await trio();
  const heard: string[] = [];
  const shared: string[] = [];
  bob.subscribe('big', ({ payload, qos }) => heard.push(`${qos} ${digest(payload)}`));
  for (const node of [bob, cleo]) {
    node.subscribe('$share/g/big', ({ payload }) => shared.push(digest(payload)));
  }
  await until(() => ann.listeners('big').groups[0]?.nodes.length === 2);
  const payloads = Array.from({ length: 4 }, () => randomBytes(700_000));
  for (const [at, one] of payloads.entries()) {
    await ann.publish('big', one, { qos: at % 2 === 0 ? 0 : 1 });
  }
  await until(() => heard.length >= 4 && shared.length >= 4);
  expect(heard).toEqual(payloads.map((one, at) => `${at % 2} ${digest(one)}`));
  expect(shared.toSorted()).toEqual(payloads.map(digest).toSorted());
});

test('what is larger than the largest, or too large to be retained, is refused and says why', async () => {
  const { ann } = await trio();
  const tooLarge = ann.publish('t', new Uint8Array(messageBytesMax + 1));
  await expect(tooLarge).rejects.toMatchObject({ code: 'MYCEL_TOO_LARGE' });
  const retained = ann.publish('t', new Uint8Array(payloadBytesMax + 1), { retain: true });
  await expect(retained).rejects.toThrow(/too large to be retained: at most 131072/);
  const client = await connectAsync(`mqtt://127.0.0.1:${portOf(ann)}`, { reconnectPeriod: 0 });
  const closed = new Promise<void>((resolve) => void client.once('close', () => resolve()));
  client.publish('t', Buffer.alloc(messageBytesMax + 1), { qos: 1 }, () => undefined);
  await closed;
  client.end(true);
  await until(() => ann.status().clients.length === 0);
});
