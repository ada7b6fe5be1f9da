import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createChannelTable } from '../../src/protocol/channels/channel-table.ts';
import { createMemoryBroker } from '../../src/adapters/memory/broker.ts';
import { openDiskEventLog } from '../../src/adapters/disk/event-log.ts';
import { createMemoryEventLog } from '../../src/adapters/memory/event-log.ts';
import { createMemoryLog } from '../../src/adapters/memory/log.ts';
import { createSystemClock } from '../../src/adapters/system/clock.ts';
import { createMetrics } from '../../src/adapters/system/metrics.ts';
import { MycelError } from '../../src/kernel/errors.ts';
import type { MeshId } from '../../src/kernel/ids.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { OutboxConfig } from '../../src/protocol/routing/outbox-types.ts';
import type { EventLog } from '../../src/ports/event-log.ts';
import { createMessaging } from '../../src/runtime/messaging.ts';
import type { Messaging } from '../../src/runtime/messaging-world.ts';
import { readLeftover } from '../../src/runtime/routing/found-events.ts';
import { createGroups } from '../../src/runtime/routing/groups.ts';
import { createLocalInterest } from '../../src/runtime/routing/local-interest.ts';
import { createSubscriptions } from '../../src/runtime/subscriptions.ts';
import { readEnvelope } from '../../src/wire/envelope.ts';
import { simNodeId } from '../sim/routing-mesh.ts';

const self = simNodeId(0);
const peer = simNodeId(1);
const mesh = 'mesh' as MeshId;

interface Stage {
  readonly messaging: Messaging;
  readonly sent: string[];
  readonly alerts: string[];
  readonly givenUp: string[];
  acknowledge(boot: number, upTo: number): void;
}

/** A message floor that is linked with a peer which acknowledges when it is told to. */
async function stage(journal: EventLog, boot = 1, outbox: OutboxConfig = {}): Promise<Stage> {
  const clock = createSystemClock();
  const metrics = createMetrics();
  const log = createMemoryLog();
  const sent: string[] = [];
  const alerts: string[] = [];
  const givenUp: string[] = [];
  const interest = createLocalInterest(clock);
  const groups = createGroups({ self, clock, interest });
  const world = { log, metrics, groups, retained: () => [], wanted: () => undefined };
  const messaging = createMessaging({
    self,
    boot,
    clock,
    random: createRandom(1),
    log,
    metrics,
    broker: createMemoryBroker({
      published: () => undefined,
      interest: () => undefined,
      evicted: () => undefined,
      groups,
    }),
    subscriptions: createSubscriptions(world),
    interest,
    groups,
    channels: createChannelTable([]),
    journal,
    found: await readLeftover(journal, mesh, clock.now()),
    outbox,
    missed: () => undefined,
    givenUp: (_member, count, reason) => void givenUp.push(`${count} ${reason}`),
    mesh,
    alert: (code) => alerts.push(code),
    mayLeave: () => true,
    transmit(_to, raw) {
      sent.push(new TextDecoder().decode(readEnvelope(raw)?.payload));
      return true;
    },
    sendLetter: () => undefined,
    sendInterest: () => undefined,
    sendRetained: () => undefined,
    queuedBytes: () => 0,
    announceNeighbours: () => undefined,
    parcel: () => undefined,
    sendBroadcast: () => undefined,
    profile: 'wired',
    memberCount: () => 1,
    rttMs: () => undefined,
    canRead: () => true,
  });
  onTestFinished(() => messaging.stop());
  let letters = 0;
  messaging.step((router, now) => {
    router.memberJoined(now, peer, 1);
    router.linkUp(now, peer);
  });
  return {
    messaging,
    sent,
    alerts,
    givenUp,
    acknowledge(life, upTo) {
      letters += 1;
      const passage = { to: self, id: letters, isFlood: false };
      const body = { kind: 'ack', boot: life, upTo, ranges: [] } as const;
      messaging.step((router, now) =>
        router.letterReceived(now, peer, { from: peer, fromBoot: 1, ttl: 16, passage, body }),
      );
    },
  };
}

async function publish({ messaging }: Stage, text: string): Promise<void> {
  await messaging.publish('t', new TextEncoder().encode(text), {});
}

