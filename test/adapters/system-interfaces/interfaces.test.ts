/** The interfaces that lead to neighbours are used, the others are left out, and changes are noticed: on real kernels. */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';
import { afterEach, beforeAll, expect, test } from 'vitest';

import { createLab } from '../bonjour-lab/lab.ts';
import type { Lab, LabHost } from '../bonjour-lab/lab.ts';
import type { NetInterface } from '../../../src/adapters/system/interfaces.ts';
import { createInterfaceWatch } from '../../../src/adapters/system/interfaces.ts';

const script = fileURLToPath(
  new URL(`../../../node_modules/.cache/mycel-lab/interfaces-${process.pid}.mjs`, import.meta.url),
);
let lab: Lab | undefined;

beforeAll(async () => {
  await build({
    entryPoints: [fileURLToPath(new URL('./list-child.ts', import.meta.url))],
    outfile: script,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  });
});
afterEach(() => {
  lab?.close();
  lab = undefined;
});

function createHost(): LabHost {
  lab = createLab();
  return lab.host('10.77.0.1');
}

function list(host: LabHost, names?: readonly string[]): readonly NetInterface[] {
  const given = names === undefined ? [] : [JSON.stringify(names)];
  return JSON.parse(lab?.within(host, process.execPath, script, ...given) ?? '') as NetInterface[];
}

/** Adds an interface that is up, as one end of a pair. */
function link(host: LabHost, name: string, address: string): void {
  lab?.within(host, 'ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', `veth-${name}`);
  lab?.within(host, 'ip', 'addr', 'add', address, 'dev', name);
  lab?.within(host, 'ip', 'link', 'set', name, 'up');
  lab?.within(host, 'ip', 'link', 'set', `veth-${name}`, 'up');
}

test('a veth end named eth0 counts as a cable, with its prefix and broadcast address', () => {
  const host = createHost();
  expect(list(host)).toEqual([
    {
      name: 'eth0',
      index: expect.any(Number),
      kind: 'wired',
      addresses: [{ host: '10.77.0.1', family: 'IPv4', prefix: 24, broadcast: '10.77.0.255' }],
    },
  ]);
});

test('containers, virtual machines and tunnels are left out, unless named', () => {
  const host = createHost();
  const names = ['docker0', 'br-1234', 'virbr0', 'vethab', 'tailscale0', 'wg0', 'zt0', 'tun0'];
  for (const [at, name] of names.entries()) link(host, name, `172.${16 + at}.0.1/16`);
  expect(list(host).map((net) => net.name)).toEqual(['eth0']);
  expect(list(host, ['wg0']).map(({ name, kind }) => ({ name, kind }))).toEqual([
    { name: 'wg0', kind: 'tunnel' },
  ]);
});

test('a tunnel is known by the kernel, whatever its name', async () => {
  const host = createHost();
  lab?.within(host, 'ip', 'tuntap', 'add', 'mode', 'tun', 'name', 'office');
  lab?.within(host, 'ip', 'addr', 'add', '172.16.0.1/24', 'dev', 'office');
  lab?.within(host, 'ip', 'link', 'set', 'office', 'up');
  // A tunnel is up while a program holds its other end; node has no ioctl.
  const hold =
    'import fcntl, os, struct, sys\n' +
    'fd = os.open("/dev/net/tun", os.O_RDWR)\n' +
    'fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"office", 0x1001))\n' +
    'print("held", flush=True)\nsys.stdin.read()\n';
  const holder = spawn('ip', ['netns', 'exec', host.ns, 'python3', '-c', hold]);
  try {
    await once(holder.stdout, 'data', { signal: AbortSignal.timeout(10_000) });
    expect(list(host, ['office'])[0]?.kind).toBe('tunnel');
    expect(list(host).map((net) => net.name)).toEqual(['eth0']);
  } finally {
    holder.kill('SIGKILL');
    await once(holder, 'exit');
  }
});

test('loopback is used when it is all there is, or when it is named', () => {
  const host = createHost();
  expect(list(host, ['lo'])[0]).toMatchObject({ name: 'lo', kind: 'loopback' });
  lab?.linkDown(host);
  expect(list(host)[0]).toMatchObject({ name: 'lo', kind: 'loopback' });
  expect(list(host)[0]?.addresses[0]).toEqual({ host: '127.0.0.1', family: 'IPv4', prefix: 8 });
});

test('a link-local address is used only where there is no better one; IPv6 ones never', () => {
  const host = createHost();
  lab?.within(host, 'ip', 'addr', 'add', '169.254.7.7/16', 'dev', 'eth0');
  lab?.within(host, 'ip', 'addr', 'add', 'fd00::7/64', 'dev', 'eth0', 'nodad');
  const hosts = (): string[] => list(host)[0]?.addresses.map((address) => address.host) ?? [];
  expect(hosts()).toEqual(['10.77.0.1', 'fd00::7']);
  lab?.within(host, 'ip', 'addr', 'del', '10.77.0.1/24', 'dev', 'eth0');
  expect(hosts()).toEqual(['169.254.7.7', 'fd00::7']);
});

test('two cables are both used, by name', () => {
  const host = createHost();
  link(host, 'eth1', '10.78.0.1/24');
  expect(list(host).map((net) => net.name)).toEqual(['eth0', 'eth1']);
});

test('a name that does not exist gives no interface and no error', () => {
  const host = createHost();
  expect(list(host, ['nope0'])).toEqual([]);
});

test('a change is told once to everybody who listens, and to nobody after stop', () => {
  const name = `lan${process.pid}`;
  const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
  ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `veth${process.pid}`);
  try {
    ip('link', 'set', `veth${process.pid}`, 'up');
    ip('link', 'set', name, 'up');
    const told: string[] = [];
    const watch = createInterfaceWatch({
      names: [name],
      periodMs: 3_600_000,
      changed: (current) => told.push(`a ${current.length}`),
    });
    const unsubscribe = watch.subscribe((current) => told.push(`b ${current.length}`));
    ip('addr', 'add', '10.99.99.1/30', 'dev', name);
    watch.refresh();
    watch.refresh();
    expect(told).toEqual(['a 1', 'b 1']);
    unsubscribe();
    ip('link', 'set', name, 'down');
    watch.refresh();
    expect(told).toEqual(['a 1', 'b 1', 'a 0']);
    watch.stop();
    ip('link', 'set', name, 'up');
    watch.refresh();
    expect(told.length).toBe(3);
  } finally {
    ip('link', 'del', name);
  }
});
