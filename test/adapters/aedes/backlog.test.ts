/** What waits for a client that reads slower than the mesh brings: all of it comes, in order, once, and memory stays within its bound. */

import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { createBacklog } from '../../../src/adapters/aedes/backlog.ts';
import { createBacklogFiles } from '../../../src/adapters/aedes/backlog-files.ts';
import type { KeptPacket } from '../../../src/adapters/aedes/backlog-record.ts';
import { brokerLimits } from '../../../src/adapters/aedes/broker-limits.ts';
import { startBroker } from './broker-fixture.ts';
import type { BrokerFixture } from './broker-fixture.ts';
import { rawClient, type } from './raw-client.ts';
import type { RawClient } from './raw-client.ts';

async function directory(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'mycel-backlog-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  return join(root, 'backlog');
}

async function start(options: Parameters<typeof startBroker>[0]): Promise<BrokerFixture> {
  const fixture = await startBroker({
    ...options,
    limits: { frozenMs: 60_000, ...options?.limits },
  });
  onTestFinished(() => fixture.stop());
  return fixture;
}

async function connectTo(fixture: BrokerFixture, isClean: boolean): Promise<RawClient> {
  const client = await rawClient(fixture.localPort);
  onTestFinished(() => void client.socket.destroy());
  expect((await client.connect({ clientId: 'slow', isClean })).code).toBe(0);
  return client;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Delivers so many messages of a kilobyte as a mesh does, as fast as it can; every third at QoS 0. */
async function flood(fixture: BrokerFixture, count: number, from = 0): Promise<void> {
  for (let at = from; at < from + count; at += 1) {
    const payload = Buffer.from(`${at}:${'x'.repeat(1000)}`);
    const qos = at % 3 === 0 ? 0 : 1;
    fixture.broker.deliver({ topic: 'flood/x', payload, qos, retain: false });
    if (at % 50 === 0) await turn();
  }
}

function acknowledgeAll(client: RawClient): void {
  for (const { id } of client.publishes()) {
    if (id !== undefined) client.send(Buffer.from([type.puback << 4, 2, id >> 8, id & 255]));
  }
}

const drops = (fixture: BrokerFixture): string => JSON.stringify(fixture.metrics.snapshot().drops);

test.each([
  ['a clean', true],
  ['a kept', false],
])('%s session that reads late gets 16 MB in order and once', async (_, isClean) => {
  const backlogDirectory = await directory();
  const fixture = await start({ backlogDirectory });
  const slow = await connectTo(fixture, isClean);
  // One message, two filters: it comes once, as the better of them grants.
  await slow.subscribe([
    ['flood/#', 1],
    ['flood/x', 0],
  ]);
  slow.socket.pause();
  const count = 16_000;
  let isOver = false;
  let queued = 0;
  let onDisk = 0;
  const watching = (async () => {
    while (!isOver) {
      const [client] = fixture.broker.clients();
      queued = Math.max(queued, client?.queuedBytes ?? 0);
      onDisk = Math.max(onDisk, client?.diskBytes ?? 0);
      await turn();
    }
  })();
  await flood(fixture, count / 2);
  // What comes while it reads on goes behind what waits.
  slow.socket.resume();
  await flood(fixture, count / 2, count / 2);
  while (slow.packets.length < count + 2 && !slow.isClosed()) await turn();
  isOver = true;
  await watching;
  acknowledgeAll(slow);
  await slow.ping();
  const numbers = slow.publishes().map(({ payload }) => Number(payload.split(':')[0]));
  expect(numbers).toEqual(Array.from({ length: count }, (_one, at) => at));
  expect(slow.publishes().map(({ qos }) => qos)).toEqual(
    Array.from({ length: count }, (_one, at) => (at % 3 === 0 ? 0 : 1)),
  );
  expect(queued).toBeLessThan(brokerLimits.local.queuedBytes);
  // Of the first 8 MB, what neither the connection nor the three pieces at most in memory hold.
  expect(onDisk).toBeGreaterThan(2 * 1024 * 1024);
  expect(drops(fixture)).not.toContain('slow-reader');
  while (fixture.broker.clients()[0]?.diskBytes !== 0) await turn();
  expect(await readdir(backlogDirectory)).toEqual([]);
});

test('a client is let go of at the bound of its backlog, and nothing of it stays', async () => {
  const backlogDirectory = await directory();
  const local = { ...brokerLimits.local, backlogBytes: 4 * 1024 * 1024 };
  const fixture = await start({ backlogDirectory, limits: { local } });
  const slow = await connectTo(fixture, true);
  await slow.subscribe([['flood/#', 1]]);
  slow.socket.pause();
  await flood(fixture, 20_000);
  expect(fixture.evicted.map(({ reason }) => reason)).toEqual([
    'it reads too slowly: its queue is full',
  ]);
  expect(fixture.evicted[0]?.client.diskBytes).toBeGreaterThan(3 * 1024 * 1024);
  slow.socket.resume();
  await slow.closed();
  await fixture.broker.stop();
  await expect(readdir(backlogDirectory)).rejects.toThrow('ENOENT');
});

test('one that never reads is let go of by time, not by what waits', async () => {
  const fixture = await start({
    backlogDirectory: await directory(),
    limits: { frozenMs: 300 },
  });
  const slow = await connectTo(fixture, true);
  await slow.subscribe([['flood/#', 1]]);
  slow.socket.pause();
  await flood(fixture, 6_000);
  while (fixture.evicted.length === 0) await turn();
  expect(fixture.evicted[0]?.reason).toContain('frozen');
});

test('where the disk takes nothing a client is let go of with the reason', async () => {
  const root = await directory();
  await writeFile(root, 'a file');
  const fixture = await start({ backlogDirectory: join(root, 'below') });
  const slow = await connectTo(fixture, true);
  await slow.subscribe([['flood/#', 1]]);
  slow.socket.pause();
  await flood(fixture, 20_000);
  expect(fixture.evicted[0]?.reason).toMatch(/on the disk is lost: E(NOTDIR|EXIST)/);
});

test('what an earlier life left is removed', async () => {
  const backlogDirectory = await directory();
  await mkdir(backlogDirectory);
  await writeFile(join(backlogDirectory, '7'), 'left');
  const fixture = await start({ backlogDirectory });
  await fixture.broker.stop();
  await expect(readdir(backlogDirectory)).rejects.toThrow('ENOENT');
});

test('a backlog is a queue: whatever comes and goes when, nothing is lost, doubled or turned round', async () => {
  const root = await directory();
  const step = fc.record({
    puts: fc.array(fc.record({ bytes: fc.nat(300_000), isPlain: fc.boolean() }), { maxLength: 6 }),
    rounds: fc.nat(3),
    hasPause: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const files = createBacklogFiles(root, 64 * 1024 * 1024);
      const given: string[] = [];
      let relief: (() => void)[] = [];
      const backlog = createBacklog({
        files,
        brokerId: 'b',
        bytesMax: 64 * 1024 * 1024,
        memoryBytesMax: 2 * 1024 * 1024,
        whenRelieved: (callback) => void relief.push(callback),
        give: (kept) => given.push(nameOf(kept)),
        failed: (reason) => expect.unreachable(reason),
      });
      const release = (): void => {
        const due = relief;
        relief = [];
        for (const one of due) one();
      };
      const expected: string[] = [];
      let number = 0;
      for (const { puts, rounds, hasPause } of steps) {
        for (const { bytes, isPlain } of puts) {
          number += 1;
          const payload = Buffer.alloc(bytes, number);
          const kept: KeptPacket = {
            isPlain,
            packet: {
              cmd: 'publish',
              topic: `t/${'é'.repeat(number % 5)}`,
              payload,
              qos: (number % 3) as 0 | 1 | 2,
              retain: number % 2 === 0,
              dup: number % 5 === 0,
              ...(number % 4 === 0 ? {} : { brokerId: 'b', brokerCounter: number }),
            },
          };
          if (backlog.put(kept)) expected.push(nameOf(kept));
        }
        for (let round = 0; round < rounds; round += 1) release();
        // Room comes while a piece is on its way to the disk, or after it.
        if (hasPause) await turn();
        expect(backlog.memoryBytes()).toBeLessThanOrEqual(3 * 1024 * 1024);
      }
      while (backlog.isUsed()) {
        release();
        await turn();
      }
      expect(given).toEqual(expected);
      while (backlog.diskBytes() > 0) await turn();
      expect(backlog.memoryBytes()).toBe(0);
      await files.stop();
    }),
    { numRuns: 40 },
  );
});

function nameOf({ packet, isPlain }: KeptPacket): string {
  const { topic, payload, qos, retain, dup, brokerId, brokerCounter } = packet;
  const own = { topic, qos, retain, dup, brokerId, brokerCounter, isPlain };
  return `${JSON.stringify(own)} ${payload.length} ${payload[0]} ${payload.at(-1)}`;
}
