/** The doctor's checks against real sockets, real directories, and files in the layout of /proc and /sys. */

import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { checkClock } from '../../device/doctor/clock-check.ts';
import { checkDataDir } from '../../device/doctor/data-dir-check.ts';
import { checkDisk } from '../../device/doctor/disk-check.ts';
import type { Finding } from '../../device/doctor/finding.ts';
import { checkInterfaces } from '../../device/doctor/interfaces-check.ts';
import { checkMdns } from '../../device/doctor/mdns-check.ts';
import { checkMulticast } from '../../device/doctor/multicast-check.ts';
import { checkPort } from '../../device/doctor/port-check.ts';
import { checkNames } from '../../device/doctor/names-check.ts';
import { checkPower } from '../../device/doctor/power-check.ts';
import { checkReach } from '../../device/doctor/reach-check.ts';
import { checkVersions } from '../../device/doctor/versions-check.ts';
import { runDoctor } from '../../device/doctor/run-doctor.ts';
import { checkMemory, checkNodeVersion } from '../../device/doctor/runtime-check.ts';
import { readFacts } from '../../device/demo/facts.ts';
import { createHardware } from '../../src/adapters/hardware/hardware.ts';
import { listInterfaces } from '../../src/adapters/system/interfaces.ts';
import { plantTree } from '../plant-tree.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mycel-doctor-test-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const plant = (files: Readonly<Record<string, string>>): Promise<string> => plantTree(home, files);

const byCheck = (findings: readonly Finding[], check: string): Finding => {
  const found = findings.find((finding) => finding.check === check);
  if (found === undefined) throw new Error(`no finding ${check} in ${JSON.stringify(findings)}`);
  return found;
};

describe('Node.js and memory', () => {
  it.each([
    ['20.19.0', 'ok'],
    ['24.1.0', 'ok'],
    ['20.18.9', 'fail'],
    ['18.20.4', 'fail'],
  ])('Node.js %s is %s', (version, level) => {
    expect(checkNodeVersion(version).level).toBe(level);
  });

  it.each([
    [400_000, 'max', 'ok'],
    [150_000, 'max', 'warn'],
    [50_000, 'max', 'fail'],
    [400_000, String(64 * 1024 * 1024), 'fail'],
  ])('%d kB available under a limit of %s is %s', async (available, limit, level) => {
    const root = await plant({
      'proc/meminfo': `MemTotal:  500000 kB\nMemFree: 1 kB\nMemAvailable:  ${available} kB\n`,
      'proc/self/cgroup': '0::/system.slice/mycel.service\n',
      'sys/fs/cgroup/system.slice/mycel.service/memory.max': `max\n`,
      'sys/fs/cgroup/system.slice/memory.max': `${limit}\n`,
    });
    expect(checkMemory(root).level).toBe(level);
  });
});

describe('the data directory', () => {
  it('that does not exist yet is judged by the one above it', () => {
    const findings = checkDataDir(join(home, 'a', 'b'), '/');
    expect(findings.map(({ level }) => level)).not.toContain('fail');
    expect(byCheck(findings, 'data directory').text).toContain('will be made');
  });

  it('that others may read is refused, with the command that mends it', async () => {
    await chmod(home, 0o755);
    expect(byCheck(checkDataDir(home, '/'), 'data directory')).toMatchObject({
      level: 'fail',
      fix: `chmod -R go= '${home}'`,
    });
    await chmod(home, 0o700);
    expect(byCheck(checkDataDir(home, '/'), 'data directory').level).toBe('ok');
  });

  it('that is a file is refused', async () => {
    await writeFile(join(home, 'file'), '');
    expect(byCheck(checkDataDir(join(home, 'file'), '/'), 'data directory').level).toBe('fail');
  });

  it('on a read-only file system is refused with the mount, and volatile ones are pointed out', async () => {
    const mounted = join(home, 'mounted');
    await mkdir(mounted);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m,mode=700', 'tmpfs', mounted]);
    try {
      expect(byCheck(checkDataDir(mounted, '/'), 'data directory durable').level).toBe('warn');
      execFileSync('mount', ['-o', 'remount,ro', mounted]);
      const finding = byCheck(checkDataDir(mounted, '/'), 'data directory writable');
      expect(finding.level).toBe('fail');
      expect(finding.text).toContain(`tmpfs at ${mounted}`);
    } finally {
      execFileSync('umount', [mounted]);
    }
  });

  it('on a full disk is refused', async () => {
    const mounted = join(home, 'mounted');
    await mkdir(mounted);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'tmpfs', mounted]);
    try {
      await writeFile(join(mounted, 'fill'), Buffer.alloc(60 * 1024));
      await writeFile(join(mounted, 'rest'), Buffer.alloc(4096)).catch(() => undefined);
      const findings = checkDataDir(mounted, '/');
      expect(byCheck(findings, 'data directory writable').text).toContain('full');
      expect(byCheck(findings, 'free space').level).toBe('fail');
    } finally {
      execFileSync('umount', [mounted]);
    }
  });
});

