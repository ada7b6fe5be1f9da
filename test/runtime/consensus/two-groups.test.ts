/** Groups of voters that began apart and meet: both go on, neither takes the other in, and people are told. */

import { expect, test, vi } from 'vitest';
import { createLoopback, linked, portOf } from '../loopback.ts';

test('two groups that meet in one open mesh do not merge: both nodes raise an alert, and each keeps what it decided', async () => {
  await using home = await createLoopback();
  const dev = { dev: true };
  const first = await home.up('ann', dev);
  await first.kv.put('who', 'ann');
  await first.stop();
  const ben = await home.up('ben', dev);
  await ben.kv.put('who', 'ben');
  const ann = await home.up('ann', { ...dev, seeds: [`127.0.0.1:${portOf(ben)}`] });
  await linked(ann, ben);
  await vi.waitFor(
    () => {
      for (const node of [ann, ben]) {
        const codes = home.told(node, 'alert').map(({ code }) => code);
        expect(codes).toContain('two-groups');
        expect(node.status().warnings.join(' ')).toContain('they never merge');
      }
    },
    { timeout: 20_000, interval: 50 },
  );
  expect((await ann.kv.get('who'))?.value).toBe('ann');
  expect((await ben.kv.get('who'))?.value).toBe('ben');
  expect((await ann.leader()).voters).toEqual([ann.id]);
  expect((await ben.leader()).voters).toEqual([ben.id]);
}, 60_000);
