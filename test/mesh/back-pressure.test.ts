import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { startMesh, type LabMesh, type MeshHost } from './lab-mesh.ts';
import { shareLab } from './share-lab.ts';
import {
  difference,
  heardFrom,
  linkedAs,
  listen,
  listenToFile,
  numbered,
  reportOf,
  speak,
} from './traffic.ts';

let mesh: LabMesh;
let a: MeshHost;
let b: MeshHost;
let c: MeshHost;

shareLab({ hosts: 3 }, async (lab) => {
  mesh = await startMesh(lab, 3, { flags: ['--profile', 'fast'] });
  [a, b, c] = [mesh.node(0), mesh.node(1), mesh.node(2)];
  await linkedAs(mesh, (at) => [0, 1, 2].filter((other) => other !== at), 20_000);
});
afterEach(() => c?.host.thaw());

/** What the outbox, its entries, and a broker at work may add to a node: far below the flood itself. */
const growthBytesMax = 60 * 1024 * 1024;

test('a frozen node stalls nobody, and gets everything within the outbox once when it thaws', async () => {
  const [onB, onC] = await Promise.all(
    [b, c].map((node) => listen(node, '-q', '1', '-t', 'ice/#')),
  );
  const lines = numbered('ice', 12_000);
  const half = lines.length / 2;
  c.process.child.kill('SIGSTOP');
  const startedAt = performance.now();
  await speak(a, lines.slice(0, half), '-q', '1', '-t', 'ice/x');
  await onB?.waitForCount(half, 60_000);
  const seconds = (performance.now() - startedAt) / 1000;
  await sleep(Math.max(0, 9000 - seconds * 1000));
  await speak(a, lines.slice(half), '-q', '1', '-t', 'ice/x');
  await onB?.waitForCount(lines.length, 60_000);
  c.process.child.kill('SIGCONT');
  await onC?.waitForCount(lines.length, 30_000);
  await sleep(500);
  console.info(`${half} messages past a frozen node in ${seconds.toFixed(1)} s`);
  for (const listener of [onB, onC]) {
    expect(listener === undefined ? 'none' : difference(lines, heardFrom(listener, 'ice'))).toBe(
      '',
    );
    await listener?.stop();
  }
});

test('a flood beyond the memory of the outbox waits for the frozen node on the disk, in bounded memory', async () => {
  const filter = ['-q', '1', '-t', 'flood/#'];
  const onB = await listen(b, ...filter);
  // It gets 40 MB at once when its node thaws.
  const onC = await listenToFile(c, 'flood.txt', ...filter);
  const padding = 'x'.repeat(1000);
  // A node that has never worked grows by its compiled code alone: each attempt begins with one that has.
  const warm = numbered('warm', 12_000).map((line) => `${line}:${padding}`);
  await speak(a, warm, '-q', '1', '-t', 'flood/x');
  await onB.waitForCount(warm.length, 60_000);
  const lines = numbered('flood', 40_000).map((line) => `${line}:${padding}`);
  const before = (await reportOf(a)).rssBytes;
  c.process.child.kill('SIGSTOP');
  let peak = 0;
  let isOver = false;
  // One look after the other: on a slow machine looks of their own timer would pile up and be the load.
  const watch = (async () => {
    while (!isOver) {
      peak = Math.max(peak, (await reportOf(a)).rssBytes);
      await sleep(500);
    }
  })();
  await speak(a, lines, '-q', '1', '-t', 'flood/x');
  await onB.waitForCount(warm.length + lines.length, 60_000);
  isOver = true;
  await watch;
  const { metrics } = await reportOf(a);
  expect(difference(lines, heardFrom(onB, 'flood'))).toBe('');
  console.info(`${lines.length} KiB past a frozen node: RSS ${before >> 20} to ${peak >> 20} MiB`);
  expect(peak - before).toBeLessThan(growthBytesMax);
  expect(Object.keys(metrics.drops).filter((name) => name.includes('outbox'))).toEqual([]);
  c.process.child.kill('SIGCONT');
  // Its client reads a quarter of the time, which is slower than the rest comes. However slow the machine is: as long as
  // more comes, it is on its way.
  let onDisk = 0;
  for (let size = -1, since = performance.now(); performance.now() - since < 20_000;) {
    const sofar = await onC.size();
    if (sofar !== size) since = performance.now();
    else if ((await onC.heard('flood')).length >= lines.length) break;
    size = sofar;
    onC.pause();
    const { clients } = await reportOf(c);
    onDisk = Math.max(onDisk, ...clients.map(({ diskBytes }) => diskBytes));
    await sleep(300);
    onC.goOn();
    await sleep(200);
  }
  expect(difference(lines, await onC.heard('flood'))).toBe('');
  console.info(`a slow reader had ${onDisk >> 20} MiB on the disk of its node at most`);
  expect(onDisk).toBeGreaterThan(4 * 1024 * 1024);
  await onB.stop();
  await onC.stop();
});

