import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDiskStore } from '../../src/adapters/disk/disk-store.ts';
import { createMemoryLog } from '../../src/adapters/memory/log.ts';
import { parseInvite } from '../../src/wire/invite.ts';
import { decodeNodeKeys } from '../../src/wire/keys.ts';
import { decodeMeshRecord } from '../../src/wire/mesh-record.ts';
import type { Lab } from './lab.ts';
import {
  createMesh,
  mintInvite,
  startMesh,
  startNode,
  type LabMesh,
  type MeshHost,
} from './lab-mesh.ts';
import { shareLab } from './share-lab.ts';
import { linkedAs } from './traffic.ts';
import { leaksIn } from './wire-tap.ts';

const flags = ['--profile', 'fast', '--log-level', 'debug'];
const chosenPassword = 'canary-password-Wendelstein';

let lab: Lab;
let mesh: LabMesh;
const secrets: Record<string, string | Uint8Array> = { 'chosen password': chosenPassword };
const outputs: string[] = [];

async function cli(node: MeshHost, ...args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, json, stderr } = await node.host.cli(...args, '--json');
  if (code !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
  return json as Record<string, unknown>;
}

/** Runs mosquitto_pub or mosquitto_sub on a host against the guest port of another one. */
function asGuest(
  from: MeshHost,
  to: MeshHost,
  program: 'pub' | 'sub',
  port: unknown,
  login: { readonly user: string; readonly password: unknown },
  ...args: readonly string[]
): ReturnType<MeshHost['host']['exec']> {
  const at = ['-h', to.host.address, '-p', String(port), '-V', '311'];
  const who = ['-u', login.user, '-P', String(login.password)];
  return from.host.exec([`mosquitto_${program}`, ...at, ...who, ...args], { ms: 8_000 });
}

/** Command lines and environments of every process of the machine but this one. */
function processTable(): Buffer {
  const parts = readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return [];
    try {
      const command = readFileSync(join('/proc', pid, 'cmdline'));
      // The clients of this test are given their password on the command line; they are not the node.
      return command.includes('mosquitto_') ? [] : [command];
    } catch {
      return [];
    }
  });
  return Buffer.concat(parts);
}

/** What a thief of the data directory would have; the node must be off. */
async function secretsOf(node: MeshHost): Promise<void> {
  const store = await openDiskStore(node.host.dataDir, { log: createMemoryLog() });
  const [identity, record] = [await store.read('identity'), await store.read('mesh')];
  await store.close();
  const keys = decodeNodeKeys(identity ?? new Uint8Array());
  const epochKeys = decodeMeshRecord(record ?? new Uint8Array())?.keys ?? [];
  expect(epochKeys.length).toBeGreaterThan(0);
  secrets[`signing seed of ${node.name}`] = keys.edSeed;
  secrets[`Noise seed of ${node.name}`] = keys.xSeed;
  for (const { epoch, key } of epochKeys) secrets[`epoch key ${epoch} of ${node.name}`] = key;
}

shareLab({ hosts: 3 }, async (fresh) => {
  lab = fresh;
  mesh = await startMesh(lab, 1, { flags });
  const invite = await mintInvite(lab.host(0));
  const { psk } = parseInvite(invite);
  secrets['invite'] = invite.slice('mycel:1:'.length);
  secrets['invite key'] = psk;
  const joined = await startNode(lab.host(1), flags);
  const second = await lab.host(1).cli('join', invite, '--json');
  expect(second.code).toBe(0);
  mesh = createMesh([...mesh.nodes, joined]);
  await linkedAs(mesh, (at) => [1 - at], 20_000);
});

