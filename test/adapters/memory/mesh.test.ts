import { expect, test, vi } from 'vitest';
import { createMemoryMesh } from '../../../src/adapters/memory/mesh.ts';
import { meshContract } from '../../contract/mesh.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

const [first, second, third] = [0, 1, 2].map(simNodeId) as [
  ReturnType<typeof simNodeId>,
  ReturnType<typeof simNodeId>,
  ReturnType<typeof simNodeId>,
];

meshContract('memory', async () => {
  const mesh = createMemoryMesh();
  const ports = [mesh.join(first), mesh.join(second), mesh.join(third)] as const;
  return {
    ports,
    leave: async () => mesh.leave(third, 'left'),
    dispose: async () => {},
  };
});

test('a cut lets nothing through until it is mended', async () => {
  const mesh = createMemoryMesh();
  const [ann, bob] = [mesh.join(first), mesh.join(second)];
  const heard: number[] = [];
  bob.handle('talk', (_, bytes) => heard.push(bytes[0] ?? 0));
  bob.handle('end', () => heard.push(-1));
  mesh.cut(first, second);
  expect(ann.isLinked(second)).toBe(false);
  ann.send(second, 'talk', Uint8Array.of(1));
  bob.send(second, 'end', Uint8Array.of(0));
  await vi.waitFor(() => expect(heard).toEqual([-1]));
  mesh.mend(first, second);
  ann.send(second, 'talk', Uint8Array.of(2));
  await vi.waitFor(() => expect(heard).toEqual([-1, 2]));
});

test('a node that comes back counts its lives', () => {
  const mesh = createMemoryMesh();
  expect(mesh.join(first).boot()).toBe(1);
  mesh.leave(first, 'dead');
  expect(mesh.join(first).boot()).toBe(2);
});