describe('the port', () => {
  it('names the process that has it, on TCP and on UDP', async () => {
    const server = createServer().listen(0, '0.0.0.0');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = createSocket('udp4').bind(port, '0.0.0.0');
    await once(socket, 'listening');
    const findings = await checkPort({ stated: port, ours: [], root: '/' });
    expect(findings).toHaveLength(2);
    for (const { level, text, fix } of findings) {
      expect(level).toBe('fail');
      expect(text).toContain(`(pid ${process.pid})`);
      expect(fix).toContain('--port');
    }
    server.close();
    socket.close();
    await Promise.all([once(server, 'close'), once(socket, 'close')]);
    expect(await checkPort({ stated: port, ours: [], root: '/' })).toMatchObject([
      { level: 'ok' },
      { level: 'ok' },
    ]);
  });

  it('that our own node has is fine', async () => {
    const server = createServer().listen(0, '0.0.0.0');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    expect(await checkPort({ stated: port, ours: [port], root: '/' })).toMatchObject([
      { level: 'ok' },
    ]);
    server.close();
  });
});

describe('the mDNS port', () => {
  it('can be shared with a program that shares, and not with one that does not', async () => {
    const sharer = createSocket({ type: 'udp4', reuseAddr: true }).bind(0, '0.0.0.0');
    await once(sharer, 'listening');
    expect((await checkMdns('/', sharer.address().port)).level).toBe('ok');
    sharer.close();
    const hog = createSocket({ type: 'udp4', reuseAddr: false }).bind(0, '0.0.0.0');
    await once(hog, 'listening');
    expect(await checkMdns('/', hog.address().port)).toMatchObject({ level: 'fail' });
    hog.close();
  });
});

describe('multicast', () => {
  it('is heard on an address of this machine and not on a stranger’s', async () => {
    const own = Object.entries(networkInterfaces()).flatMap(([name, infos]) =>
      (infos ?? [])
        .filter(({ family, internal }) => family === 'IPv4' && !internal)
        .map(({ address }) => ({ name, host: address })),
    );
    const [first] = own;
    if (first !== undefined) expect(await checkMulticast([first])).toMatchObject([{ level: 'ok' }]);
    expect(await checkMulticast([{ name: 'ghost0', host: '203.0.113.9' }])).toMatchObject([
      { level: 'fail', check: 'multicast ghost0' },
    ]);
    expect(await checkMulticast([])).toMatchObject([{ level: 'warn' }]);
  });
});

