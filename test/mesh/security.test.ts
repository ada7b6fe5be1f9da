import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleProgram, type Bundle, type Program } from '../adapters/child.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import { generateNodeKeys, nodeIdOf, randomBytes } from '../../src/wire/keys.ts';
import { createDatagramSeal, datagramOverheadBytes } from '../../src/wire/datagram-seal.ts';
import { decodeHello } from '../../src/wire/hello.ts';
import type { Lab } from './lab.ts';
import type { Capture } from './lab-host.ts';
import {
  createMesh,
  mintInvite,
  startMesh,
  startNode,
  type LabMesh,
  type MeshHost,
} from './lab-mesh.ts';
import { memberListOf, statusOf } from './reports.ts';
import { shareLab } from './share-lab.ts';
import { linkedAs, listen, type Listener } from './traffic.ts';
import { leaksIn, readTap, type Tap } from './wire-tap.ts';

/** Words that must never be readable on the wire. */
const canary = {
  mesh: 'canary-mesh-Zugspitze',
  name: 'canary-name-Watzmann',
  label: 'canary-label-Hochkalter',
  topic: 'canary-topic-Geigelstein',
  payload: 'canary-payload-Kampenwand-0123456789',
};

let lab: Lab;
let mesh: LabMesh;
let capture: Capture;
let stranger: Program;
let strangerBundle: Bundle;
let listeners: readonly Listener[];
const secrets: Record<string, string | Uint8Array> = { ...canary };

async function dropsOf(node: MeshHost, name: string): Promise<number> {
  return (await statusOf(node)).metrics.drops[name] ?? 0;
}

/** Everything that a stranger must not be able to change. */
async function stateOf(node: MeshHost): Promise<unknown> {
  const members = await memberListOf(node);
  return [...members.values()]
    .map(({ id, name, state, incarnation, address }) => ({ id, name, state, incarnation, address }))
    .sort((one, other) => String(one.id).localeCompare(String(other.id)));
}

const states = async (): Promise<unknown> => Promise.all(mesh.nodes.map(stateOf));

async function order(what: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>> {
  const from = stranger.lines.length;
  stranger.child.stdin?.write(`${JSON.stringify(what)}\n`);
  const line = await stranger.until('an answer', () => stranger.lines[from], 20_000);
  return JSON.parse(line) as Record<string, unknown>;
}

const sendAll = (node: MeshHost, payloads: readonly Uint8Array[]) =>
  order({
    do: 'datagrams',
    to: node.host.address,
    port: node.mqttPort,
    payloads: payloads.map((payload) => Buffer.from(payload).toString('hex')),
  });

beforeAll(async () => {
  strangerBundle = await bundleProgram(fileURLToPath(new URL('stranger.ts', import.meta.url)));
});
shareLab({ hosts: 5 }, async (fresh) => {
  lab = fresh;
  capture = await lab.capture();
  stranger = lab.host(4).start([process.execPath, strangerBundle.file]);
  const flags = ['--profile', 'fast', '--mesh', canary.mesh, '--label', `room=${canary.label}`];
  mesh = await startMesh(lab, 2, { flags: [...flags, '--name', canary.name] });
  const invite = await mintInvite(lab.host(0));
  secrets['invite'] = invite.slice('mycel:1:'.length);
  secrets['invite secret'] = secretOf(invite);
  const third = await startNode(lab.host(2), [...flags, '--join', invite]);
  mesh = createMesh([...mesh.nodes, third]);
  await linkedAs(mesh, (at) => [0, 1, 2].filter((other) => other !== at), 20_000);
  listeners = await Promise.all(mesh.nodes.map((node) => listen(node, '-q', '1', '-t', '#')));
  await stranger.line((line) => line === 'ready', 10_000);
});
afterAll(() => strangerBundle.dispose());

/** The 16 secret bytes in the text of an invite. */
function secretOf(invite: string): Buffer {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
  const bits = Array.from(invite.slice('mycel:1:'.length))
    .map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, '0'))
    .join('');
  const bytes = (bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2));
  return Buffer.from(bytes.slice(48, 64));
}

