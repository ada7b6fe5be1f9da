import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { Lab } from './lab.ts';
import type { Host } from './lab-host.ts';
import { createMesh, mintInvite, startMesh, startNode } from './lab-mesh.ts';
import { shareLab } from './share-lab.ts';
import { linkedAs } from './traffic.ts';
import { heals } from './views.ts';

const flags = ['--profile', 'fast'];
const mounts: string[] = [];

let lab: Lab;
shareLab({ hosts: 3 }, async (fresh) => {
  lab = fresh;
});
afterEach(async () => {
  for (const host of lab.hosts) await host.kill();
  for (const path of mounts.splice(0)) execFileSync('umount', ['-l', path]);
  for (const { dataDir } of lab.hosts) rmSync(dataDir, { recursive: true, force: true });
});

/** Puts a small file system where the data directory of a host is to be. */
function mountTmpfs(path: string, size: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'tmpfs', path]);
  mounts.push(path);
}

function fill(path: string): void {
  try {
    execFileSync('dd', ['if=/dev/zero', `of=${join(path, 'fill')}`, 'bs=4k'], { stdio: 'ignore' });
  } catch {
    // It ends when the disk is full: that is what it is for.
  }
}

/** One line with a reason and a fix, no stack trace. */
async function complaint(host: Host, ...args: readonly string[]): Promise<[number | null, string]> {
  const { code, stderr, stdout } = await host.cli(...args);
  expect(stdout).toBe('');
  const lines = stderr.trimEnd().split('\n');
  expect(lines.length, stderr).toBe(1);
  expect(stderr).not.toMatch(/\n?\s+at .*:\d+/);
  return [code, lines[0] ?? ''];
}

describe('a wrong command line', () => {
  test.each([
    [['up', '--prot', '1883'], 2, "Unknown option '--prot'. Did you mean --port?"],
    [['upp'], 2, 'Did you mean up?'],
    [['up', 'now'], 2, 'Too many arguments'],
    [['up', '--port', '70000'], 2, 'whole number from 0 to 65535'],
    [['up', '--label', 'kitchen'], 2, '--label room=kitchen'],
    [['up', '--label', `room=${'x'.repeat(65)}`], 2, "'labels.room' must be 1 to 64 characters"],
    [['up', '--name', 'a\u0007b'], 2, "'name' must be 1 to 64 characters"],
    [['up', '--profile', 'slow'], 2, 'wired, wifi, fast, loopback'],
    [['up', '--seed', 'a b'], 2, 'must be host:port'],
    [['up', '--join', '@/nowhere/invite'], 2, 'cannot be read (ENOENT)'],
    [['up', '--dev', '--join', 'mycel:1:a'], 2, 'exclude each other'],
    [['invite', '--ttl', 'soon'], 2, '--ttl'],
    [['status'], 3, 'Start one with "mycel up"'],
    [['pub', 'a', 'b'], 3, 'No node is running'],
    [['join', 'mycel:1:abc'], 3, 'No node is running'],
  ] as const)('%j ends with %i and one line that helps', async (args, code, text) => {
    const [ended, line] = await complaint(lab.host(0), ...args);
    expect(line).toContain(text);
    expect(ended).toBe(code);
    const asJson = await lab.host(0).cli(...args, '--json');
    const record = JSON.parse(asJson.stderr) as { error: Record<string, string> };
    expect(Object.keys(record.error)).toEqual(['code', 'text', 'fix']);
  });
});

describe('a port that is taken', () => {
  /** Holds a port with another program until it is killed. */
  async function hold(host: Host, kind: 'STREAM' | 'DGRAM', port: number): Promise<void> {
    const code = [
      'import socket, time',
      `s = socket.socket(socket.AF_INET, socket.SOCK_${kind})`,
      `s.bind(("0.0.0.0", ${port}))`,
      ...(kind === 'STREAM' ? ['s.listen()'] : []),
      'print("held", flush=True)',
      'time.sleep(600)',
    ].join('\n');
    await host.start(['python3', '-c', code]).line((line) => line === 'held', 10_000);
  }

  test.each(['STREAM', 'DGRAM'] as const)(
    'and stated ends the start with who has it (%s)',
    async (kind) => {
      await hold(lab.host(0), kind, 2000);
      const [code, line] = await complaint(lab.host(0), 'up', '--port', '2000', ...flags);
      expect(code).toBe(1);
      expect(line).toContain(
        `${kind === 'STREAM' ? 'TCP' : 'UDP'} port 2000 is in use by python3 (pid `,
      );
      expect(line).toContain('--port');
    },
  );

  test.each(['STREAM', 'DGRAM'] as const)(
    'and is only the default moves the node to a free one, where all of it works (%s)',
    async (kind) => {
      await hold(lab.host(0), kind, 1883);
      const mesh = await startMesh(lab, 2, { flags });
      expect(mesh.node(0).mqttPort).not.toBe(1883);
      expect(mesh.node(1).mqttPort).toBe(1883);
      await mesh.viewsComplete();
    },
  );
});

