import { expect, test } from 'vitest';
import type { NodeId } from '../../src/kernel/ids.ts';
import type { LinkInfo } from '../../src/runtime/link-wires.ts';
import { createMoves } from '../../src/runtime/moves.ts';
import { simNodeId } from '../sim/membership.ts';

const [ann, bob]: [NodeId, NodeId] = [simNodeId(1), simNodeId(2)];
const at = (...hosts: string[]): { host: string; port: number }[] =>
  hosts.map((host) => ({ host, port: 1883 }));

/** A follower of two peers, each linked from one host, and what it hung up. */
function followed(hosts: ReadonlyMap<NodeId, string>): {
  readonly follow: ReturnType<typeof createMoves>;
  readonly hungUp: number[];
} {
  const hungUp: number[] = [];
  const links = {
    current(node: NodeId) {
      const host = hosts.get(node);
      if (host === undefined) return undefined;
      const session = { peer: node, remote: { host, port: 40_000 } };
      return { id: node === ann ? 1 : 2, session } as LinkInfo;
    },
    hangUp: (id: number) => void hungUp.push(id),
  };
  return { follow: createMoves(() => links), hungUp };
}

test('the link of a member that gives its address up is hung up, nobody else is', () => {
  const { follow, hungUp } = followed(
    new Map([
      [ann, '10.0.0.1'],
      [bob, '10.0.0.2'],
    ]),
  );
  follow(ann, at('10.0.0.1'));
  follow(bob, at('10.0.0.2'));
  follow(ann, at('10.0.0.1', '10.0.0.9'));
  expect(hungUp).toEqual([]);
  follow(ann, at('10.0.0.9'));
  expect(hungUp).toEqual([1]);
  follow(ann, at('10.0.0.9'));
  expect(hungUp).toEqual([1]);
});

test('a link through a host that the member never named stays, whatever it says of itself', () => {
  const { follow, hungUp } = followed(new Map([[ann, '203.0.113.7']]));
  follow(ann, at('10.0.0.1'));
  follow(ann, at('10.0.0.2'));
  follow(bob, at('10.0.0.1'));
  expect(hungUp).toEqual([]);
});