describe('a stranger on the LAN', () => {
  test('reads no topic, payload, name, label or invite of a busy mesh', async () => {
    for (const node of mesh.nodes) {
      const args = ['-q', '1', '-t', `${canary.topic}/${node.host.at}`, '-m', canary.payload];
      await node.host.mosquittoPub(args);
      await node.host.mosquittoPub([...args, '-r']);
    }
    await Promise.all(listeners.map((one) => one.waitForCount(6, 20_000)));
    await sleep(1_500);
    const tap = await tapped();
    expect(tap.datagrams.length).toBeGreaterThan(50);
    expect(tap.streams.length).toBeGreaterThan(4);
    if (hostname().length >= 6) secrets['host name'] = hostname();
    expect(leaksIn(tap.raw, secrets)).toEqual([]);
    // The search itself is not blind.
    expect(leaksIn(Buffer.concat([tap.raw, Buffer.from(canary.payload)]), secrets)).toEqual([
      'payload',
    ]);
  });

  test('sees nothing but hellos of a fixed form, mDNS with ids and ports, and sealed datagrams', async () => {
    const { datagrams } = await tapped();
    const kinds = new Map<string, number>();
    for (const { payload, toPort, from } of datagrams) {
      if (from === lab.host(4).address) continue;
      const kind = kindOf(payload, toPort);
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      if (kind === 'mdns')
        expect(wordsOf(payload).filter((word) => !isKnownWord(word))).toEqual([]);
    }
    expect([...kinds.keys()].sort()).toEqual(['hello', 'mdns', 'sealed']);
  });

  test('cannot speak plain MQTT to a member', async () => {
    const node = mesh.node(0);
    const { code } = await lab
      .host(4)
      .exec(['mosquitto_pub', '-h', node.host.address, '-p', '1883', '-t', 'a', '-m', 'b']);
    expect(code).not.toBe(0);
    expect(await dropsOf(node, 'front-desk: plain-from-lan')).toBeGreaterThan(0);
  });

  test('changes nothing with garbage and with datagrams sealed for another mesh', async () => {
    const before = await states();
    const foreign = createDatagramSeal({
      node: nodeIdOf(generateNodeKeys().edPublic),
      bootCounter: 3,
      keys: () => ({ current: { epoch: 1, key: randomBytes(32) }, others: [] }),
    });
    const asMember = createDatagramSeal({
      node: mesh.node(1).id as NodeId,
      bootCounter: 9,
      keys: () => ({ current: { epoch: 1, key: randomBytes(32) }, others: [] }),
    });
    const payloads = [
      ...Array.from({ length: 100 }, (_, at) => randomBytes(at * 13)),
      ...Array.from({ length: 50 }, () => foreign.seal(randomBytes(40))),
      ...Array.from({ length: 50 }, () => asMember.seal(randomBytes(40))),
    ];
    const node = mesh.node(0);
    await sendAll(node, payloads);
    await expect
      .poll(async () => sumOf((await statusOf(node)).metrics.drops, 'datagram: '), {
        timeout: 5_000,
      })
      .toBeGreaterThanOrEqual(payloads.length);
    expect(await states()).toEqual(before);
  });

  test('replays recorded datagrams 10 s later and changes nothing', async () => {
    await sleep(10_000);
    const before = await states();
    for (const node of mesh.nodes) {
      const recorded = recordedFor(await tapped(), node);
      expect(recorded.length).toBeGreaterThan(10);
      const replaysBefore = await dropsOf(node, 'datagram: replay');
      await sendAll(node, recorded);
      await expect
        .poll(() => dropsOf(node, 'datagram: replay'), { timeout: 5_000 })
        .toBeGreaterThanOrEqual(replaysBefore + recorded.length);
    }
    expect(await states()).toEqual(before);
  });

  test('replays a recorded link and gets none', async () => {
    const tap = await tapped();
    for (const node of mesh.nodes.slice(0, 2)) {
      const links = tap.streams.filter(
        ({ to, bytes }) => to === node.host.address && bytes.subarray(0, 4).toString() === 'MYCL',
      );
      const refusedBefore = await dropsOf(node, 'link: refused');
      const deliveredBefore = listeners.map((one) => one.messages().length);
      for (const { bytes } of links.slice(0, 2)) {
        await order({
          do: 'stream',
          to: node.host.address,
          port: node.mqttPort,
          bytes: bytes.toString('hex'),
        });
      }
      expect((await dropsOf(node, 'link: refused')) - refusedBefore).toBe(
        Math.min(2, links.length),
      );
      expect(listeners.map((one) => one.messages().length)).toEqual(deliveredBefore);
    }
    expect(tap.streams.some(({ bytes }) => bytes.subarray(0, 4).toString() === 'MYCL')).toBe(true);
  });

  test('replays a recorded join and gets no membership', async () => {
    const before = await states();
    const joins = (await tapped()).streams.filter(
      ({ bytes }) => bytes.subarray(0, 4).toString() === 'MYCJ',
    );
    expect(joins.length).toBeGreaterThanOrEqual(2);
    const founder = mesh.node(0);
    for (const { bytes } of joins) {
      await sleep(1_100);
      await order({
        do: 'stream',
        to: founder.host.address,
        port: founder.mqttPort,
        bytes: bytes.toString('hex'),
      });
    }
    expect(await states()).toEqual(before);
  });

  test('is in a mesh of its own, dials a member and gets no link', async () => {
    const seed = `${lab.host(0).address}:1883`;
    const other = await startNode(lab.host(3), ['--profile', 'fast', '--seed', seed]);
    await mintInvite(lab.host(3));
    const refusedBefore = await dropsOf(mesh.node(0), 'link: refused');
    await expect
      .poll(() => dropsOf(mesh.node(0), 'link: refused'), { timeout: 15_000 })
      .toBeGreaterThan(refusedBefore);
    expect((await statusOf(other)).links).toEqual([]);
    for (const node of mesh.nodes) {
      expect([...(await memberListOf(node)).keys()]).not.toContain(other.id);
      expect((await statusOf(node)).links.map(({ peer }) => peer)).not.toContain(other.id);
    }
    expect([...(await memberListOf(other)).keys()]).toEqual([other.id]);
    await other.host.kill();
  });

  test('replays what was recorded before a restart and changes nothing', async () => {
    const node = mesh.node(1);
    const recorded = recordedFor(await tapped(), node);
    await node.host.kill();
    const again = await startNode(node.host, ['--profile', 'fast', '--name', canary.name]);
    const watcher = mesh.node(0);
    await again.process.waitForEvent(
      (event) => event['id'] === watcher.id && event['state'] === 'alive',
      20_000,
    );
    await expect
      .poll(async () => (await memberListOf(watcher)).get(again.id)?.['state'], { timeout: 20_000 })
      .toBe('alive');
    const beforeAgain = await stateOf(again);
    const beforeWatcher = await stateOf(watcher);
    await sendAll(again, recorded);
    const fromIt = (await tapped()).datagrams.filter(({ from }) => from === node.host.address);
    await sendAll(
      watcher,
      fromIt.slice(0, 200).map(({ payload }) => payload),
    );
    await sleep(2_500);
    expect(await stateOf(again)).toEqual(beforeAgain);
    expect(await stateOf(watcher)).toEqual(beforeWatcher);
  });
});