describe('the clock', () => {
  it('in 1970 fails, one behind its own files fails, a right one passes', async () => {
    const witness = join(home, 'witness');
    await writeFile(witness, '');
    const now = Date.UTC(2026, 5, 1);
    await utimes(witness, now / 1000, now / 1000);
    const levels = (nowMs: number) => byCheck(checkClock(nowMs, [witness], home), 'clock').level;
    expect(levels(0)).toBe('fail');
    expect(levels(now - 3 * 86_400_000)).toBe('fail');
    expect(levels(now + 1)).toBe('ok');
  });

  it('is known to be kept by timesyncd or another time keeper', async () => {
    const sync = (root: string) => byCheck(checkClock(Date.now(), [], root), 'clock synchronised');
    expect(sync(home).level).toBe('warn');
    await plant({ 'proc/812/comm': 'chronyd\n', 'proc/stat': '' });
    expect(sync(home)).toMatchObject({ level: 'ok', text: 'chronyd keeps it' });
    await plant({ 'run/systemd/timesync/synchronized': '' });
    expect(sync(home).text).toContain('timesyncd');
  });
});

describe('the disk', () => {
  const mounts = { 'proc/mounts': '/dev/mmcblk0p2 / ext4 rw 0 0\nproc /proc proc rw 0 0\n' };
  it.each([
    ['0x01 0x02', '0x01', 'ok'],
    ['0x08 0x01', '0x01', 'warn'],
    ['0x0b 0x01', '0x01', 'fail'],
    ['0x01 0x01', '0x03', 'fail'],
  ])('with life time %s and spares %s is %s', async (life, spares, level) => {
    const root = await plant({
      ...mounts,
      'sys/block/mmcblk0/mmcblk0p2/size': '1',
      'sys/block/mmcblk0/device/life_time': `${life}\n`,
      'sys/block/mmcblk0/device/pre_eol_info': `${spares}\n`,
      'sys/block/mmcblk0/device/type': 'MMC\n',
    });
    expect(byCheck(checkDisk('/var/lib/mycel', root), 'disk')).toMatchObject({ level });
  });

  it('with counted file system errors fails', async () => {
    const root = await plant({ ...mounts, 'sys/fs/ext4/mmcblk0p2/errors_count': '3\n' });
    expect(byCheck(checkDisk('/var/lib/mycel', root), 'file system').level).toBe('fail');
  });
});

describe('interfaces', () => {
  it('each of this machine is either used or left out for a reason', () => {
    const findings = checkInterfaces(listInterfaces, '/');
    for (const name of Object.keys(networkInterfaces())) {
      expect(byCheck(findings, `interface ${name}`).text).toMatch(/^(used|left out: .{6,})/);
    }
  });
});

describe('facts of the machine', () => {
  it('come from the kernel, with the warmest sensor in degrees', async () => {
    const root = await plant({
      'proc/meminfo': 'MemAvailable:  2048 kB\n',
      'sys/class/thermal/thermal_zone0/temp': '48250\n',
      'sys/class/thermal/thermal_zone1/temp': '51340\n',
      'sys/class/hwmon/hwmon0/temp1_input': 'garbage\n',
    });
    expect(readFacts(root)).toMatchObject({ memory: 2, temperature: 51.3 });
    expect(readFacts(join(root, 'nowhere'))).not.toHaveProperty('temperature');
  });
});

describe('power and heat', () => {
  const throttled = 'sys/devices/platform/soc/soc:firmware/get_throttled';
  const heat = 'sys/class/thermal/thermal_zone0/temp';
  it.each([
    ['0', '48000', 'power', 'ok'],
    ['50000', '48000', 'power', 'warn'],
    ['50005', '48000', 'power', 'fail'],
    ['0', '48000', 'temperature', 'ok'],
    ['0', '73000', 'temperature', 'warn'],
    ['4', '73000', 'temperature', 'fail'],
    ['0', '81000', 'temperature', 'fail'],
  ])('throttled %s at %s m°C: %s is %s', async (word, milli, check, level) => {
    const root = await plant({ [throttled]: `${word}\n`, [heat]: `${milli}\n` });
    const facts = createHardware({ root, dataDir: '/' }).read();
    expect(byCheck(checkPower(facts), check).level).toBe(level);
  });

  it('a board that tells nothing gets no opinion', async () => {
    const facts = createHardware({ root: await plant({ 'proc/stat': '' }), dataDir: '/' }).read();
    expect(checkPower(facts)).toEqual([]);
  });
});