describe('a data directory', () => {
  test('that is in use by another node is refused', async () => {
    await startNode(lab.host(0), flags);
    const [code, line] = await complaint(lab.host(0), 'up', ...flags, '--port', '0');
    expect(code).toBe(1);
    expect(line).toContain('mycel down');
  });

  test('that others may read or change is refused with the command that mends it', async () => {
    const { dataDir } = lab.host(0);
    mkdirSync(dataDir, { recursive: true });
    chmodSync(dataDir, 0o777);
    const [code, line] = await complaint(lab.host(0), 'up', ...flags);
    expect(code).toBe(1);
    expect(line).toContain(`chmod -R go= '${dataDir}'`);
  });

  test('on a read-only file system is refused', async () => {
    const { dataDir } = lab.host(0);
    mountTmpfs(dataDir, '1m');
    execFileSync('mount', ['-o', 'remount,ro', dataDir]);
    const [code, line] = await complaint(lab.host(0), 'up', ...flags);
    expect(code).toBe(1);
    expect(line).toContain('read-only file system');
    expect(line).toContain('--data-dir');
  });

  test('that is a file is refused', async () => {
    const { dataDir } = lab.host(0);
    writeFileSync(join(dirname(dataDir), 'file'), '');
    const path = join(dirname(dataDir), 'file');
    const [code, line] = await complaint(lab.host(0), 'up', ...flags, '--data-dir', path);
    expect(code).toBe(1);
    expect(line).toContain('a part of it is a file');
  });

  test('without room is refused at the first start', async () => {
    const { dataDir } = lab.host(0);
    mountTmpfs(dataDir, '64k');
    fill(dataDir);
    const [code, line] = await complaint(lab.host(0), 'up', ...flags);
    expect(code).toBe(1);
    expect(line).toContain('There is no room');
    expect(line).toContain('df -h');
  });

  test('that fills up while the node runs costs new invites, not the mesh', async () => {
    mountTmpfs(lab.host(0).dataDir, '256k');
    const mesh = await startMesh(lab, 2, { flags });
    const [host, member] = [mesh.node(0), mesh.node(1)];
    await linkedAs(mesh, (at) => [1 - at], 20_000);
    fill(host.host.dataDir);
    // A used invite must be on disk before it is granted, and an entry of the log before it counts as written.
    const full = await host.host.cli('invite', '--open', '1m', '--json');
    expect(full.code).toBe(1);
    expect(full.stderr).toContain('MYCEL_STORE_FULL');
    const heard = await member.host.mosquittoSub(['-q', '1', '-t', 'after/#']);
    await host.host.mosquittoPub(['-q', '1', '-t', 'after/it', '-m', 'still here']);
    await heard.waitForCount(1, 10_000);
    expect((await host.host.cli('members', '--json')).code).toBe(0);
    rmSync(join(host.host.dataDir, 'fill'));
    await mintInvite(host.host);
  });
});