test('a frozen subscriber is let go and stalls neither its node nor any other pair', async () => {
  const argv = [
    'mosquitto_sub',
    '-h',
    '127.0.0.1',
    '-p',
    `${b.mqttPort}`,
    '-q',
    '1',
    '-d',
    '-i',
    'jammed',
  ];
  const frozen = b.host.start(['stdbuf', '-oL', ...argv, '-t', 'jam/#']);
  await frozen.line((text) => text.startsWith('Subscribed'), 10_000);
  const [onB, onC] = await Promise.all(
    [b, c].map((node) => listen(node, '-q', '1', '-t', 'jam/#')),
  );
  if (onB === undefined || onC === undefined) throw new Error('there are two');
  frozen.child.kill('SIGSTOP');
  const padding = 'x'.repeat(2000);
  const lines = numbered('jam', 10_000).map((line) => `${line}:${padding}`);
  const startedAt = performance.now();
  await speak(a, lines, '-q', '1', '-t', 'jam/x');
  for (const listener of [onC, onB]) {
    await listener.waitForCount(lines.length, 60_000);
    expect(difference(lines, heardFrom(listener, 'jam'))).toBe('');
  }
  console.info(`past a frozen subscriber in ${Math.round(performance.now() - startedAt)} ms`);
  const end = performance.now() + 10_000;
  const isGone = async (): Promise<boolean> =>
    Object.keys((await reportOf(b)).metrics.drops).some((name) => name.includes('slow-reader'));
  while (!(await isGone()) && performance.now() < end) await sleep(250);
  expect(await isGone()).toBe(true);
  // Who, and why: told by the command that people look at.
  const shown = (await b.host.cli('status')).stdout;
  expect(shown).toMatch(/LET GO \(1\)[\s\S]*jammed +local +\S+ +.*(frozen|reads too slowly)/);
  frozen.child.kill('SIGKILL');
  await onB.stop();
  await onC.stop();
});

/** How long the flood past a frozen session lasts; `FREEZE_SECONDS=600` for the long run. */
const freezeSeconds = Number(process.env['FREEZE_SECONDS'] ?? 15);

test(
  `a frozen subscriber with a session of its own costs its bound and no more, in ${freezeSeconds} s of full speed`,
  { timeout: freezeSeconds * 1000 + 120_000 },
  async () => {
    const argv = ['mosquitto_sub', '-h', '127.0.0.1', '-p', `${b.mqttPort}`, '-q', '1', '-d'];
    const own = ['-c', '-i', 'sleeper', '-t', 'freeze/#'];
    const frozen = b.host.start(['stdbuf', '-oL', ...argv, ...own]);
    await frozen.line((text) => text.startsWith('Subscribed'), 10_000);
    const onC = await listen(c, '-q', '1', '-t', 'freeze/#');
    frozen.child.kill('SIGSTOP');
    const before = (await reportOf(b)).rssBytes;
    const padding = 'x'.repeat(1000);
    const lines: string[] = [];
    let peak = 0;
    let queuedMax = 0;
    const end = performance.now() + freezeSeconds * 1000;
    while (performance.now() < end) {
      const more = numbered('freeze', lines.length + 4_000).slice(lines.length);
      lines.push(...more);
      const padded = more.map((line) => `${line}:${padding}`);
      await speak(a, padded, '-q', '1', '-t', 'freeze/x');
      const { rssBytes, clients } = await reportOf(b);
      peak = Math.max(peak, rssBytes);
      queuedMax = Math.max(queuedMax, ...clients.map(({ queuedBytes }) => queuedBytes));
    }
    await onC.waitForCount(lines.length, 30_000);
    const heard = heardFrom(onC, 'freeze').map((line) => line.slice(0, line.lastIndexOf(':')));
    expect(difference(lines, heard)).toBe('');
    console.info(
      `${lines.length} KiB past a frozen session: RSS ${before >> 20} to ${peak >> 20} MiB, ${queuedMax >> 10} KiB queued at most`,
    );
    expect(peak - before).toBeLessThan(growthBytesMax);
    expect(queuedMax).toBeLessThan(8 * 1024 * 1024 * 1.2);
    const drops = Object.keys((await reportOf(b)).metrics.drops);
    expect(drops.filter((name) => /slow-reader|session/.test(name))).not.toEqual([]);
    frozen.child.kill('SIGKILL');
    await onC.stop();
  },
);
