import { expect, test } from 'vitest';
import { unsetTopology } from '../../src/protocol/overlay/topology.ts';
import { createMemoryClock } from '../../src/adapters/memory/clock.ts';
import { createMemoryLinkNetwork } from '../../src/adapters/memory/link.ts';
import { createMemoryLog } from '../../src/adapters/memory/log.ts';
import { createMetrics } from '../../src/adapters/system/metrics.ts';
import type { Lane, LinkSession } from '../../src/ports/link.ts';
import { createChannelTable } from '../../src/protocol/channels/channel-table.ts';
import { createLinks } from '../../src/runtime/links.ts';
import { linkPaces } from '../../src/runtime/link-wires.ts';
import type { Hello, LinkInfo } from '../../src/runtime/link-wires.ts';
import { decodeCbor, encodeCbor } from '../../src/wire/cbor.ts';
import { encodeControl } from '../../src/wire/control.ts';
import type { ControlMessage } from '../../src/wire/control.ts';
import { encodeEnvelope } from '../../src/wire/envelope.ts';
import { createFrameWriter } from '../../src/wire/frame.ts';
import { generateNodeKeys, nodeIdOf } from '../../src/wire/keys.ts';
import { until } from './loopback.ts';

const [annId, bobId] = [generateNodeKeys(), generateNodeKeys()].map(({ edPublic }) =>
  nodeIdOf(edPublic),
) as [ReturnType<typeof nodeIdOf>, ReturnType<typeof nodeIdOf>];

const hello: Hello = {
  kind: 'hello',
  boot: 1,
  instance: 7,
  name: 'ann',
  port: 1883,
  neighbours: [],
  overlay: 'full-mesh',
  topology: unsetTopology('full-mesh'),
  mark: { epoch: 0, by: '' },
};

const secretWish: ControlMessage = { kind: 'bye', reason: 'heard' };

function frameOf(...records: readonly Uint8Array[]): Uint8Array {
  const writer = createFrameWriter();
  for (const record of records) writer.add(record);
  return writer.take() ?? new Uint8Array();
}

/**
 * Bob's table, and a session by which Ann can say what she likes. `sent`: she says her hello at once, and here is on which lanes
 * Bob sends.
 */
async function stage(
  greeted: (links: ReturnType<typeof createLinks>, link: LinkInfo) => void,
  sent?: Lane[],
) {
  const network = createMemoryLinkNetwork();
  const metrics = createMetrics();
  const heard: string[] = [];
  const links = createLinks({
    clock: createMemoryClock(),
    log: createMemoryLog(),
    metrics,
    pace: linkPaces.loopback,
    channels: createChannelTable([]),
    dialLane: () => Promise.reject(new Error('not here')),
    broken: () => undefined,
    lost: () => undefined,
    hello: () => hello,
    greeted: (link) => greeted(links, link),
    control: (_link, { kind }) => heard.push(kind),
    overlay: () => heard.push('overlay'),
    quiet: () => undefined,
    data: (_link, { topic }) => heard.push(topic),
    drained: () => undefined,
    closed: () => heard.push('closed'),
  });
  const ignore = { frame() {}, drained() {}, closed() {}, opened() {} };
  const place = (port: number) => ({ host: 'memory', port });
  const known = { certificate: new Uint8Array(), refuse: () => undefined };
  network.join({
    ...known,
    node: bobId,
    address: place(1),
    handlers: {
      ...links,
      opened(session) {
        if (sent === undefined) return void links.opened(session);
        const send: LinkSession['send'] = (lane, frame) => {
          sent.push(lane);
          return session.send(lane, frame);
        };
        const watched = { ...session, send };
        links.opened(watched);
        links.frame(watched, 'control', frameOf(encodeControl(hello)));
      },
    },
  });
  const ann = network.join({ ...known, node: annId, address: place(2), handlers: ignore });
  const session: LinkSession = await ann.dial(bobId, [place(1)], AbortSignal.timeout(5_000));
  return { session, heard, metrics };
}

const message = encodeEnvelope({
  ttl: 3,
  class: 'signal',
  retain: false,
  origin: annId,
  boot: 1,
  seq: 1,
  skipped: 0,
  hlc: { wallMs: 1, count: 0 },
  topic: 'a/b',
  payload: Uint8Array.of(1),
  passage: undefined,
});

test('nothing counts before the hello, by which a peer is judged', async () => {
  const { session, heard, metrics } = await stage(() => undefined);
  session.send(
    'control',
    frameOf(encodeControl(secretWish), encodeControl({ kind: 'ping', t: 1 })),
  );
  session.send('data', frameOf(message));
  await until(() => metrics.snapshot().drops['link: spoke before its hello'] === 3);
  expect(heard).toEqual([]);
  session.send('control', frameOf(encodeControl(hello), encodeControl(secretWish)));
  session.send('data', frameOf(message));
  await until(() => heard.length === 2);
  expect(heard).toEqual(['bye', 'a/b']);
});

test('the hello goes before data, also when the peer says its own in the turn in which the link opens', async () => {
  const lanes: Lane[] = [];
  const big = encodeEnvelope({
    ttl: 3,
    class: 'signal',
    retain: false,
    origin: bobId,
    boot: 1,
    seq: 1,
    skipped: 0,
    hlc: { wallMs: 1, count: 0 },
    topic: 'a/b',
    payload: new Uint8Array(12_000),
    passage: undefined,
  });
  await stage((links, link) => {
    links.choose(annId, link.id);
    const { data } = createChannelTable([]).builtIn;
    for (let at = 0; at < 4; at += 1) links.data(annId, big, data, () => `${at}`);
  }, lanes);
  await until(() => lanes.length >= 4);
  expect(lanes[0]).toBe('control');
});

test('a node of an older minor version says less in its hello and is spoken with all the same', async () => {
  const greeted: (number | undefined)[] = [];
  const { session, heard } = await stage((_, link) => greeted.push(link.hello?.minor));
  session.send('control', frameOf(encodeControl(hello), encodeControl(secretWish)));
  session.send('data', frameOf(message));
  await until(() => heard.length === 2);
  expect(greeted).toEqual([undefined]);
});

test('a node of a newer minor version may say more: what is not known is passed over and nothing to hang up for', async () => {
  const greeted: (number | undefined)[] = [];
  const { session, heard, metrics } = await stage((_, link) => greeted.push(link.hello?.minor));
  const parts = decodeCbor(encodeControl({ ...hello, minor: 9 })) as unknown[];
  session.send('control', frameOf(encodeCbor([...parts, { mood: 'fine' }, 'and more'])));
  const news = encodeCbor([99, 'a kind of tomorrow', { with: [1, 2, 3] }]);
  for (let at = 0; at < 20; at += 1) {
    session.send('control', frameOf(...Array.from({ length: 50 }, () => news)));
  }
  session.send('control', frameOf(encodeControl(secretWish)));
  session.send('data', frameOf(message));
  await until(() => heard.length === 2);
  expect(heard).toEqual(['bye', 'a/b']);
  expect(greeted).toEqual([9]);
  expect(metrics.snapshot().drops).toEqual({ 'link: record of a newer version': 1_000 });
});

test('nothing counts after a hang-up, not even what came in the same frame as the hello', async () => {
  const { session, heard } = await stage((links, link) => links.hangUp(link.id, 'not welcome'));
  session.send('control', frameOf(encodeControl(hello), encodeControl(secretWish)));
  session.send('data', frameOf(message));
  await until(() => heard.includes('closed'));
  expect(heard).toEqual(['closed']);
});
