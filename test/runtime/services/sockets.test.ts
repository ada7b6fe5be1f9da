/** Services over real sockets: gathering from all, streaming with the reader's pace, and breaking out. */

import * as z from 'zod/mini';
import { expect, test } from 'vitest';
import { action, defineService, streamAction } from '../../../src/index.ts';
import type { AgentHandles } from '../../../src/agent/furniture.ts';
import type { MeshNode } from '../../../src/runtime/mesh-node.ts';
import { startMesh, until } from '../loopback.ts';

type Node = MeshNode & AgentHandles;

test('all instances are asked at once, and each answer or failure comes back', async () => {
  const nodes = (await startMesh('ann', 'bob', 'cyd')) as Node[];
  const [ann] = nodes as [Node];
  for (const node of nodes) {
    const read = action({ input: z.object({}), output: z.string() }, () => {
      if (node.name === 'cyd') throw new Error('the sensor is broken');
      return `${node.name} reads`;
    });
    node.service({ name: 'sensor', version: '1.0.0', actions: { read } });
  }
  await until(() => ann.services().length === 3);
  const all = await ann.callAll('sensor.read', {});
  const said = all.map((one) => (one.isOk ? String(one.value) : one.error.message)).sort();
  expect(said).toHaveLength(3);
  expect(said.filter((text) => text.endsWith('reads'))).toEqual(['ann reads', 'bob reads']);
  expect(said.some((text) => text.includes('the sensor is broken'))).toBe(true);
});

test('a stream comes whole and in order, its handler waits for the reader, and breaking out ends it there', async () => {
  const [ann, bob] = (await startMesh('ann', 'bob')) as [Node, Node];
  let made = 0;
  let isEnded = false;
  const count = streamAction(
    { input: z.object({ to: z.number(), bytes: z.number() }), output: z.string() },
    async function* numbers({ to, bytes }) {
      try {
        for (let at = 0; at < to; at += 1) {
          made = at + 1;
          yield `${at}`.padEnd(bytes);
        }
      } finally {
        isEnded = true;
      }
    },
  );
  const numbers = defineService({ name: 'numbers', version: '1.0.0', actions: { count } });
  bob.service(numbers);
  await until(() => ann.services().length === 1);
  const got: number[] = [];
  for await (const one of ann.client(numbers).count({ to: 500, bytes: 1 })) got.push(Number(one));
  expect(got).toEqual(Array.from({ length: 500 }, (_, at) => at));
  isEnded = false;
  made = 0;
  let read = 0;
  for await (const one of ann.client(numbers).count({ to: 100_000, bytes: 8_192 })) {
    read = Number(one) + 1;
    // However long ann thinks, bob makes what fits the window of 64 pieces and 256 KiB on their way, and no more.
    await ann.call('$SRV.ping', {}, { node: bob.id });
    expect(made).toBeLessThanOrEqual(read + 64 + 32 + 8);
    if (read === 100) break;
  }
  await until(() => isEnded);
  expect(made).toBeLessThanOrEqual(210);
});
