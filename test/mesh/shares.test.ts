import { afterEach, describe, expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { startMesh, type LabMesh, type MeshHost } from './lab-mesh.ts';
import { shareLab } from './share-lab.ts';
import { linkedAs, listen, numbered, reportOf, speak, type Listener } from './traffic.ts';

const flags = ['--profile', 'fast'];
const group = '$share/workers/job/#';
const audit = '$share/audit/job/+';

/** Time for a copy too many to come. */
const extraMs = 1_000;

const payloads = (...listeners: readonly Listener[]): string[] =>
  listeners.flatMap((one) => one.messages().map(({ payload }) => payload));

/** Waits until a node knows this many nodes in a group. */
async function knows(node: MeshHost, filter: string, count: number): Promise<void> {
  await expect
    .poll(
      async () => {
        const { json } = await node.host.cli('listeners', 'job/x', '--json');
        const groups = (json as { groups: { filter: string; nodes: unknown[] }[] }).groups;
        return groups.find((one) => one.filter === filter)?.nodes.length ?? 0;
      },
      { timeout: 15_000, interval: 200 },
    )
    .toBe(count);
}

async function settled(
  wanted: readonly string[],
  listeners: () => readonly Listener[],
): Promise<void> {
  await expect
    .poll(() => new Set(payloads(...listeners())).size, { timeout: 60_000, interval: 100 })
    .toBe(wanted.length);
  await sleep(extraMs);
}

describe('shared subscriptions on four hosts', () => {
  let mesh: LabMesh;
  const open: Listener[] = [];
  shareLab({ hosts: 4 }, async (lab) => {
    mesh = await startMesh(lab, 4, { flags });
    await linkedAs(mesh, (at) => [0, 1, 2, 3].filter((other) => other !== at), 20_000);
  });
  afterEach(async () => {
    await Promise.allSettled(open.splice(0).map((one) => one.stop()));
  });

  async function join(node: MeshHost, filter: string, qos = 1): Promise<Listener> {
    const listener = await listen(node, '-q', `${qos}`, '-t', filter);
    open.push(listener);
    return listener;
  }

  test('bring each message to one member of each group, and to every ordinary subscriber', async () => {
    const workers = await Promise.all([1, 1, 2, 3].map((at) => join(mesh.node(at), group)));
    const auditors = await Promise.all([2, 2].map((at) => join(mesh.node(at), audit)));
    const everybody = await join(mesh.node(3), 'job/#');
    await knows(mesh.node(0), group, 3);
    await knows(mesh.node(0), audit, 1);
    const lines = numbered('p', 3000);
    await speak(mesh.node(0), lines, '-q', '1', '-t', 'job/x');
    await settled(lines, () => workers);
    await settled(lines, () => auditors);
    expect(payloads(...workers).toSorted()).toEqual(lines.toSorted());
    expect(payloads(...auditors).toSorted()).toEqual(lines.toSorted());
    expect(payloads(everybody)).toEqual(lines);
    // Nodes take turns, and the members on a node do.
    const counts = workers.map((one) => one.messages().length);
    expect(counts).toEqual([500, 500, 1000, 1000]);
  });

  test('serve the members of the publishing node first, at QoS 0 too', async () => {
    const far = await join(mesh.node(1), group, 0);
    const own = await join(mesh.node(0), group, 0);
    await knows(mesh.node(0), group, 2);
    await knows(mesh.node(2), group, 2);
    const lines = numbered('near', 300);
    await speak(mesh.node(0), lines, '-q', '0', '-t', 'job/x');
    await settled(lines, () => [own]);
    expect([payloads(own), payloads(far)]).toEqual([lines, []]);
    const others = numbered('far', 300);
    await speak(mesh.node(2), others, '-q', '0', '-t', 'job/x');
    await own.waitForCount(450, 10_000);
    await far.waitForCount(150, 10_000);
  });

  test('give no retained message to a new member, and take a program as a member', async () => {
    const { host, mqttPort } = mesh.node(0);
    const kept = ['-q', '1', '-r', '-t', 'job/kept', '-m', 'old'];
    await host.mosquittoPub(['-p', `${mqttPort}`, ...kept]);
    const client = await join(mesh.node(1), group);
    const program = mesh.node(2).host.spawn(['sub', group, '--json']);
    await knows(mesh.node(3), group, 2);
    const lines = numbered('both', 100);
    await speak(mesh.node(3), lines, '-q', '1', '-t', 'job/x');
    await expect
      .poll(() => program.events().length + client.messages().length, { timeout: 10_000 })
      .toBe(100);
    await sleep(extraMs);
    const byProgram = program.events().map(({ event }) => String(event['payload']));
    expect([...byProgram, ...payloads(client)].toSorted()).toEqual(lines.toSorted());
    expect(byProgram.length).toBe(50);
    program.child.kill('SIGTERM');
    await program.ended;
    await knows(mesh.node(3), group, 1);
  });

  test('lose nothing when a member leaves, a client is killed and a node is killed in mid-stream', async () => {
    const [leaver, victim, witness, doomed] = await Promise.all([
      join(mesh.node(1), group),
      join(mesh.node(2), group),
      join(mesh.node(2), group),
      join(mesh.node(3), group),
    ]);
    if (!leaver || !victim || !witness || !doomed) throw new Error('no listeners');
    await knows(mesh.node(0), group, 3);
    const lines = numbered('storm', 12_000);
    const speaking = speak(mesh.node(0), lines, '-q', '1', '-t', 'job/x');
    await leaver.waitForCount(500, 30_000);
    await leaver.stop();
    const late = await join(mesh.node(1), group);
    await victim.waitForCount(800, 30_000);
    await victim.kill();
    await doomed.waitForCount(1_500, 30_000);
    await mesh.node(3).host.kill();
    await speaking;
    const gone = [leaver, victim, doomed];
    await settled(lines, () => [witness, late, ...gone]);
    const living = payloads(witness, late);
    expect(new Set(living).size, 'twice among the living').toBe(living.length);
    const all = [...living, ...payloads(...gone)];
    // What somebody had and could not acknowledge any more comes twice: at least once, and only that.
    const twice = all.length - lines.length;
    console.info(`12 000 messages, three departures: ${twice} came twice`);
    const had = new Set(payloads(...gone));
    const again = living.filter((one) => had.has(one));
    expect(again.length).toBe(twice);
    expect(twice).toBeLessThan(600);
    const report = await reportOf(mesh.node(0));
    expect(Object.keys(report.metrics.drops).filter((name) => name.includes('share'))).toEqual([]);
  });
});