describe('an invite', () => {
  /** What "mycel join" and "mycel up --join" say about it on a node of its own. */
  async function refusals(host: Host, invite: string): Promise<readonly [string, string]> {
    const node = await startNode(host, flags);
    const [code, line] = await complaint(host, 'join', invite);
    expect(code).toBe(1);
    await host.kill();
    rmSync(host.dataDir, { recursive: true, force: true });
    const again = await startNode(host, [...flags, '--join', invite]);
    const told = await again.process.waitForEvent((event) => event['event'] === 'alert', 40_000);
    // It goes on as a mesh of one, and serves its own clients.
    expect((await again.host.cli('members', '--json')).json).toHaveLength(1);
    expect(again.id).not.toBe(node.id);
    return [line, String(told['code'])];
  }

  test('that has expired is refused with where to get another one', async () => {
    await startNode(lab.host(0), flags);
    const invite = await mintInvite(lab.host(0), '--ttl', '1s');
    await sleep(2_000);
    const [line, code] = await refusals(lab.host(1), invite);
    expect(line).toMatch(/expired.*"mycel invite" on an admin node/);
    expect(code).toBe('MYCEL_INVITE_EXPIRED');
  });

  test('whose node has forgotten it is refused with what to do', async () => {
    const admin = await startNode(lab.host(0), flags);
    const invite = await mintInvite(lab.host(0));
    await admin.host.kill();
    await startNode(lab.host(0), flags);
    const [line, code] = await refusals(lab.host(1), invite);
    expect(line).toMatch(/does not know this invite.*its invites are void/);
    expect(code).toBe('MYCEL_INVITE_UNKNOWN');
  });

  test('of a node whose address another one has now is refused as foreign', async () => {
    await startNode(lab.host(0), flags);
    const invite = await mintInvite(lab.host(0));
    await lab.host(0).kill();
    rmSync(lab.host(0).dataDir, { recursive: true, force: true });
    await startNode(lab.host(0), flags);
    await mintInvite(lab.host(0));
    const [line, code] = await refusals(lab.host(1), invite);
    expect(line).toContain('is not the one that made the invite');
    expect(code).toBe('MYCEL_INVITE_FOREIGN');
  });

  test('into another mesh is refused to a node that is in a real one', async () => {
    await startNode(lab.host(0), flags);
    const invite = await mintInvite(lab.host(0));
    await startNode(lab.host(1), flags);
    await mintInvite(lab.host(1));
    const [code, line] = await complaint(lab.host(1), 'join', invite);
    expect(code).toBe(1);
    expect(line).toMatch(/already belongs to a real mesh.*mycel leave/);
  });

  test.each(['hello', 'mycel:1:abcd'])('that is none (%s) is refused', async (invite) => {
    const [line, code] = await refusals(lab.host(1), invite);
    expect(line).toContain('not a whole invite');
    expect(code).toBe('MYCEL_INVITE_MALFORMED');
  });
});

describe('a network interface', () => {
  test('that does not exist is named, and the node serves its local clients', async () => {
    const node = await startNode(lab.host(0), [...flags, '--interface', 'eth9']);
    const told = await node.process.waitForEvent((event) => event['event'] === 'alert', 10_000);
    expect(String(told['text'])).toContain("'eth9' is not there");
    const status = await node.host.cli('status', '--json');
    expect(JSON.stringify((status.json as { warnings: unknown }).warnings)).toContain("'eth9'");
    const heard = await node.host.mosquittoSub(['-t', 'a']);
    await node.host.mosquittoPub(['-t', 'a', '-m', 'b']);
    await heard.waitForCount(1, 5_000);
  });

  test('that is down at boot keeps nobody from serving, and the mesh is found when it comes up', async () => {
    const mesh = await startMesh(lab, 2, { flags });
    await mesh.viewsComplete();
    const host = lab.host(1);
    expect((await host.cli('down')).code).toBe(0);
    expect(await mesh.node(1).process.ended).toBe(0);
    host.linkDown('interface');
    const node = await startNode(host, flags);
    const heard = await host.mosquittoSub(['-t', 'a']);
    await host.mosquittoPub(['-t', 'a', '-m', 'b']);
    await heard.waitForCount(1, 5_000);
    const since = performance.now();
    host.linkUp('interface');
    console.info(`no network at boot: ${await heals([mesh.node(0), node], since)}`);
  });
});

describe('a wrong clock', () => {
  const library = execFileSync('find', ['/usr/lib', '-name', 'libfaketimeMT.so.1'], {
    encoding: 'utf8',
  }).trim();

  const at = (time: string): Readonly<Record<string, string>> => ({
    LD_PRELOAD: library,
    FAKETIME: time,
    // A board's uptime clock always runs.
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
  });

  test('from 1970 to 2038 changes neither joining nor delivery', async () => {
    expect(library).not.toBe('');
    const founder = await startNode(lab.host(0), flags, { env: at('@1970-01-02 00:00:00') });
    const invites = [await mintInvite(lab.host(0)), await mintInvite(lab.host(0), '--ttl', '5m')];
    const others = [
      await startNode(lab.host(1), [...flags, '--join', String(invites[0])], {
        env: at('@2038-01-19 03:14:06'),
      }),
      await startNode(lab.host(2), [...flags, '--join', String(invites[1])]),
    ];
    const mesh = createMesh([founder, ...others]);
    await linkedAs(mesh, (one) => [0, 1, 2].filter((other) => other !== one), 20_000);
    await mesh.viewsComplete();
    const heard = await Promise.all(
      mesh.nodes.map(({ host }) => host.mosquittoSub(['-q', '1', '-t', 'clock/#'])),
    );
    for (const { host } of mesh.nodes) {
      await host.mosquittoPub(['-q', '1', '-t', `clock/${host.at}`, '-m', 'now']);
    }
    for (const one of heard) await one.waitForCount(3, 10_000);
  });
});
