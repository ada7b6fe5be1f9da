import { describe, expect, onTestFinished, test } from 'vitest';
import { connectAsync } from 'mqtt';
import type { MeshNode } from '../../src/index.ts';
import { portOf, startMesh, textOf, until } from './loopback.ts';

type Three = [MeshNode, MeshNode, MeshNode];

async function mesh(...names: string[]): Promise<Three> {
  return [...(await startMesh(...names))] as unknown as Three;
}

const filter = '$share/workers/job/#';

function collect(node: MeshNode, wanted: string): { heard: string[]; end: () => void } {
  const heard: string[] = [];
  const end = node.subscribe(wanted, (message) => heard.push(textOf(message)));
  return { heard, end };
}

/** A wish travels in milliseconds; what is published to nobody meanwhile is what this waits out. */
function knows(node: MeshNode, count: number): Promise<void> {
  return until(() => node.listeners('job/x').groups[0]?.nodes.length === count);
}

describe('programs in shared subscriptions', () => {
  test('get each message of any node once for the group, and the publishing node is served first', async () => {
    const [ann, bob, cat] = await mesh('ann', 'bob', 'cat');
    const everything = collect(ann, 'job/#');
    const workers = [collect(bob, filter), collect(cat, filter), collect(cat, filter)];
    await knows(ann, 2);
    for (let count = 0; count < 60; count += 1) await ann.publish('job/x', `${count}`);
    const all = (): string[] => workers.flatMap(({ heard }) => heard);
    await until(() => all().length >= 60);
    expect(all().toSorted()).toEqual(everything.heard.toSorted());
    expect(workers.map(({ heard }) => heard.length)).toEqual([30, 15, 15]);
    await bob.publish('job/x', 'own');
    expect(workers[0]?.heard.at(-1)).toBe('own');
  });

  test('that stop reading hand back what they never took', async () => {
    const [ann, bob] = await mesh('ann', 'bob');
    const unread = bob.subscribe(filter);
    await knows(ann, 1);
    for (let count = 0; count < 5; count += 1) await ann.publish('job/x', `${count}`);
    expect(textOf((await unread.next()).value)).toBe('0');
    const other = collect(ann, filter);
    await knows(bob, 2);
    await unread.return?.();
    await until(() => other.heard.length === 4);
    expect(other.heard).toEqual(['1', '2', '3', '4']);
  });

  test('share a group with plain clients, whose unacknowledged messages go to them', async () => {
    const [ann, bob] = await mesh('ann', 'bob');
    const client = await connectAsync(`mqtt://127.0.0.1:${portOf(bob)}`, { reconnectPeriod: 0 });
    onTestFinished(() => void client.end(true));
    const got: string[] = [];
    // It takes messages and acknowledges none.
    client.handleMessage = (packet) =>
      void got.push(String((packet as { payload: Buffer }).payload));
    await client.subscribeAsync(filter, { qos: 1 });
    await knows(ann, 1);
    const program = collect(ann, filter);
    await knows(bob, 2);
    await bob.publish('job/x', 'held');
    await until(() => got.length === 1);
    client.stream.destroy();
    await until(() => program.heard.length === 1);
    expect([got, program.heard]).toEqual([['held'], ['held']]);
  });
});
