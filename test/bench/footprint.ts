/** What one idle node costs: memory, time to be ready, time to join, bytes on the cable. Needs root: hosts are namespaces. */

import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLab } from '../mesh/lab.ts';
import { mintInvite, startMesh, startNode } from '../mesh/lab-mesh.ts';
import type { Program } from '../process.ts';
import { memoryOf, type ProcessMemory } from './process-memory.ts';
import { median, row, type Row } from './row.ts';

/** How long to measure. */
export interface FootprintOptions {
  /** Each figure is the median of so many. */
  readonly rounds: number;
  /** Time from a complete mesh to the reading, in ms. */
  readonly settleMs: number;
  /** Time after which the bursts of discovery and the first push-pulls are over, in ms. */
  readonly calmMs: number;
  /** Time over which idle traffic is counted, in ms. */
  readonly trafficMs: number;
  /** Time over which writes to the disk are counted, after a minute of rest, in ms; 0: they are not. */
  readonly writesMs: number;
}

/** After the start a node writes down whom it knows; an idle one has done that by now, in ms. */
const restMs = 60_000;

/** What a card is to be spared, in kB a day. */
const writesMaxKb = 1_000;

/** Nodes of the small and of the large mesh. */
const smallMesh = 3;
const largeMesh = 6;

const bareScript = 'setInterval(() => {}, 1e9); console.log("ready")';

interface Round {
  readonly bare: ProcessMemory;
  readonly provisional: ProcessMemory;
  readonly meshed: readonly ProcessMemory[];
  readonly bareMs: number;
  readonly readyMs: number;
  readonly joinMs: number;
  readonly commandMs: number;
}

/** Measures in turn, `rounds` times; what a mesh of its own writes while it does nothing is counted meanwhile. */
export async function footprint(options: FootprintOptions): Promise<readonly Row[]> {
  const [figures, writes] = await Promise.all([
    otherFigures(options),
    options.writesMs === 0 ? [] : idleWrites(options),
  ]);
  return [writes, figures].flat();
}

async function otherFigures(options: FootprintOptions): Promise<readonly Row[]> {
  const rounds: Round[] = [];
  for (let at = 0; at < options.rounds; at += 1) rounds.push(await measureRound(options));
  const bareRss = median(rounds.map(({ bare }) => bare.rss));
  const bareMs = median(rounds.map((round) => round.bareMs));
  const readyMs = median(rounds.map((round) => round.readyMs));
  const bare = { name: 'bare node', value: bareRss };
  const meshed = rounds.flatMap((round) => round.meshed);
  const traffic = await idleTraffic(options);
  return [
    row('idle-rss', 0, median(meshed.map(({ rss }) => rss)), 'MB', bare),
    row('idle-rss-worst', 0, Math.max(...meshed.map(({ rss }) => rss)), 'MB', bare),
    row('idle-rss-alone', 0, median(rounds.map((one) => one.provisional.rss)), 'MB', bare),
    row('idle-pss', 0, median(meshed.map(({ pss }) => pss)), 'MB', {
      name: 'bare node',
      value: median(rounds.map((one) => one.bare.pss)),
    }),
    row('idle-anonymous', 0, median(meshed.map(({ anonymous }) => anonymous)), 'MB', {
      name: 'bare node',
      value: median(rounds.map((one) => one.bare.anonymous)),
    }),
    row('ready-time', 0, readyMs, 'ms', { name: 'bare node prints a line', value: bareMs }),
    row('command-time', 0, median(rounds.map((round) => round.commandMs)), 'ms', {
      name: 'bare node prints a line',
      value: bareMs,
    }),
    row('join-time', 0, median(rounds.map(({ joinMs }) => joinMs)), 'ms', {
      name: 'start of the same node',
      value: readyMs,
    }),
    row('idle-traffic', 0, traffic.large, 'B/s', {
      name: `a node of ${smallMesh}, not of ${largeMesh}`,
      value: traffic.small,
    }),
  ];
}

