/** The node's one TCP port: the right door for each opening, patience and bounds for everybody else. */

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { expect, onTestFinished, test } from 'vitest';
import {
  createFrontDesk,
  createGuestDesk,
  isLoopback,
} from '../../../src/adapters/link/front-desk.ts';
import type { FrontDesk, FrontDeskConfig } from '../../../src/adapters/link/front-desk.ts';
import { createMemoryLog } from '../../../src/adapters/memory/log.ts';
import { createMetrics } from '../../../src/adapters/system/metrics.ts';
import { MycelError } from '../../../src/kernel/errors.ts';

const connectPacket = Buffer.from('100c00044d5154540402003c0000', 'hex');

interface Shown {
  readonly door: string;
  readonly socket: Socket;
}

async function open(
  config: Partial<Pick<FrontDeskConfig, 'hosts' | 'port' | 'limits'>> = {},
): Promise<{
  desk: FrontDesk;
  shown: Shown[];
  drops(): Record<string, number>;
  next(): Promise<Shown>;
}> {
  const shown: Shown[] = [];
  const metrics = createMetrics();
  let wake: (() => void) | undefined;
  const show = (door: string) => (socket: Socket) => {
    shown.push({ door, socket });
    wake?.();
  };
  const desk = await createFrontDesk({
    hosts: ['127.0.0.1'],
    port: 0,
    ...config,
    log: createMemoryLog(),
    metrics,
    handlers: {
      plain: show('plain'),
      link: show('link'),
      join: (socket, kind) => show(kind)(socket),
    },
  });
  onTestFinished(async () => {
    for (const { socket } of shown) socket.destroy();
    await desk.stop();
  });
  return {
    desk,
    shown,
    drops: () => metrics.snapshot().drops,
    async next() {
      while (shown.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return shown.shift() as Shown;
    },
  };
}

function call(port: number, host = '127.0.0.1', localAddress?: string): Socket {
  const socket = connect({ port, host, ...(localAddress === undefined ? {} : { localAddress }) });
  socket.on('error', () => {});
  socket.resume();
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** An address of this computer that is not loopback: the machine that runs the tests needs a network interface. */
const lanAddress = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.family === 'IPv4' && !one.internal)?.address;

test.each([
  ['plain', connectPacket],
  ['link', Buffer.from('MYCL\x00\x20')],
  ['invite', Buffer.from('MYCJ')],
  ['open', Buffer.from('MYCO123')],
])('%s is shown to its door with every byte', async (door, bytes) => {
  const { desk, next } = await open();
  call(desk.port).write(bytes);
  const shown = await next();
  expect(shown.door).toBe(door);
  const [first] = (await once(shown.socket, 'data')) as [Buffer];
  expect(first).toEqual(bytes);
});

test('a magic that comes byte by byte is still recognised', async () => {
  const { desk, next } = await open();
  const socket = call(desk.port);
  socket.setNoDelay(true);
  for (const byte of 'MYCL') {
    socket.write(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect((await next()).door).toBe('link');
});

test.each(['GET / HTTP/1.1\r\n', 'MYCX', '\x16\x03\x01', 'M\x00'])(
  '%j is turned away',
  async (text) => {
    const { desk, shown, drops } = await open();
    const socket = call(desk.port);
    socket.write(text);
    await once(socket, 'close');
    expect(shown).toEqual([]);
    expect(JSON.stringify(drops())).toContain('unknown-opening');
  },
);

test('who shows nothing is closed when the time is up', async () => {
  const { desk, drops } = await open({ limits: { openingMs: 80 } });
  await once(call(desk.port), 'close');
  expect(JSON.stringify(drops())).toContain('no-opening');
});

test('plain MQTT from another address than loopback is refused, a link is not', async () => {
  const { desk, next, drops } = await open({ hosts: ['0.0.0.0'] });
  const plain = call(desk.port, lanAddress, lanAddress);
  plain.write(connectPacket);
  await once(plain, 'close');
  expect(JSON.stringify(drops())).toContain('plain-from-lan');
  call(desk.port, lanAddress, lanAddress).write('MYCL');
  expect((await next()).door).toBe('link');
});

test('the fifth silent connection of one address is refused', async () => {
  const { desk, drops } = await open({ hosts: ['0.0.0.0'] });
  const sockets = Array.from({ length: 5 }, () => call(desk.port, lanAddress, lanAddress));
  await Promise.race(sockets.map((socket) => once(socket, 'close')));
  expect(JSON.stringify(drops())).toContain('too-many-pending');
});

test('beyond the greatest number of connections, more are closed', async () => {
  const { desk, drops } = await open({ limits: { connections: 2 } });
  const sockets = Array.from({ length: 3 }, () => call(desk.port));
  await Promise.race(sockets.map((socket) => once(socket, 'close')));
  expect(JSON.stringify(drops())).toContain('too-many-connections');
});

test('a taken port is told with its number and what to do', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const failure: unknown = await open({ port }).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'MYCEL_PORT_TAKEN', details: { port } });
  expect(MycelError.is(failure) && failure.fix).toMatch(/--port/);
});

test('an address of another computer cannot be listened on', async () => {
  await expect(open({ hosts: ['203.0.113.7'] })).rejects.toMatchObject({
    code: 'MYCEL_LISTEN_FAILED',
  });
});

test('the desk opens to more addresses and closes them again without dropping anybody', async () => {
  const { desk, next } = await open();
  const early = call(desk.port);
  early.write(connectPacket);
  const held = await next();
  await desk.open('127.0.0.2');
  expect(desk.hosts()).toEqual(['127.0.0.1', '127.0.0.2']);
  call(desk.port, '127.0.0.2').write('MYCL');
  const link = await next();
  await desk.close('127.0.0.2');
  await expect(once(call(desk.port, '127.0.0.2'), 'close')).rejects.toThrow(/ECONNREFUSED/);
  early.write('still here');
  const [first] = (await once(held.socket, 'data')) as [Buffer];
  expect(first.subarray(0, connectPacket.length)).toEqual(connectPacket);
  expect(link.socket.destroyed || held.socket.destroyed).toBe(false);
});

test('a connection that is reset in every phase harms nobody', async () => {
  const { desk, next } = await open();
  for (const bytes of ['', 'MY', 'MYCL']) {
    const socket = call(desk.port);
    await once(socket, 'connect');
    socket.write(bytes);
    socket.resetAndDestroy();
  }
  call(desk.port).write('MYCJ');
  let { door } = await next();
  // A reset may overtake the bytes before it, or not.
  while (door === 'link') ({ door } = await next());
  expect(door).toBe('invite');
});

test('the guest desk lets MQTT in and nothing else', async () => {
  const metrics = createMetrics();
  const accepted: Socket[] = [];
  const desk = await createGuestDesk({
    host: '127.0.0.1',
    port: 0,
    log: createMemoryLog(),
    metrics,
    accept: (socket) => accepted.push(socket),
  });
  onTestFinished(() => desk.stop());
  const stranger = call(desk.port);
  stranger.write('MYCL');
  await once(stranger, 'close');
  const guest = call(desk.port);
  guest.write(connectPacket);
  while (accepted.length === 0) await new Promise((resolve) => setImmediate(resolve));
  onTestFinished(() => accepted.forEach((socket) => socket.destroy()));
});

test.each([
  ['127.0.0.1', true],
  ['127.9.9.9', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['192.168.1.127', false],
  ['::ffff:10.0.0.1', false],
  ['1127.0.0.1', false],
])('%s is loopback: %s', (address, expected) => {
  expect(isLoopback(address)).toBe(expected);
});
