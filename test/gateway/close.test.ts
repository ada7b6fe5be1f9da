/** A gateway that stops: nobody waits who has nothing to wait for, and nothing is left behind. */

import { once } from 'node:events';
import { connect } from 'node:net';

import { expect, test } from 'vitest';

import { chatOf, startGateway } from './live-gateway.ts';

/** Whether it happens before the grace for answers under way (2 s) is over. */
const isSoon = async (done: Promise<unknown>): Promise<boolean> => {
  const before = performance.now();
  await done;
  return performance.now() - before < 1_500;
};

test('does not wait for a connection that never asked, or keeps itself for later', async () => {
  const live = await startGateway();
  const silent = connect(live.gateway.http.port, '127.0.0.1');
  await once(silent, 'connect');
  await (await live.post('/v1/chat/completions', chatOf('hi'))).text();
  expect(await isSoon(live.gateway.close())).toBe(true);
  silent.destroy();
  await live.providers[0]?.close();
});

test('lets an answer under way end, and waits no longer than that', async () => {
  const live = await startGateway();
  const release = live.providers[0]?.hold();
  const asked = live.post('/v1/chat/completions', chatOf('12 words', { stream: true }));
  await expect.poll(() => live.providers[0]?.seen.length).toBe(1);
  const closed = live.gateway.close();
  release?.();
  const [isQuick, text] = await Promise.all([
    isSoon(closed),
    asked.then((response) => response.text()),
  ]);
  expect(isQuick).toBe(true);
  expect(text).toContain('[DONE]');
  await live.providers[0]?.close();
});

test('leaves no listener behind on an answer that comes in many pieces', async () => {
  const warnings: string[] = [];
  const onWarning = ({ name }: Error): void => void warnings.push(name);
  process.on('warning', onWarning);
  const live = await startGateway();
  live.providers[0]?.always({ kind: 'bytes' });
  await (await live.post('/v1/chat/completions', chatOf('3 words', { stream: true }))).text();
  await live.close();
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});
