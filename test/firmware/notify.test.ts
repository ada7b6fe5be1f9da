/** Outside systemd, and where systemd cannot be told, the node serves all the same. */

import { afterAll, beforeAll, expect, it, vi } from 'vitest';

import { bundleMycel, type Mycel } from '../device/live-mycel.ts';

let mycel: Mycel;
beforeAll(async () => {
  mycel = await bundleMycel();
}, 60_000);
afterAll(() => mycel.stop());

it('a node that cannot tell systemd how it is says so once, with the fix, and serves on', async () => {
  let complaint = '';
  const node = await mycel.up('deaf', [], {
    NOTIFY_SOCKET: `${mycel.home}/nobody`,
    WATCHDOG_USEC: '300000',
  });
  node.child.stderr?.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  await vi.waitFor(() => expect(complaint).toContain('Install systemd-notify'), 10_000);
  // Several watchdog periods later it is still one line, and the node still answers.
  const since = performance.now();
  await vi.waitFor(() => expect(performance.now() - since).toBeGreaterThan(1000), 5000);
  const { code } = await mycel.run(['status', '--data-dir', mycel.dir('deaf')]);
  expect([code, complaint.trimEnd().split('\n').length]).toEqual([0, 1]);
});

it('a watchdog that is meant for another process is not fed', async () => {
  const node = await mycel.up('other', [], {
    NOTIFY_SOCKET: `${mycel.home}/nobody`,
    WATCHDOG_USEC: '300000',
    WATCHDOG_PID: '1',
  });
  node.child.kill('SIGTERM');
  expect((await node.ended).code).toBe(0);
});