describe('a guest on the LAN', () => {
  test('does what its rules allow and nothing else, until it is removed', async () => {
    const host = mesh.node(0);
    const from = mesh.node(1);
    const rules = ['--publish', 'porch/#', '--subscribe', 'weather/+'];
    const made = await cli(host, 'guest', 'add', 'porch', ...rules);
    const login = { user: 'porch', password: made['password'] };
    const { port } = made;
    secrets['made password'] = String(made['password']);
    const heard = await host.host.mosquittoSub(['-q', '1', '-t', '#']);
    const elsewhere = await from.host.mosquittoSub(['-q', '1', '-t', '#']);
    const publish = (topic: string, ...more: readonly string[]) =>
      asGuest(from, host, 'pub', port, login, '-q', '1', '-t', topic, '-m', 'x', ...more);

    expect((await publish('porch/light')).code).toBe(0);
    await heard.waitForCount(1, 5_000);
    await elsewhere.waitForCount(1, 5_000);
    for (const topic of ['house/light', 'weather/now', 'porchlight', '$mycel/c', '$SYS/x']) {
      await publish(topic);
    }
    const wrong = { user: 'porch', password: 'wrong-password' };
    const nobody = { user: 'nobody', password: made['password'] };
    for (const other of [wrong, nobody]) {
      const { code } = await asGuest(from, host, 'pub', port, other, '-t', 'porch/a', '-m', 'x');
      expect(code).not.toBe(0);
    }
    for (const filter of ['#', '+/light', 'house/#', 'porch/light', '$SYS/#', '$share/g/house/x']) {
      const args = ['-E', '-t', filter];
      const { stderr } = await asGuest(from, host, 'sub', port, login, ...args);
      expect(`${filter}: ${stderr}`).toContain('denied');
    }
    expect(heard.messages().map(({ topic }) => topic)).toEqual(['porch/light']);

    const who = ['-u', 'porch', '-P', String(login.password), '-i', 'porch-1'];
    const argv = ['mosquitto_sub', '-h', host.host.address, '-p', String(port), '-V', '311'];
    const open = from.host.start(['stdbuf', '-oL', ...argv, ...who, '-d', '-t', 'weather/+']);
    await open.line((line) => line.includes('SUBACK'), 5_000);
    await cli(host, 'guest', 'rm', 'porch');
    const removedAt = performance.now();
    await expect
      .poll(async () => JSON.stringify((await cli(host, 'status'))['clients']), { timeout: 2_000 })
      .not.toContain('porch-1');
    expect(performance.now() - removedAt).toBeLessThan(2_000);
    expect((await publish('porch/light')).code).not.toBe(0);
    open.child.kill('SIGKILL');
    await open.ended;
  });

  test('with a chosen password gives it to the node by standard input', async () => {
    const host = mesh.node(0);
    const argv = [process.execPath, process.env['MYCEL_BUNDLE'] ?? 'dist/mycel.mjs'];
    const add = await host.host.exec(
      [...argv, 'guest', 'add', 'hall', '--password-stdin', '--data-dir', host.host.dataDir],
      { input: `${chosenPassword}\n` },
    );
    expect(add.code).toBe(0);
    expect(add.stdout).not.toContain(chosenPassword);
    outputs.push(add.stdout, add.stderr);
  });
});

describe('no secret', () => {
  test('is in a log at level debug, in status, in members, in the process table', async () => {
    const [host, joined] = [mesh.node(0), mesh.node(1)];
    const third = await startNode(lab.host(2), flags);
    await host.host.mosquittoPub(['-q', '1', '-t', 'a', '-m', 'b']);
    for (const wrong of ['mycel:1:abcd', 'hello']) {
      const { code, stderr } = await third.host.cli('join', wrong, '--json');
      expect(code).toBe(1);
      outputs.push(stderr);
    }
    const again = await third.host.cli('join', `mycel:1:${String(secrets['invite'])}`, '--json');
    expect(again.code).toBe(1);
    outputs.push(again.stderr);
    for (const node of [host, joined]) {
      for (const command of ['status', 'members', 'discover', 'pending']) {
        outputs.push((await node.host.cli(command, '--json')).stdout);
      }
    }
    outputs.push(JSON.stringify(await cli(host, 'guest', 'ls')));
    await cli(host, 'revoke', joined.id);
    await joined.process.waitForEvent((event) => event['event'] === 'expelled', 10_000);
    const table = processTable();
    expect(table.toString('latin1')).toContain('--log-level');
    await Promise.all(mesh.nodes.map((node) => node.host.kill()));
    for (const node of mesh.nodes) {
      await secretsOf(node);
      outputs.push(node.process.errors(), node.process.lines.join('\n'));
    }
    outputs.push(third.process.errors());
    const logs = Buffer.from(outputs.join('\n'));
    expect(logs.toString()).toContain('"level":20');
    expect(Object.keys(secrets).length).toBeGreaterThanOrEqual(9);
    expect(leaksIn(logs, secrets)).toEqual([]);
    expect(leaksIn(table, secrets)).toEqual([]);
    // The search is not blind.
    const epochKey = secrets['epoch key 2 of node-0'] as Uint8Array;
    const leaky = Buffer.concat([logs, Buffer.from(Buffer.from(epochKey).toString('hex'))]);
    expect(leaksIn(leaky, secrets)).toContain('epoch key 2 of node-0');
  });
});
