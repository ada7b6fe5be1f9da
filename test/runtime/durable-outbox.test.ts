import { describe, expect, onTestFinished, test } from 'vitest';
import { createChannelTable } from '../../src/protocol/channels/channel-table.ts';
import { createMemoryBroker } from '../../src/adapters/memory/broker.ts';
import { createMemoryEventLog } from '../../src/adapters/memory/event-log.ts';
import { createMemoryLog } from '../../src/adapters/memory/log.ts';
import { createSystemClock } from '../../src/adapters/system/clock.ts';
import { createMetrics } from '../../src/adapters/system/metrics.ts';
import { MycelError } from '../../src/kernel/errors.ts';
import type { MeshId } from '../../src/kernel/ids.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { EventLog } from '../../src/ports/event-log.ts';
import { createMessaging } from '../../src/runtime/messaging.ts';
import type { Messaging } from '../../src/runtime/messaging-world.ts';
import { readLeftover } from '../../src/runtime/routing/durable-outbox.ts';
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
  acknowledge(boot: number, upTo: number): void;
}

/** A message floor that is linked with a peer which acknowledges when it is told to. */
function stage(journal: EventLog, boot = 1): Stage {
  const clock = createSystemClock();
  const metrics = createMetrics();
  const log = createMemoryLog();
  const sent: string[] = [];
  const alerts: string[] = [];
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
    leftover: readLeftover(journal.found, mesh, clock.now()),
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
    const one = stage(journal);
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
    const one = stage(createMemoryEventLog(entries));
    await Promise.all(['a', 'b', 'c'].map((text) => publish(one, text)));
    const left = readLeftover(entries, mesh, 0);
    expect(left?.events.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(left?.events.every(({ owed }) => owed.length === 1 && owed[0] === peer)).toBe(true);
    expect(readLeftover(entries, 'other' as MeshId, 0)).toBeUndefined();
  });

  test('of a life that ended comes before those of the next, with numbers of the same stream', async () => {
    const entries: Uint8Array[] = [];
    const before = stage(createMemoryEventLog(entries));
    await Promise.all(['a', 'b'].map((text) => publish(before, text)));
    // Power is cut: nothing more of that life comes to the disk.
    const disk = [...entries];
    const after = stage(createMemoryEventLog(disk), 2);
    const next = publish(after, 'c');
    expect(after.sent).toEqual(['a', 'b', 'c']);
    after.acknowledge(1, 2 ** 40);
    after.acknowledge(
      1,
      after.messaging.step((router) => router.lastSeq()),
    );
    await next;
    await after.messaging.stop();
    expect(readLeftover(disk, mesh, 0)).toBeUndefined();
  });

  test('is kept in memory when the disk takes nothing, which is said once, and on disk again later', async () => {
    const memory = createMemoryEventLog();
    let isFull = true;
    const refusal = (): Promise<void> =>
      Promise.reject(new MycelError('MYCEL_STORE_FULL', { reason: 'ENOSPC in /data.' }));
    const journal: EventLog = {
      ...memory,
      append: (some) => (isFull ? refusal() : memory.append(some)),
      replace: (some) => (isFull ? refusal() : memory.replace(some)),
    };
    const one = stage(journal);
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
    const one = stage(journal);
    const payload = 'x'.repeat(100_000);
    for (let round = 1; round <= 30; round += 1) {
      await publish(one, payload);
      one.acknowledge(1, round);
    }
    expect(journal.bytesWritten()).toBeGreaterThan(3_000_000 * 0.9);
    expect(journal.bytes()).toBeLessThan(1_600_000);
    await one.messaging.stop();
    expect(readLeftover(entries, mesh, 0)).toBeUndefined();
  });
});
