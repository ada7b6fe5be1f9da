import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { bundleProgram } from '../adapters/child.ts';
import type { Program } from '../process.ts';
import { createLab, removeDeadLabs, type Lab } from './lab.ts';
import type { Host } from './lab-host.ts';
import { shareLab } from './share-lab.ts';

const echo = fileURLToPath(new URL('echo.mjs', import.meta.url));

/** Percent of pings from one host to another that got no answer. */
async function pingLoss(from: Host, to: string, count: number): Promise<number> {
  const { stdout } = await from.exec([
    'ping',
    '-q',
    '-i',
    '0.002',
    '-W',
    '1',
    '-c',
    `${count}`,
    to,
  ]);
  return Number(/([\d.]+)% packet loss/.exec(stdout)?.[1] ?? Number.NaN);
}

function spaces(prefix: string): string[] {
  return readdirSync('/run/netns').filter((name) => name.startsWith(prefix));
}

describe('a lab of four hosts', () => {
  let lab: Lab;

  shareLab({ hosts: 4 }, async (fresh) => {
    lab = fresh;
  });
  afterEach(() => lab?.heal());

  async function listen(host: Host, sayEveryMs?: number): Promise<Program> {
    const say = sayEveryMs === undefined ? [] : [`${sayEveryMs}`];
    const program = host.start([process.execPath, echo, `host${host.at}`, ...say]);
    await program.line((line) => line === 'ready', 10_000);
    return program;
  }

  test('has each host reach each other one and nothing else', async () => {
    for (const from of lab.hosts) {
      for (const to of lab.hosts) expect(await pingLoss(from, to.address, 3)).toBe(0);
    }
    const { code } = await lab.host(0).exec(['ping', '-q', '-W', '1', '-c', '1', '192.0.2.1']);
    expect(code).not.toBe(0);
    const { stdout } = await lab.host(0).exec(['ip', '-br', 'link']);
    const names = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/[\s@]/)[0]);
    expect(new Set(names)).toEqual(new Set(['eth0', 'lo']));
  });

  test('carries multicast to every host, until a host drops it, which keeps its unicast', async () => {
    const listeners = await Promise.all([1, 2, 3].map((at) => listen(lab.host(at))));
    const speaker = await listen(lab.host(0), 50);
    for (const listener of listeners) {
      await listener.line((line) => line.startsWith('host0-'), 5000);
    }
    lab.host(1).dropMulticast();
    await sleep(200);
    const before = listeners.map(({ lines }) => lines.length);
    await sleep(1000);
    const heard = listeners.map(({ lines }, at) => lines.length - (before[at] ?? 0));
    expect(heard[0]).toBe(0);
    expect(heard[1]).toBeGreaterThan(10);
    expect(heard[2]).toBeGreaterThan(10);
    expect(await pingLoss(lab.host(0), lab.host(1).address, 50)).toBe(0);
    for (const host of lab.hosts) await host.kill();
    expect(speaker.child.signalCode).toBe('SIGKILL');
  });

  test('loses what it is told to lose, and no sender is told', async () => {
    for (const percent of [5, 20, 50]) {
      lab.host(1).loss(percent);
      // A ping crosses the cable twice, once in each direction.
      const expected = 100 * (1 - (1 - percent / 100) ** 2);
      const measured = await pingLoss(lab.host(0), lab.host(1).address, 800);
      expect(Math.abs(measured - expected), `${percent}% gave ${measured}%`).toBeLessThan(6.5);
    }
    const sent = await lab
      .host(1)
      .exec(['ping', '-q', '-i', '0.002', '-W', '1', '-c', '200', lab.host(2).address]);
    expect(sent.stderr).toBe('');
    lab.host(1).loss(0);
    expect(await pingLoss(lab.host(0), lab.host(1).address, 200)).toBe(0);
  });

  test('blocks one direction, cuts into groups and heals', async () => {
    const [a, b, c, d] = [lab.host(0), lab.host(1), lab.host(2), lab.host(3)];
    const file = await a.capture();
    lab.block(a, b);
    expect(await pingLoss(b, a.address, 20)).toBe(100);
    await file.stop();
    const { stdout } = await a.exec(['tcpdump', '-nr', file.file, 'icmp']);
    // b's requests still arrive at a; only what a answers is gone.
    expect(stdout.match(/echo request/g)?.length).toBe(20);
    expect(await pingLoss(a, c.address, 20)).toBe(0);
    lab.heal();
    lab.partition([a, b], [c, d]);
    expect(await pingLoss(a, b.address, 20)).toBe(0);
    expect(await pingLoss(c, d.address, 20)).toBe(0);
    expect(await pingLoss(a, c.address, 20)).toBe(100);
    expect(await pingLoss(d, b.address, 20)).toBe(100);
    lab.heal();
    expect(await pingLoss(a, c.address, 20)).toBe(0);
  });

  test('freezes everything on a host and thaws it', async () => {
    const listener = await listen(lab.host(2));
    await listen(lab.host(0), 50);
    await listener.line((line) => line.startsWith('host0-'), 5000);
    lab.host(0).freeze();
    await sleep(200);
    const before = listener.lines.length;
    await sleep(1000);
    expect(listener.lines.length).toBe(before);
    lab.host(0).thaw();
    await listener.until('more', () => (listener.lines.length > before ? true : undefined), 5000);
    for (const host of lab.hosts) await host.kill();
  });

  test('takes the link down and up again, at the interface and at the cable', async () => {
    const [a, b] = [lab.host(0), lab.host(1)];
    const listener = await listen(b);
    await listen(a, 50);
    for (const how of ['interface', 'cable'] as const) {
      a.linkDown(how);
      // The kernel tells a lost carrier with a delay of up to a second.
      await vi.waitFor(async () => {
        const { stdout } = await a.exec(['cat', '/sys/class/net/eth0/operstate']);
        expect(stdout.trim()).not.toBe('up');
      }, 5000);
      expect(await pingLoss(b, a.address, 10)).toBe(100);
      a.linkUp(how);
      const before = listener.lines.length;
      await listener.until(
        'more',
        () => (listener.lines.length > before ? true : undefined),
        10_000,
      );
    }
    await a.kill();
    await b.kill();
  });

  test('changes an address as a new lease does', async () => {
    const [a, b] = [lab.host(0), lab.host(1)];
    const old = b.address;
    b.setAddress('10.77.9.9');
    expect(b.address).toBe('10.77.9.9');
    expect(await pingLoss(a, '10.77.9.9', 10)).toBe(0);
    expect(await pingLoss(a, old, 10)).toBe(100);
    const listener = await listen(b);
    await listen(a, 50);
    await listener.line((line) => line.startsWith('host0-'), 5000);
    b.setAddress(old);
    await a.kill();
    await b.kill();
  });

  test('limits the rate of a cable', async () => {
    const [a, b] = [lab.host(0), lab.host(1)];
    const send = 'head -c 400000 /dev/zero > /dev/tcp/' + `${a.address}/7800`;
    const serve =
      "const s=require('net').createServer((c)=>{let n=0;c.on('data',(d)=>{n+=d.length});c.on('end',()=>console.log('got '+n))});s.listen(7800,()=>console.log('ready'))";
    const server = a.start([process.execPath, '-e', serve]);
    await server.line((line) => line === 'ready', 10_000);
    async function transferMs(): Promise<number> {
      const before = server.lines.length;
      const start = performance.now();
      expect((await b.exec(['bash', '-c', send], { ms: 60_000 })).code).toBe(0);
      await server.until('all', () => (server.lines.length > before ? true : undefined), 60_000);
      expect(server.lines.at(-1)).toBe('got 400000');
      return performance.now() - start;
    }
    const free = await transferMs();
    b.rate(1000);
    // 400 kB at 1 Mbit/s are 3.2 s.
    const limited = await transferMs();
    expect(free).toBeLessThan(limited / 2);
    expect(limited).toBeGreaterThan(2500);
    expect(limited).toBeLessThan(8000);
    await a.kill();
  });

  test('records what crosses the bridge', async () => {
    const capture = await lab.capture();
    await lab.host(0).exec(['ping', '-q', '-c', '3', '-p', 'c0ffee', lab.host(1).address]);
    await capture.stop();
    expect((await readFile(capture.file)).includes(Buffer.from('c0ffeec0ffee', 'hex'))).toBe(true);
  });

  test('gives every host a real MQTT client whose subscription is ready when it says so', async () => {
    const host = lab.host(3);
    const broker = host.start(['mosquitto', '-p', '1883']);
    await vi.waitFor(async () => {
      const { stdout } = await host.exec(['ss', '-Hltn', 'sport', '=', '1883']);
      expect(stdout).toContain('1883');
    });
    const subscriber = await host.mosquittoSub(['-p', '1883', '-t', 'a/#', '-q', '1']);
    const lines = Array.from({ length: 500 }, (_, at) => `value ${at}`);
    await host.mosquittoPub(['-p', '1883', '-t', 'a/b', '-q', '1', '-l'], `${lines.join('\n')}\n`);
    const messages = await subscriber.waitForCount(500, 10_000);
    expect(messages.map(({ payload }) => payload)).toEqual(lines);
    expect(messages[0]).toMatchObject({ topic: 'a/b', qos: 1, retain: 0 });
    await expect(host.mosquittoPub(['-p', '1', '-t', 'a', '-m', 'x'])).rejects.toThrow(/exit/);
    await subscriber.stop();
    broker.child.kill();
    await broker.ended;
  });
});

