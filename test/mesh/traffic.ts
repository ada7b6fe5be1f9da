/** Plain MQTT clients on the hosts of a mesh: numbered messages in, and what came out of them where. */

import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabMesh, MeshHost } from './lab-mesh.ts';

/** A mosquitto_sub on one node. */
export type Listener = Awaited<ReturnType<MeshHost['host']['mosquittoSub']>>;

/** The fields of `mycel status --json` that tell about messages. */
export interface NodeReport {
  readonly links: readonly { readonly peer: string; readonly unackedCount: number }[];
  readonly rssBytes: number;
  readonly clients: readonly { readonly queuedBytes: number; readonly diskBytes: number }[];
  readonly metrics: { readonly drops: Readonly<Record<string, number>> };
}

/** Subscribes with mosquitto_sub on a node. */
export function listen(node: MeshHost, ...args: readonly string[]): Promise<Listener> {
  return node.host.mosquittoSub(['-p', `${node.mqttPort}`, ...args]);
}

/** A subscriber whose messages go to a file: a client that waits for its reader is evicted, and the reader is a test. */
export interface FileListener {
  /** Bytes so far. */
  size(): Promise<number>;
  /** The payloads that begin like this. */
  heard(publisher: string): Promise<string[]>;
  /** It reads nothing until it goes on. */
  pause(): void;
  goOn(): void;
  stop(): Promise<void>;
}

/** Subscribes with mosquitto_sub on a node, for more than a test could read along. */
export async function listenToFile(
  node: MeshHost,
  name: string,
  ...args: readonly string[]
): Promise<FileListener> {
  const file = join(node.host.dataDir, name);
  const own = ['mosquitto_sub', '-h', '127.0.0.1', '-p', `${node.mqttPort}`, '-d', ...args];
  const client = node.host.start(['sh', '-c', 'exec stdbuf -oL "$@" > "$0"', file, ...own]);
  const lines = async (): Promise<string[]> =>
    (await readFile(file, 'utf8').catch(() => '')).split('\n');
  for (let waits = 0; !(await lines()).some((line) => line.startsWith('Subscribed')); waits += 1) {
    if (waits > 100) throw new Error('the subscription was not acknowledged within 10 s');
    await sleep(100);
  }
  return {
    size: async () => (await stat(file)).size,
    heard: async (publisher) => (await lines()).filter((line) => line.startsWith(`${publisher}:`)),
    pause: () => void client.child.kill('SIGSTOP'),
    goOn: () => void client.child.kill('SIGCONT'),
    async stop() {
      client.child.kill('SIGTERM');
      await client.ended;
    },
  };
}

/** Publishes lines with one mosquitto_pub on a node. */
export function speak(
  node: MeshHost,
  lines: readonly string[],
  ...args: readonly string[]
): Promise<void> {
  const input = lines.map((line) => `${line}\n`).join('');
  return node.host.mosquittoPub(['-p', `${node.mqttPort}`, '-l', ...args], input);
}

/** `count` payloads of one publisher, numbered from 0. */
export function numbered(publisher: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${publisher}:${at}`);
}

/** What one listener got of one publisher, in its order of arrival. */
export function heardFrom(listener: Listener, publisher: string): string[] {
  const start = `${publisher}:`;
  return listener
    .messages()
    .map(({ payload }) => payload)
    .filter((payload) => payload.startsWith(start));
}

/** How a sequence differs from the wanted one, in words; empty when it does not. */
export function difference(wanted: readonly string[], got: readonly string[]): string {
  const seen = new Set(got);
  const missing = wanted.filter((one) => !seen.has(one));
  const firstWrong = got.findIndex((one, at) => one !== wanted[at]);
  if (missing.length === 0 && got.length === wanted.length && firstWrong < 0) return '';
  return [
    `${missing.length} missing (first ${missing[0] ?? '-'})`,
    `${got.length - seen.size} repeated`,
    `first wrong at ${firstWrong}: ${got.slice(firstWrong, firstWrong + 3).join(' ')}`,
  ].join(', ');
}

/** What a node says about itself. */
export async function reportOf(node: MeshHost): Promise<NodeReport> {
  const { code, json, stderr } = await node.host.cli('status', '--json');
  if (code !== 0) throw new Error(`mycel status: exit ${code} ${stderr}`);
  return json as NodeReport;
}

/** Waits until each node is linked with exactly these nodes, by their numbers. */
export async function linkedAs(
  mesh: LabMesh,
  wanted: (at: number) => readonly number[],
  ms: number,
): Promise<void> {
  const end = performance.now() + ms;
  for (const [at, node] of mesh.nodes.entries()) {
    const ids = wanted(at).map((other) => mesh.node(other).id);
    let linked: string[] = [];
    for (;;) {
      linked = (await reportOf(node)).links.map(({ peer }) => peer);
      if (linked.length === ids.length && ids.every((id) => linked.includes(id))) break;
      if (performance.now() > end) {
        throw new Error(`node ${at} has ${linked.length} links, not ${wanted(at).join(' ')}`);
      }
      await sleep(250);
    }
  }
}
