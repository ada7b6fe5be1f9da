import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import type { Lab } from './lab.ts';
import type { Host } from './lab-host.ts';
import { startMesh, type LabMesh, type MeshHost } from './lab-mesh.ts';
import { shareLab } from './share-lab.ts';
import { difference, heardFrom, linkedAs, listen, numbered, type Listener } from './traffic.ts';
import { wronged } from './views.ts';

let lab: Lab;
let mesh: LabMesh;
let listeners: readonly Listener[];

shareLab({ hosts: 3 }, async (fresh) => {
  lab = fresh;
  mesh = await startMesh(lab, 3, { flags: ['--profile', 'fast'] });
  await linkedAs(mesh, (at) => [0, 1, 2].filter((other) => other !== at), 20_000);
  listeners = await Promise.all(mesh.nodes.map((node) => listen(node, '-q', '1', '-t', 'flap/#')));
});
afterEach(() => lab?.heal());

/** A steady publisher of 200 messages a second until it is told to end. */
function speakSteadily(node: MeshHost, publisher: string): { stop(): Promise<readonly string[]> } {
  const argv = ['mosquitto_pub', '-h', '127.0.0.1', '-p', `${node.mqttPort}`, '-l', '-q', '1'];
  const program = node.host.start([...argv, '-t', `flap/${publisher}`]);
  let sent = 0;
  const timer = setInterval(() => {
    const lines = numbered(publisher, sent + 20).slice(sent);
    sent += lines.length;
    program.child.stdin?.write(lines.map((line) => `${line}\n`).join(''));
  }, 100);
  return {
    async stop() {
      clearInterval(timer);
      program.child.stdin?.end();
      expect(await program.ended, program.errors()).toBe(0);
      return numbered(publisher, sent);
    },
  };
}

/** Publishes on nodes 0 and 1 while `act` breaks things, then expects everything everywhere. */
async function survive(name: string, act: () => Promise<void>): Promise<void> {
  const names = [`${name}-0`, `${name}-1`];
  const speakers = names.map((one, at) => speakSteadily(mesh.node(at), one));
  await sleep(300);
  await act();
  lab.heal();
  const sent = await Promise.all(speakers.map((speaker) => speaker.stop()));
  const healedAt = performance.now();
  for (const [at, listener] of listeners.entries()) {
    for (const [who, lines] of sent.entries()) {
      const publisher = names[who] ?? '';
      while (heardFrom(listener, publisher).length < lines.length) {
        if (performance.now() - healedAt > 40_000) break;
        await sleep(100);
      }
      const problem = difference(lines, heardFrom(listener, publisher));
      expect(problem, `${publisher} at node ${at}`).toBe('');
    }
  }
  console.info(`${name}: complete ${((performance.now() - healedAt) / 1000).toFixed(1)} s after`);
  await sleep(300);
  const counts = listeners.map((listener) => names.map((one) => heardFrom(listener, one).length));
  expect(counts).toEqual(listeners.map(() => sent.map((lines) => lines.length)));
}

async function cutFor(left: Host, right: Host, ms: number): Promise<void> {
  lab.block(left, right);
  lab.block(right, left);
  await sleep(ms);
  lab.unblock(left, right);
  lab.unblock(right, left);
}

/** Answers every TCP segment that comes in with a reset, for a while. */
async function resetConnections(host: Host, ms: number): Promise<void> {
  const rules = `table ip kill {
    chain input {
      type filter hook input priority 0;
      ip saddr 10.77.0.0/16 meta l4proto tcp reject with tcp reset
    }
  }\n`;
  const added = await host.exec(['nft', '-f', '-'], { input: rules });
  expect(added.stderr).toBe('');
  await sleep(ms);
  await host.exec(['nft', 'delete', 'table', 'ip', 'kill']);
}

/** Loses every TCP segment that comes from another host; datagrams pass. */
async function loseSegments(from: Host, to: Host): Promise<void> {
  const rules = `table ip mute {
    chain input {
      type filter hook input priority 0;
      ip saddr ${from.address} meta l4proto tcp drop
    }
  }\n`;
  const added = await to.exec(['nft', '-f', '-'], { input: rules });
  expect(added.stderr).toBe('');
}

test('a link that died without a word is noticed by what is said on it, while membership sees nothing', () =>
  survive('mute', async () => {
    const [a, b] = [lab.host(0), lab.host(1)];
    const since = performance.now();
    const saidBefore = mesh.nodes.map(({ process }) => process.errors().length);
    await Promise.all([loseSegments(a, b), loseSegments(b, a)]);
    for (const at of [0, 1]) {
      const { process, name } = mesh.node(at);
      const silence = (): string | undefined =>
        /"reason":"silent for (\d+) s"/.exec(process.errors().slice(saidBefore[at]))?.[1];
      for (const end = since + 20_000; performance.now() < end; await sleep(100)) {
        if (silence() !== undefined) break;
      }
      console.info(`mute: ${name} let go after ${silence()} s of silence`);
      expect(Number(silence())).toBeLessThan(10);
    }
    // Node 2 relays from now on.
    const heard = (): number => heardFrom(listeners[1] as Listener, 'mute-0').length;
    const before = heard();
    for (const end = performance.now() + 5_000; performance.now() < end; await sleep(100)) {
      if (heard() > before + 200) break;
    }
    expect(heard()).toBeGreaterThan(before + 200);
    await Promise.all([a, b].map((host) => host.exec(['nft', 'delete', 'table', 'ip', 'mute'])));
    expect(wronged(mesh.nodes, since)).toEqual([]);
  }));

test('nothing is lost or repeated while two hosts lose each other again and again', () =>
  survive('cut', async () => {
    for (const ms of [1000, 200, 7000, 500]) {
      await cutFor(lab.host(0), lab.host(1), ms);
      await sleep(500);
    }
  }));

test('nothing is lost or repeated while one direction between two hosts is silent', () =>
  survive('deaf', async () => {
    lab.block(lab.host(0), lab.host(1));
    await sleep(7000);
  }));

test('nothing is lost or repeated while a host is alone for 13 s and taken for dead', () =>
  survive('alone', async () => {
    lab.partition([lab.host(1)], [lab.host(0), lab.host(2)]);
    await sleep(13_000);
  }));

test('nothing is lost or repeated while TCP connections are killed and the interface goes', () =>
  survive('kill', async () => {
    for (let round = 0; round < 4; round += 1) {
      await resetConnections(lab.host(round % 3), 200);
      await sleep(700);
    }
    for (const ms of [300, 2000]) {
      lab.host(0).linkDown('interface');
      await sleep(ms);
      lab.host(0).linkUp('interface');
      await sleep(1000);
    }
  }));