describe('reach', () => {
  const member = (name: string, state: 'alive' | 'dead') => ({
    id: name as never,
    name,
    state,
    isSelf: false,
  });
  const overlay = { name: 'full-mesh', active: 1, activeMax: undefined, passive: 0 } as never;
  const link = (peer: string) => ({ peer }) as never;
  const heard = (records: number) => ({
    rungs: [
      { rung: 'mdns' as const, trouble: undefined, records: Array.from({ length: records }) },
    ] as never,
  });

  it('names members that do not answer, and those that are alive but not linked', () => {
    const status = { links: [link('ann')], overlay, uptimeMs: 1 };
    const members = [member('ann', 'alive'), member('bob', 'alive'), member('eve', 'dead')];
    const findings = checkReach(status, members, heard(1));
    expect(byCheck(findings, 'members').text).toContain('eve does not answer');
    expect(byCheck(findings, 'reach')).toMatchObject({
      level: 'warn',
      text: expect.stringContaining('bob') as string,
      fix: expect.stringContaining('AP isolation') as string,
    });
  });

  it('finds a switch that keeps multicast back, once the node has had time to hear', () => {
    const members = [member('ann', 'alive')];
    const early = { links: [link('ann')], overlay, uptimeMs: 60_000 };
    expect(checkReach(early, members, heard(0)).map(({ level }) => level)).toEqual(['ok']);
    const late = { ...early, uptimeMs: 200_000 };
    expect(byCheck(checkReach(late, members, heard(0)), 'multicast from others').fix).toContain(
      'IGMP snooping',
    );
    expect(checkReach(late, members, heard(1)).map(({ level }) => level)).toEqual(['ok']);
  });
});

describe('versions', () => {
  const member = (name: string, version: string, state: 'alive' | 'dead' = 'alive') => {
    return { name, version, state };
  };

  it('are one for all, whatever a board that is gone had', () => {
    const members = [
      member('ann', '0.2.0'),
      member('bob', '0.2.0'),
      member('eve', '0.1.0', 'dead'),
    ];
    expect(checkVersions({ version: '0.2.0', links: [] }, members)).toMatchObject({ level: 'ok' });
  });

  it('are several: who runs which, whose links carry less, and how to change it', () => {
    const members = [member('ann', '0.2.0'), member('bob', '0.1.0'), member('cyd', '0.2.0')];
    const links = [
      { name: 'bob', protocol: '1.1' },
      { name: 'cyd', protocol: '1.2' },
    ];
    expect(checkVersions({ version: '0.2.0', links }, members)).toEqual({
      check: 'versions',
      level: 'warn',
      text: 'The mesh runs several versions: 0.2.0 on 2 boards, 0.1.0 on bob. With bob less is possible: the lower version of a link counts.',
      fix: 'Bring all boards to one: "mycel update status" shows them, "mycel update --to" changes them.',
    });
  });
});

describe('names', () => {
  it('are asked of somebody, or seeds by name are in trouble', async () => {
    expect(checkNames(await plant({ 'etc/resolv.conf': '# none\n' })).level).toBe('warn');
    expect(checkNames(await plant({ 'etc/resolv.conf': 'nameserver 10.0.0.1\n' })).level).toBe(
      'ok',
    );
  });
});

describe('the whole doctor', () => {
  it('checks this machine in a few seconds, leaves nothing behind, and gives every trouble a fix', async () => {
    const dataDir = join(home, 'data');
    const findings = await runDoctor({ dataDir, port: undefined, listInterfaces, root: '/' });
    const groups = ['node', 'memory', 'data directory', 'clock', 'mDNS port', 'running node'];
    for (const check of groups) byCheck(findings, check);
    for (const { level, fix } of findings) expect(fix === undefined).toBe(level === 'ok');
    expect(execFileSync('ls', ['-A', home]).toString()).toBe('');
  });
});