async function measureRound(options: FootprintOptions): Promise<Round> {
  await using lab = await createLab({ hosts: smallMesh, name: 'f' });
  const bareAt = performance.now();
  const bare = lab.host(0).start([process.execPath, '-e', bareScript]);
  await bare.line(() => true, 20_000);
  const bareMs = performance.now() - bareAt;
  const readyFrom = performance.now();
  const founder = await startNode(lab.host(0), []);
  const readyMs = founder.readyAt - readyFrom;
  await sleep(options.settleMs);
  const provisional = memoryOf(founder.process.child.pid);
  const commandFrom = performance.now();
  await lab.host(0).cli('members', '--json');
  const commandMs = performance.now() - commandFrom;
  const second = await startNode(lab.host(1), ['--join', await mintInvite(lab.host(0))]);
  await sees(second.process, founder.id);
  const third = await startNode(lab.host(2), ['--join', await mintInvite(lab.host(0))]);
  // The newcomer is in when it and the founder have each other in view.
  await Promise.all([
    sees(third.process, founder.id),
    sees(third.process, second.id),
    sees(founder.process, third.id),
    sees(second.process, third.id),
  ]);
  const joinMs = performance.now() - third.readyAt;
  await sleep(options.settleMs);
  const meshed = [founder, second, third].map((node) => memoryOf(node.process.child.pid));
  return {
    bare: memoryOf(bare.child.pid),
    provisional,
    meshed,
    bareMs,
    readyMs,
    joinMs,
    commandMs,
  };
}

function sees(program: Program, id: string): Promise<string> {
  return program.line((line) => {
    if (!line.includes(id)) return false;
    const event = JSON.parse(line) as Record<string, unknown>;
    return event['event'] === 'member' && event['id'] === id && event['state'] === 'alive';
  }, 30_000);
}

/** What the node of a mesh of three that writes most has the disk write in a day, by what the kernel counts for its process. */
async function idleWrites(options: FootprintOptions): Promise<Row> {
  await using lab = await createLab({ hosts: smallMesh, name: 'w' });
  const mesh = await startMesh(lab, smallMesh);
  await mesh.viewsComplete();
  await sleep(restMs);
  const written = (): Promise<number[]> =>
    Promise.all(
      mesh.nodes.map(async ({ process }) => {
        const text = await readFile(`/proc/${process.child.pid}/io`, 'utf8');
        return Number(/^write_bytes: (\d+)$/m.exec(text)?.[1]);
      }),
    );
  const before = await written();
  await sleep(options.writesMs);
  const after = await written();
  await mesh.stop();
  const most = Math.max(...after.map((bytes, at) => bytes - (before[at] ?? 0)));
  const kbADay = ((most / 1_000) * 86_400_000) / options.writesMs;
  return row('idle-writes', 0, kbADay, 'kB/day', { name: 'what is allowed', value: writesMaxKb });
}

/** Bytes a second that one idle node sends, in a small and in a large mesh, each on a cable of its own. */
async function idleTraffic(
  options: FootprintOptions,
): Promise<{ readonly small: number; readonly large: number }> {
  const [small, large] = await Promise.all([
    trafficOf(smallMesh, 't', options),
    trafficOf(largeMesh, 'u', options),
  ]);
  return { small, large };
}

async function trafficOf(count: number, name: string, options: FootprintOptions): Promise<number> {
  await using lab = await createLab({ hosts: count, name });
  const mesh = await startMesh(lab, count);
  await mesh.viewsComplete();
  await sleep(options.calmMs);
  const sent = (): Promise<number[]> =>
    Promise.all(
      mesh.nodes.map(async ({ host }) => {
        const path = '/sys/class/net/eth0/statistics/tx_bytes';
        return Number((await host.exec(['cat', path])).stdout);
      }),
    );
  const before = await sent();
  const from = performance.now();
  await sleep(options.trafficMs);
  const after = await sent();
  const seconds = (performance.now() - from) / 1000;
  await mesh.stop();
  return median(after.map((bytes, at) => (bytes - (before[at] ?? 0)) / seconds));
}