describe('the end of a lab', () => {
  test('leaves no namespace, process or file behind, and the root namespace as it was', async () => {
    const links = execFileSync('ip', ['-br', 'addr'], { encoding: 'utf8' });
    const lab = await createLab({ hosts: 2, name: 'end' });
    const prefix = `mlab${process.pid}end`;
    expect(spaces(prefix)).toHaveLength(3);
    const program = lab.host(0).start(['sleep', '1000']);
    // One that the lab does not know of.
    await lab.host(1).exec(['sh', '-c', 'setsid sleep 1001 >/dev/null 2>&1 &']);
    await lab.stop();
    await lab.stop();
    await program.ended;
    expect(spaces(prefix)).toEqual([]);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith(prefix))).toEqual([]);
    expect(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })).not.toMatch(/sleep 100[01]/);
    expect(execFileSync('ip', ['-br', 'addr'], { encoding: 'utf8' })).toBe(links);
  });

  test.each(['SIGINT', 'SIGKILL'] as const)('comes with its process, also by %s', async (how) => {
    const bundle = await bundleProgram(fileURLToPath(new URL('lab-victim.ts', import.meta.url)));
    const child = spawn(process.execPath, [bundle.file], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    const prefix = `mlab${child.pid}`;
    expect(spaces(prefix)).toHaveLength(3);
    child.kill(how);
    await once(child, 'exit');
    await vi.waitFor(() => expect(spaces(prefix)).toEqual([]), { timeout: 10_000 });
    await bundle.dispose();
  });

  test('that a dead process left behind is made up for by the next lab', async () => {
    const dead = spawn('true');
    await once(dead, 'exit');
    execFileSync('ip', ['netns', 'add', `mlab${dead.pid}-0`]);
    execFileSync('ip', ['netns', 'add', `mlab${process.pid}keep-0`]);
    removeDeadLabs();
    expect(existsSync(`/run/netns/mlab${dead.pid}-0`)).toBe(false);
    expect(existsSync(`/run/netns/mlab${process.pid}keep-0`)).toBe(true);
    execFileSync('ip', ['netns', 'delete', `mlab${process.pid}keep-0`]);
  });
});
