/** The service under a real systemd: it becomes ready, is watched, restarted, left alone when told to, and taken off. */

import { dirname, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Finished } from '../process.ts';
import { createBoard, type Board, type BootedBoard } from './board.ts';
import { shipMycel } from './package.ts';

let board: Board;
let booted: BootedBoard;
const mycel = (...args: readonly string[]): Promise<Finished> =>
  booted.run(['/usr/local/bin/mycel', ...args]);
const show = async (property: string): Promise<string> => {
  const { stdout } = await booted.run(['systemctl', 'show', 'mycel', '-P', property]);
  return stdout.trim();
};
const nodeId = async (): Promise<string> => {
  const { stdout } = await mycel('status', '--json');
  return (JSON.parse(stdout) as { node: string }).node;
};
const active = ['systemctl', 'is-active', 'mycel'];

beforeAll(async () => {
  const shipped = await shipMycel();
  board = await createBoard();
  await board.give(shipped.bundle, '/opt/mycel.mjs');
  await board.give(join(dirname(shipped.bundle), 'parts'), '/opt/parts');
  await shipped.remove();
  booted = await board.boot();
  await booted.until(['systemctl', 'is-system-running'], /running|degraded/);
}, 90_000);
afterAll(async () => {
  await booted.cutPower();
  await board.remove();
});

