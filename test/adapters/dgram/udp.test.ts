import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createSourceGuard, sourcesMax } from '../../../src/adapters/dgram/source-guard.ts';
import { createUdpDatagrams } from '../../../src/adapters/dgram/udp.ts';
import { createMemoryDatagrams } from '../../../src/adapters/memory/datagram.ts';
import { createMetrics } from '../../../src/adapters/system/metrics.ts';
import type { Address } from '../../../src/kernel/address.ts';
import type { DatagramSocket } from '../../../src/ports/datagram.ts';
import type { Metrics } from '../../../src/ports/metrics.ts';
import { datagramContract } from '../../contract/datagram.ts';

datagramContract('UDP', '127.0.0.1', () => createUdpDatagrams());
datagramContract('UDP over IPv6', '::1', () => createUdpDatagrams());
datagramContract('memory', '10.0.0.1', () => createMemoryDatagrams());

describe('a UDP socket', () => {
  let metrics: Metrics;
  let heard: { from: Address; size: number }[];
  let socket: DatagramSocket;

  beforeEach(async () => {
    metrics = createMetrics();
    heard = [];
    socket = await open('0.0.0.0', { packetsPerSecond: 10, burst: 20 });
  });
  afterEach(() => socket.stop());

  async function open(
    host: string,
    limits: { packetsPerSecond: number; burst: number },
  ): Promise<DatagramSocket> {
    return await createUdpDatagrams({ metrics, limits }).open({
      host,
      port: 0,
      receive: (from, bytes) => heard.push({ from, size: bytes.length }),
    });
  }

  test('counts every failing send and lives on: no route, no such address, a name, a bad port', async () => {
    const bytes = Uint8Array.of(1);
    const bad = [
      { host: '255.255.255.255', port: 9 },
      { host: '::1', port: 9 },
      { host: 'example.invalid', port: 9 },
      { host: '', port: 9 },
      { host: '127.0.0.1', port: 0 },
      { host: '127.0.0.1', port: 65_536 },
      { host: '127.0.0.1', port: Number.NaN },
    ];
    for (const to of bad) socket.send(to, bytes);
    await vi.waitFor(() => expect(socket.counts().failed).toBe(bad.length));
    expect(socket.counts().sent).toBe(0);
    const { drops } = metrics.snapshot();
    expect(drops['datagram: address']).toBe(6);
    expect(drops['datagram: EACCES']).toBe(1);
    socket.send({ host: '127.0.0.1', port: socket.port }, bytes);
    await vi.waitFor(() => expect(heard).toHaveLength(1));
  });

  test('drops larger packets than the protocol allows before anyone looks at them', async () => {
    const raw = createSocket('udp4');
    raw.send(Buffer.alloc(1401), socket.port, '127.0.0.1');
    raw.send(Buffer.alloc(65_000), socket.port, '127.0.0.1');
    raw.send(Buffer.alloc(1400), socket.port, '127.0.0.1');
    await vi.waitFor(() => expect(heard).toHaveLength(1));
    expect(heard[0]?.size).toBe(1400);
    expect(metrics.snapshot().drops['datagram: oversize']).toBe(2);
    raw.close();
    await once(raw, 'close');
  });

  test('gives one flooding address its share and another its own', async () => {
    const flooder = createSocket('udp4');
    flooder.bind(0, '127.0.0.2');
    await once(flooder, 'listening');
    for (let at = 0; at < 200; at += 1) flooder.send(Buffer.of(at), socket.port, '127.0.0.1');
    const other = createSocket('udp4');
    other.bind(0, '127.0.0.3');
    await once(other, 'listening');
    await vi.waitFor(() => expect(metrics.snapshot().drops['datagram: rate']).toBeGreaterThan(100));
    other.send(Buffer.of(1), socket.port, '127.0.0.1');
    await vi.waitFor(() => expect(heard.some(({ from }) => from.host === '127.0.0.3')).toBe(true));
    const flood = heard.filter(({ from }) => from.host === '127.0.0.2').length;
    expect(flood).toBeGreaterThanOrEqual(20);
    expect(flood).toBeLessThan(40);
    for (const each of [flooder, other]) each.close();
  });

  test('on :: speaks both families and names IPv4 peers as IPv4', async () => {
    const dual = await open('::', { packetsPerSecond: 1000, burst: 1000 });
    const v4 = createSocket('udp4');
    v4.bind(0, '127.0.0.1');
    await once(v4, 'listening');
    const answer = once(v4, 'message');
    v4.send(Buffer.of(1), dual.port, '127.0.0.1');
    await vi.waitFor(() => expect(heard).toHaveLength(1));
    const from = heard[0]?.from ?? { host: '', port: 0 };
    expect(from).toEqual({ host: '127.0.0.1', port: v4.address().port });
    dual.send(from, Uint8Array.of(5));
    expect((await answer)[0]).toEqual(Buffer.of(5));
    v4.close();
    await dual.stop();
  });

  test('that asks for an address this host does not have says so', async () => {
    await expect(open('192.0.2.1', { packetsPerSecond: 1, burst: 1 })).rejects.toMatchObject({
      code: 'MYCEL_BAD_OPTION',
    });
  });
});

describe('the source guard', () => {
  test('lets a burst pass, then the rate, and fills up again in a pause', () => {
    const guard = createSourceGuard({ packetsPerSecond: 10, burst: 5 });
    const admitted = (at: number, count: number): number => {
      let passed = 0;
      for (let packet = 0; packet < count; packet += 1) if (guard.admit(at, 'a')) passed += 1;
      return passed;
    };
    expect(admitted(0, 100)).toBe(5);
    expect(admitted(1000, 100)).toBe(5);
    expect(admitted(1200, 100)).toBe(2);
    expect(admitted(60_000, 100)).toBe(5);
    // A clock that seems to go back gives nothing.
    expect(admitted(0, 100)).toBe(0);
  });

  test('remembers a bounded number of addresses and forgets the quietest', () => {
    const guard = createSourceGuard({ packetsPerSecond: 1, burst: 1 });
    expect(guard.admit(0, 'loud')).toBe(true);
    for (let at = 0; at < sourcesMax * 3; at += 1) {
      guard.admit(0, `spoofed ${at}`);
      expect(guard.admit(0, 'loud')).toBe(false);
    }
  });
});