describe('an event', () => {
  test('that is acknowledged in time is never written', async () => {
    const journal = createMemoryEventLog();
    const one = await stage(journal);
    for (let round = 0; round < 20; round += 1) {
      const publishing = Array.from({ length: 10 }, (_, at) => publish(one, `${round} ${at}`));
      one.acknowledge(1, (round + 1) * 10);
      await Promise.all(publishing);
    }
    await one.messaging.stop();
    expect(journal.bytesWritten()).toBe(0);
  });

  test('that nobody acknowledges is on disk before its publisher hears that it is taken', async () => {
    const entries: Uint8Array[] = [];
    const one = await stage(createMemoryEventLog(entries));
    await Promise.all(['a', 'b', 'c'].map((text) => publish(one, text)));
    const { leftover: left } = await readLeftover(createMemoryEventLog(entries), mesh, 0);
    expect(left?.events.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(left?.events.every(({ owed }) => owed.length === 1 && owed[0] === peer)).toBe(true);
    const other = await readLeftover(createMemoryEventLog(entries), 'other' as MeshId, 0);
    expect(other.leftover).toBeUndefined();
  });

  test('of a life that ended comes before those of the next, with numbers of the same stream', async () => {
    const entries: Uint8Array[] = [];
    const before = await stage(createMemoryEventLog(entries));
    await Promise.all(['a', 'b'].map((text) => publish(before, text)));
    // Power is cut: nothing more of that life comes to the disk.
    const disk = [...entries];
    const after = await stage(createMemoryEventLog(disk), 2);
    const next = publish(after, 'c');
    expect(after.sent).toEqual(['a', 'b', 'c']);
    after.acknowledge(1, 2 ** 40);
    after.acknowledge(
      1,
      after.messaging.step((router) => router.lastSeq()),
    );
    await next;
    await after.messaging.stop();
    expect((await readLeftover(createMemoryEventLog(disk), mesh, 0)).leftover).toBeUndefined();
  });

  test('is kept in memory when the disk takes nothing, which is said once, and on disk again later', async () => {
    const memory = createMemoryEventLog();
    let isFull = true;
    const refusal = (): MycelError =>
      new MycelError('MYCEL_STORE_FULL', { reason: 'ENOSPC in /data.' });
    const journal: EventLog = {
      ...memory,
      append: (some) => (isFull ? Promise.reject(refusal()) : memory.append(some)),
      rewrite: (...parts) => (isFull ? Promise.reject(refusal()) : memory.rewrite(...parts)),
    };
    const one = await stage(journal);
    await publish(one, 'a');
    expect(one.alerts).toEqual(['outbox-memory']);
    expect(one.messaging.trouble()).toContain('ENOSPC');
    await publish(one, 'b');
    expect(one.alerts).toHaveLength(1);
    isFull = false;
    await one.messaging.stop();
    expect(one.messaging.trouble()).toBeUndefined();
    expect(memory.bytesWritten()).toBeGreaterThan(0);
  });

  test('that is settled leaves the journal, which stays small while others are not', async () => {
    const entries: Uint8Array[] = [];
    const journal = createMemoryEventLog(entries);
    const one = await stage(journal);
    const payload = 'x'.repeat(100_000);
    for (let round = 1; round <= 30; round += 1) {
      await publish(one, payload);
      one.acknowledge(1, round);
    }
    expect(journal.bytesWritten()).toBeGreaterThan(3_000_000 * 0.9);
    expect(journal.bytes()).toBeLessThan(1_600_000);
    await one.messaging.stop();
    expect((await readLeftover(createMemoryEventLog(entries), mesh, 0)).leftover).toBeUndefined();
  });

  test('of which memory holds few is read from the disk for a member that is back, also from a journal written anew', async () => {
    const kinds = [createMemoryEventLog(), await openDiskEventLog(await place())];
    for (const journal of kinds) {
      const one = await stage(journal, 1, { countMax: 120 });
      const settled = 120;
      const first = Array.from({ length: settled }, () => publish(one, 'x'.repeat(10_000)));
      await Promise.all(first);
      one.acknowledge(1, settled);
      one.sent.length = 0;
      one.messaging.step((router, now) => {
        router.linkDown(now, peer);
        router.memberGone(now, peer, 'dead');
      });
      const before = journal.bytes();
      expect(before).toBeGreaterThan(1024 * 1024);
      const texts = Array.from({ length: 300 }, (_, at) => `${at} `.padEnd(500, '.'));
      await Promise.all(texts.map((text) => publish(one, text)));
      const { outbox } = one.messaging.view();
      expect(outbox.count).toBe(300);
      expect(outbox.count - outbox.awayCount).toBeLessThanOrEqual(120);
      // Without what was settled.
      expect(journal.bytes()).toBeLessThan(before);
      one.messaging.step((router, now) => {
        router.memberJoined(now, peer, 1);
        router.linkUp(now, peer);
      });
      await expect.poll(() => one.sent.length).toBe(300);
      expect(one.sent).toEqual(texts);
      one.acknowledge(1, settled + 300);
      expect(one.messaging.view().outbox).toMatchObject({ count: 0, awayCount: 0 });
      expect(one.givenUp).toEqual([]);
    }
  });

  test('of which memory holds few survives a restart, and the journal of an earlier life is not read as its own', async () => {
    const directory = await place();
    let journal = await openDiskEventLog(directory);
    const texts = Array.from({ length: 3000 }, (_, at) => `${at} `.padEnd(1000, '.'));
    let one = await stage(journal, 1, { countMax: 8 });
    one.messaging.step((router, now) => {
      router.linkDown(now, peer);
      router.memberGone(now, peer, 'dead');
    });
    await Promise.all(texts.map((text) => publish(one, text)));
    await journal.close();
    journal = await openDiskEventLog(directory);
    one = await stage(journal, 2, { countMax: 8 });
    // Read in pieces, of which memory keeps the first megabyte until it is needed.
    expect(one.messaging.view().outbox.awayCount).toBeGreaterThan(1_500);
    for (let upTo = 0; upTo < 3000;) {
      await expect.poll(() => one.sent.length).toBeGreaterThan(upTo);
      upTo = one.sent.length;
      one.acknowledge(1, upTo);
    }
    expect(one.sent).toEqual(texts);
    await publish(one, 'next');
    expect(one.sent.at(-1)).toBe('next');
    await journal.close();
  });

  test('that is lost for a member is told', async () => {
    const one = await stage(createMemoryEventLog(), 1, { countMax: 8, awayCountMax: 16 });
    one.messaging.step((router, now) => {
      router.linkDown(now, peer);
      router.memberGone(now, peer, 'dead');
    });
    for (let at = 0; at < 40; at += 1) await publish(one, `${at}`);
    const told = one.givenUp.map((text) => text.split(' '));
    expect(new Set(told.map(([, reason]) => reason))).toEqual(new Set(['quota']));
    const lost = told.reduce((sum, [count]) => sum + Number(count), 0);
    expect(lost).toBe(40 - one.messaging.view().outbox.count);
    expect(lost).toBeGreaterThan(0);
  });
});

async function place(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'mycel-outbox-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}
