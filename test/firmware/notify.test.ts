/** Outside systemd, and where systemd cannot be told, the node serves all the same. */

import { afterAll, beforeAll, expect, it, vi } from 'vitest';

import { bundleMycel, type Mycel } from '../device/live-mycel.ts';
import { startCommand } from '../process.ts';

let mycel: Mycel;
beforeAll(async () => {
  mycel = await bundleMycel();
}, 60_000);
afterAll(() => mycel.stop());

it('a node that cannot tell systemd how it is says so once, with the fix, and serves on', async () => {
  const flags = '--json --interface lo --profile loopback --data-dir'.split(' ');
  const node = startCommand([process.execPath, mycel.script, 'up', ...flags, mycel.dir('deaf')], {
    env: { NOTIFY_SOCKET: `${mycel.home}/nobody`, WATCHDOG_USEC: '300000' },
  });
  await node.line((line) => line.includes('"ready"'), 20_000);
  const complaints = (): number => node.errors().split('Install systemd-notify').length - 1;
  await vi.waitFor(() => expect(complaints()).toBe(1), 10_000);
  // Some pings later it is still one, and the node still answers.
  const since = performance.now();
  await vi.waitFor(() => expect(performance.now() - since).toBeGreaterThan(1000), 5000);
  const { code } = await mycel.run(['status', '--data-dir', mycel.dir('deaf')]);
  node.child.kill('SIGTERM');
  expect([code, await node.ended, complaints()]).toEqual([0, 0, 1]);
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
