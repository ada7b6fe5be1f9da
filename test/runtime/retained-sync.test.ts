import { expect, test } from 'vitest';
import { startNode, until } from './loopback.ts';

test('a newcomer gets all the retained messages that a mesh can hold, over one link', async () => {
  const ann = await startNode('ann');
  const invite = (await ann.invite()).invite;
  const payload = new Uint8Array(16 * 1024).fill(7);
  const topic = 'x'.repeat(1000);
  for (let at = 0; at < 1000; at += 1) {
    await ann.publish(`${topic}/${at}`, payload, { retain: true });
  }
  const bob = await startNode('bob');
  const closed: string[] = [];
  ann.on('link', ({ isOpen, reason }) => isOpen || closed.push(reason));
  let count = 0;
  bob.subscribe('#', () => (count += 1));
  await bob.join(invite);
  await until(() => count === 1000, 20_000);
  expect(closed).toEqual([]);
  const late = new Set<string>();
  bob.subscribe('#', (message) => late.add(message.topic));
  await until(() => late.size === 1000);
});
