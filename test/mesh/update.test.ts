/** A new version comes to five real nodes while events flow: taken back everywhere when one is not well, kept when all are. */

import { readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { Program } from '../process.ts';
import { packProgram } from '../update-package.ts';
import type { Host } from './lab-host.ts';
import type { Lab } from './lab.ts';
import { mintInvite } from './lab-mesh.ts';
import { shareLab } from './share-lab.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const count = 5;
const sickAt = 3;
const port = '1883';

/** What systemd does: starts the launcher again when the node wants it, or has failed. */
const supervise = `while :; do
  code=0
  sh "$LAUNCHER" "$@" || code=$?
  [ "$code" = 75 ] || [ "$code" = 1 ] || exit "$code"
  sleep 0.5
done`;

let lab: Lab;
let nodes: readonly Program[] = [];

shareLab({ hosts: count }, async (fresh) => {
  lab = fresh;
  const founder = startNode(lab.host(0), []);
  await founder.line((line) => line.includes('"ready"'), 20_000);
  const others: Program[] = [];
  for (let at = 1; at < count; at += 1) {
    others.push(startNode(lab.host(at), ['--join', await mintInvite(lab.host(0))]));
  }
  nodes = [founder, ...others];
  await everybodyLinked();
});

function startNode(host: Host, flags: readonly string[]): Program {
  const args = ['up', '--json', '--name', `node-${host.at}`, '--port', port, '--profile', 'fast'];
  // The owner's own probe; it fails where the test says so.
  const probe = ['--probe', `test ! -e ${sickFile(host)}`, '--label', `place=p${host.at}`];
  return host.start(['sh', '-c', supervise, 'sh', ...args, ...probe, ...flags], {
    env: {
      LAUNCHER: `${root}/firmware-scripts/launch.sh`,
      MYCEL_DATA_DIR: host.dataDir,
      MYCEL_PROGRAM: process.env['MYCEL_BUNDLE'] ?? `${root}/dist/mycel.mjs`,
      MYCEL_NODE: process.execPath,
      MYCEL_NODE_FLAGS: '',
    },
  });
}

const sickFile = (host: Host): string => `${host.dataDir}-sick`;

async function everybodyLinked(): Promise<void> {
  for (const host of lab.hosts) {
    await expect
      .poll(
        async () => {
          const { json } = await host.cli('status', '--json');
          return (json as { links?: readonly unknown[] } | undefined)?.links?.length;
        },
        { timeout: 30_000, interval: 300 },
      )
      .toBe(count - 1);
  }
}

/** The version that each node runs, as the launcher calls it, and as the mesh is told. */
async function versions(): Promise<{ readonly runs: string[]; readonly told: string[] }> {
  const { json, stderr } = await lab.host(0).cli('update', 'status', '--json');
  const { nodes: rows } = json as {
    readonly nodes: readonly { name: string; version: string; report?: { running: string } }[];
  };
  const sorted = rows.toSorted((one, other) => (one.name < other.name ? -1 : 1));
  if (sorted.length !== count) throw new Error(`${sorted.length} nodes ${stderr}`);
  return {
    runs: sorted.map(({ report }) => report?.running ?? '-'),
    told: sorted.map(({ version }) => version),
  };
}

/** This very program under another number, and with another change. */
async function nextVersion(version: string, change?: (text: string) => string): Promise<string> {
  const { version: own } = JSON.parse(await readFile(`${root}/package.json`, 'utf8')) as {
    version: string;
  };
  const file = `${lab.host(0).dataDir}-${version}.tgz`;
  await writeFile(file, packProgram(`${root}/dist`, [own, version], change));
  return file;
}

/** A client that publishes events until it is told to stop: each again and again until its node has acknowledged it. */
function publisher(host: Host): { stop(): Promise<string[]> } {
  const acknowledged: string[] = [];
  let isOver = false;
  const running = (async () => {
    for (let at = 0; !isOver; at += 1) {
      const text = `${host.at}:${at}`;
      const argv = ['mosquitto_pub', '-h', '127.0.0.1', '-p', port, '-q', '1'];
      for (;;) {
        const { code } = await host.exec([...argv, '-t', `load/${host.at}`, '-m', text]);
        if (code === 0) break;
        await sleep(100);
      }
      acknowledged.push(text);
      await sleep(100);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await running;
      return acknowledged;
    },
  };
}

/** Runs something while the other nodes publish events; gives what was acknowledged and never came to node 0. */
async function lostDuring(act: () => Promise<void>): Promise<{ sent: number; lost: string[] }> {
  const listener = await lab.host(0).mosquittoSub(['-p', port, '-q', '1', '-t', 'load/#']);
  const publishers = lab.hosts.slice(1).map(publisher);
  try {
    await act();
  } finally {
    await sleep(1_000);
  }
  const sent = (await Promise.all(publishers.map((one) => one.stop()))).flat();
  const missing = (): string[] => {
    const heard = new Set(listener.messages().map(({ payload }) => payload));
    return sent.filter((text) => !heard.has(text));
  };
  for (let waited = 0; waited < 20_000 && missing().length > 0; waited += 200) await sleep(200);
  const lost = missing();
  await listener.stop();
  return { sent: sent.length, lost };
}

/** Runs `mycel update` to its end, however long that takes. */
async function update(
  host: Host,
  ...args: readonly string[]
): Promise<{ readonly code: number | null; readonly json: unknown; readonly stderr: string }> {
  const process = host.spawn(['update', ...how, ...args]);
  const code = await process.ended;
  return { code, json: process.events()[0]?.event, stderr: process.errors() };
}

/** The agent of node 4, as the mesh sees it. */
async function heater(): Promise<unknown> {
  const { json } = await lab.host(0).cli('agents', '--json');
  const rows = [json ?? []].flat() as { agent: string; node: string; state: string }[];
  const found = rows.find(({ agent }) => agent === 'heater');
  return found && `${found.state} on ${found.node}`;
}

/** Node 1 is the canary, the sick one comes after it. */
const inOrder = [1, 2, 3, 4, 0].map((at) => `node-${at}`);
const how = ['--healthy-for', '3s', '--trial', '12s', '--patience', '90s', '--json'];

test('one node fails its probe: every node is back at the version before, and no event was lost', async () => {
  const file = await nextVersion('0.2.0');
  await writeFile(sickFile(lab.host(sickAt)), '');
  const before = await versions();
  expect(before.runs).toEqual(Array.from({ length: count }, () => 'installed'));
  const { sent, lost } = await lostDuring(async () => {
    const result = await update(lab.host(0), ...inOrder, '--to', file, '--batch', '2');
    expect(result.stderr).toContain('MYCEL_ROLLOUT_FAILED');
    expect(result.stderr).toContain(`node-${sickAt}`);
    expect(result.code).toBe(1);
    expect(result.json).toMatchObject({ outcome: 'rolled-back' });
    await everybodyLinked();
  });
  expect(lost).toEqual([]);
  expect(sent).toBeGreaterThan(100);
  expect(await versions()).toEqual(before);
  const restarts = nodes.map(
    ({ lines }) => lines.filter((line) => line.includes('"ready"')).length,
  );
  console.info(`taken back: ${sent} events, none lost; starts of each node ${restarts.join(' ')}`);
  expect(restarts[0], 'whoever rolls out had not begun with itself').toBe(1);
  expect(restarts[1], 'the canary had kept it').toBe(3);
  expect(restarts[sickAt]).toBe(3);
});

test('an agent does not come up with it: its node takes it back, well as it is otherwise', async () => {
  const module = `${lab.host(0).dataDir}-heater.mjs`;
  await writeFile(
    module,
    "import { defineAgent } from 'mycel';\nexport const agent = defineAgent({ name: 'heater', handle() {} });\n",
  );
  const deployed = await lab.host(0).cli('deploy', module, '--label', 'place=p4');
  expect(deployed.code, deployed.stderr).toBe(0);
  await expect.poll(heater, { timeout: 15_000 }).toMatch(/^running on /);
  const before = await heater();
  let changes = 0;
  // No agent ever says any more that it is ready.
  const file = await nextVersion('0.2.0', (text) =>
    text.replaceAll('{t:"ready"}', () => `{t:"r${(changes += 1)}"}`),
  );
  expect(changes).toBeGreaterThan(0);
  const result = await update(lab.host(0), 'node-4', '--to', file);
  expect(result.stderr).toContain('agent heater#0 is starting');
  expect(result.json).toMatchObject({ outcome: 'rolled-back' });
  await expect.poll(heater, { timeout: 15_000 }).toBe(before);
  await everybodyLinked();
});

test('all are well: every node keeps the new version, the one that rolled it out last', async () => {
  const file = await nextVersion('0.2.0');
  await rm(sickFile(lab.host(sickAt)), { force: true });
  const { sent, lost } = await lostDuring(async () => {
    const others = lab.hosts.slice(1).map(({ at }) => `node-${at}`);
    const result = await update(lab.host(0), ...others, '--to', file, '--batch', '3');
    expect(result.stderr).not.toContain('MYCEL');
    expect(result.json).toMatchObject({ outcome: 'done' });
    await everybodyLinked();
  });
  expect(lost).toEqual([]);
  expect(await heater()).toMatch(/^running on /);
  const mixed = await versions();
  expect(mixed.told).toEqual(['0.1.0', '0.2.0', '0.2.0', '0.2.0', '0.2.0']);
  const last = await update(lab.host(0), '--to', file);
  expect(last.json).toMatchObject({ outcome: 'done' });
  await everybodyLinked();
  expect(new Set((await versions()).told)).toEqual(new Set(['0.2.0']));
  console.info(`kept: ${sent} events, none lost`);
});

test('a member that is no admin may not, a tampered package goes nowhere, and everybody runs on', async () => {
  const file = await nextVersion('0.3.0');
  const stranger = await update(lab.host(1), '--to', file);
  expect(stranger.stderr).toContain('MYCEL_NOT_ADMIN');
  const bytes = await readFile(file);
  bytes[Math.floor(bytes.length / 2)] = (bytes[Math.floor(bytes.length / 2)] ?? 0) ^ 1;
  await writeFile(file, bytes);
  const tampered = await update(lab.host(0), '--to', file);
  expect(tampered.stderr).toContain('MYCEL_BAD_PACKAGE');
  const summed = await update(lab.host(0), '--to', file, '--sha256', 'ab'.repeat(32));
  expect(summed.stderr).toContain('not the one that was given');
  expect(new Set((await versions()).told)).toEqual(new Set(['0.2.0']));
});