function kindOf(payload: Buffer, toPort: number): string {
  if (toPort === 5353) return 'mdns';
  if (payload.subarray(0, 4).toString('latin1') === 'MYCH') {
    return decodeHello(payload) === undefined ? 'malformed hello' : 'hello';
  }
  return payload[0] === 1 && payload.length >= datagramOverheadBytes ? 'sealed' : 'unknown';
}

/** Readable runs of a packet. */
function wordsOf(payload: Buffer): readonly string[] {
  return payload.toString('latin1').match(/[\w=.:-]{4,}/g) ?? [];
}

/** Service names, node ids, and the facts of a beacon; a length byte may look like a letter. */
function isKnownWord(word: string): boolean {
  return /^.?(_mycel|_tcp|_udp|_dns-sd|_services|local|arpa|in-addr|(tag|st|id|port|v)=.*|[a-z2-7]{28}|\d+)$/.test(
    word,
  );
}

/** What was recorded up to now. */
async function tapped(): Promise<Tap> {
  await sleep(200);
  return readTap(capture.file);
}

/** Sealed datagrams that other members sent to this node. */
function recordedFor(tap: Tap, node: MeshHost): readonly Buffer[] {
  const own = lab.host(4).address;
  return tap.datagrams
    .filter(
      ({ to, toPort, from }) =>
        to === node.host.address && toPort === node.mqttPort && from !== own,
    )
    .map(({ payload }) => payload)
    .filter((payload) => payload.subarray(0, 4).toString() !== 'MYCH')
    .slice(-300);
}

function sumOf(counts: Readonly<Record<string, number>>, prefix: string): number {
  return Object.entries(counts).reduce(
    (sum, [name, count]) => (name.startsWith(prefix) ? sum + count : sum),
    0,
  );
}
