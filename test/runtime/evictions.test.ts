/** Who was let go, and why, as `status` tells it. */

import { expect, onTestFinished, test } from 'vitest';
import { createMemoryClock } from '../../src/adapters/memory/clock.ts';
import { createMemoryLog } from '../../src/adapters/memory/log.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import type { LinkSession } from '../../src/ports/link.ts';
import { linkBounds } from '../../src/ports/link.ts';
import { createEvictions, evictionsMax } from '../../src/runtime/evictions.ts';
import { rawClient } from '../adapters/aedes/raw-client.ts';
import { portOf, startNode, until } from './loopback.ts';

const session: LinkSession = {
  peer: 'p'.repeat(28) as NodeId,
  isDialler: true,
  remote: { host: '10.0.0.7', port: 1883 },
  certificate: new Uint8Array(),
  send: () => true,
  queuedBytes: () => 7_000,
  hurry: () => undefined,
  close: () => undefined,
};

test('a link is remembered when a bound closed it, and logged; any other close is not', () => {
  const clock = createMemoryClock();
  const log = createMemoryLog();
  const evictions = createEvictions(clock, log);
  evictions.link(session, 'the peer closed the connection');
  evictions.link(session, 'double');
  expect(evictions.recent()).toEqual([]);
  for (const reason of Object.values(linkBounds)) evictions.link(session, `${reason} 46 s`);
  clock.advance(1_500);
  expect(evictions.recent()).toHaveLength(4);
  expect(evictions.recent().at(-1)).toEqual({
    kind: 'link',
    who: session.peer,
    guest: undefined,
    remote: '10.0.0.7:1883',
    reason: `${linkBounds.overflow} 46 s`,
    queuedBytes: 7_000,
    agoMs: 1_500,
  });
  expect(log.take().filter(({ message }) => message === 'let go of a link')).toHaveLength(4);
});

test('the latest are remembered, all are counted', () => {
  const evictions = createEvictions(createMemoryClock(), createMemoryLog());
  for (let at = 0; at < evictionsMax + 5; at += 1) evictions.link(session, `hostile: ${at}`);
  expect(evictions.recent()).toHaveLength(evictionsMax);
  expect(evictions.recent()[0]?.reason).toBe(`hostile: ${evictionsMax + 4}`);
  expect(evictions.count()).toBe(evictionsMax + 5);
});

test('a frozen client of a real node is let go, and the status says who, why and when', async () => {
  const node = await startNode('ann');
  const frozen = await rawClient(portOf(node));
  onTestFinished(() => void frozen.socket.destroy());
  await frozen.connect({ clientId: 'display' });
  await frozen.subscribe([['video', 0]]);
  frozen.socket.pause();
  const payload = new Uint8Array(100_000);
  await until(() => {
    for (let burst = 0; burst < 8; burst += 1) void node.publish('video', payload, { qos: 0 });
    return node.status().evictions.length > 0;
  });
  const { evictions, evictionCount } = node.status();
  expect(evictionCount).toBe(1);
  expect(evictions[0]).toMatchObject({ kind: 'local', who: 'display' });
  expect(evictions[0]?.reason).toMatch(/reads too slowly|frozen/);
  expect(evictions[0]?.queuedBytes).toBeGreaterThan(512 * 1024);
  expect(evictions[0]?.agoMs).toBeLessThan(15_000);
});