// One story: each part begins where the one before it ended.
describe('mycel service', () => {
  it('says that it is not installed, and how to change that', async () => {
    const { code, stderr } = await booted.run(['node', '/opt/mycel.mjs', 'service', 'status']);
    expect([code, stderr]).toEqual([
      1,
      'The service is not installed on this machine. Install it: sudo mycel service install\n',
    ]);
  });

  it('is ready when "install" returns, as its own user, with a state nobody else can read', async () => {
    const command = 'node /opt/mycel.mjs service install --json --name attic'.split(' ');
    const done = await booted.run(command);
    expect(done).toMatchObject({ code: 0 });
    expect(JSON.parse(done.stdout)).toMatchObject({
      steps: expect.arrayContaining([{ did: 'started', what: 'mycel.service' }]) as unknown,
    });
    const { stdout } = await mycel('service', 'status', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      state: 'active',
      isEnabled: true,
      restarts: 0,
      status: expect.stringMatching(/^mesh '.+', 1 alive, 0 links/) as unknown,
    });
    expect((await booted.run(['stat', '-c', '%U %a', '/var/lib/mycel'])).stdout).toBe(
      'mycel 700\n',
    );
    const user = await booted.run(['ps', '-o', 'user=', '-p', await show('MainPID')]);
    expect(user.stdout.trim()).toBe('mycel');
    expect((await mycel('status')).stdout).toMatch(/^node +attic /);
  });

  it('says the same to a person', async () => {
    const { stdout } = await mycel('service', 'status');
    expect(stdout).toMatch(/^service {2}active since .+\nat boot {2}starts\nsays {5}mesh '/);
    expect((await mycel('service', 'logs')).stdout).toContain('ready    attic');
  });

  it('fits a board of 512 MB with room to spare', async () => {
    const { stdout } = await booted.run(['cat', `/proc/${await show('MainPID')}/status`]);
    const rssKib = Number(/VmRSS:\s+(\d+)/.exec(stdout)?.[1]);
    expect(rssKib).toBeGreaterThan(20_000);
    expect(rssKib * 1024).toBeLessThan(Number(await show('MemoryHigh')) / 2);
  });

  it('cannot write, look or grow beyond what the unit allows', async () => {
    const pid = await show('MainPID');
    const { stdout } = await booted.run(['cat', `/proc/${pid}/status`]);
    expect(stdout).toMatch(/CapBnd:\t0+\n/);
    expect(stdout).toMatch(/NoNewPrivs:\t1\nSeccomp:\t2\n/);
    const mounts = await booted.run(['cat', `/proc/${pid}/mounts`]);
    expect(mounts.stdout).toMatch(/ \/ overlay ro,/);
    expect(mounts.stdout).toMatch(/ \/var\/lib\/mycel overlay rw,/);
  });

  it('installs over a running node without touching it when nothing has changed', async () => {
    const pid = await show('MainPID');
    const again = await mycel('service', 'install');
    expect(again.stdout).toContain('kept     running: nothing has changed');
    expect(await show('MainPID')).toBe(pid);
  });

  it('keeps the watchdog fed, and has a frozen node replaced under the same identity', async () => {
    const before = await nodeId();
    await booted.run([
      'sh',
      '-c',
      `mkdir /etc/systemd/system/mycel.service.d
       printf '[Service]\\nWatchdogSec=2\\nRestartSec=100ms\\n' >/etc/systemd/system/mycel.service.d/quick.conf
       systemctl daemon-reload; systemctl restart mycel`,
    ]);
    const fed = await show('WatchdogTimestampMonotonic');
    await booted.until(
      [
        'sh',
        '-c',
        `test "$(systemctl show mycel -P WatchdogTimestampMonotonic)" != ${fed} && echo fed`,
      ],
      /fed/,
    );
    expect(await show('NRestarts')).toBe('0');
    const frozen = await show('MainPID');
    await booted.run(['kill', '-STOP', frozen]);
    await booted.until(['systemctl', 'show', 'mycel', '-P', 'NRestarts'], /^1$/m);
    await booted.until(active, /^active/);
    const journal = await booted.run(['journalctl', '-u', 'mycel', '-o', 'cat']);
    expect(journal.stdout).toContain('Watchdog timeout (limit 2s)!');
    expect(await show('MainPID')).not.toBe(frozen);
    expect(await nodeId()).toBe(before);
  });

  it('comes back after kill -9, and stays down after "mycel down"', async () => {
    await booted.run(['systemctl', 'kill', '-s', 'KILL', 'mycel']);
    await booted.until(['systemctl', 'show', 'mycel', '-P', 'NRestarts'], /^2$/m);
    await booted.until(active, /^active/);
    expect((await mycel('down')).code).toBe(0);
    await booted.until(active, /^inactive/);
    const { code, stderr } = await mycel('service', 'status');
    expect(code).toBe(3);
    expect(stderr).toContain('The service does not run (inactive, success).');
  });

  it('is up again after a power cut, as the same node', async () => {
    await booted.run(['systemctl', 'start', 'mycel']);
    const before = await nodeId();
    await booted.cutPower();
    booted = await board.boot();
    await booted.until(active, /^active/);
    expect(await nodeId()).toBe(before);
  });

  it('runs on a root that is read-only but for its state', async () => {
    const before = await nodeId();
    const lock = 'mount --bind /var/lib/mycel /var/lib/mycel; mount -o remount,bind,ro /';
    expect(await booted.run(['sh', '-ec', lock])).toMatchObject({ code: 0 });
    expect((await booted.run(['touch', '/var/lib/x'])).stderr).toContain('Read-only file system');
    await booted.run(['systemctl', 'restart', 'mycel']);
    await booted.until(active, /^active/);
    expect(await nodeId()).toBe(before);
    expect(await mycel('state', 'set', 'where', '"here"')).toMatchObject({ code: 0 });
    const open = 'mount -o remount,bind,rw /; umount -l /var/lib/mycel';
    expect(await booted.run(['sh', '-ec', open])).toMatchObject({ code: 0 });
  });

  it('does not go round in circles over a wrong option', async () => {
    await booted.run(['sh', '-c', 'echo MYCEL_ARGS=--nope >>/etc/mycel/env']);
    await booted.run(['systemctl', 'restart', 'mycel']);
    await booted.until(active, /^failed/);
    expect(await show('NRestarts')).toBe('0');
    expect((await mycel('service', 'logs')).stdout).toContain("Unknown option '--nope'");
  });

  it('uninstalls itself and leaves the identity', async () => {
    expect(await mycel('service', 'uninstall')).toMatchObject({ code: 0 });
    expect((await booted.run(['systemctl', 'cat', 'mycel'])).code).not.toBe(0);
    const kept = await booted.run(['ls', '/var/lib/mycel']);
    expect(kept.stdout).toContain('identity');
  });
});
