/** What an idle mesh costs on the wire, with the real codec and real signatures. */

import { expect, test } from 'vitest';
import type { NodeId } from '../../src/kernel/ids.ts';
import { nodeIdOf, nodeKeysFromSeeds, signBytes, verifyBytes } from '../../src/wire/keys.ts';
import { createMembershipCodec } from '../../src/wire/membership-codec.ts';
import type { MembershipCodec } from '../../src/wire/membership-codec.ts';
import { addSwimHost, seesAlive } from './membership.ts';
import type { SwimHost, SwimLetter } from './membership.ts';
import { createWorld } from './world.ts';
import type { World } from './world.ts';

/** What sealing adds to each datagram, in bytes. */
const sealBytes = 35;

interface Sealed {
  readonly world: World<SwimLetter>;
  readonly hosts: readonly SwimHost[];
  readonly codecs: readonly MembershipCodec[];
  largest(): number;
}

function sealedMesh(count: number): Sealed {
  let largest = 0;
  const world = createWorld<SwimLetter>({
    seed: 4,
    stepsPerMsMax: 50_000,
    kindOf: () => 'datagram',
    sizeOf(letter) {
      const bytes = letter instanceof Uint8Array ? letter.length + sealBytes : Number.NaN;
      largest = Math.max(largest, bytes);
      return bytes;
    },
  });
  const codecs: MembershipCodec[] = [];
  const keys = new Map<NodeId, Uint8Array>();
  const identities = Array.from({ length: count }, (_, at) => {
    const seed = new Uint8Array(32).fill(at + 1);
    const pair = nodeKeysFromSeeds(seed, seed);
    const self = nodeIdOf(pair.edPublic);
    keys.set(self, pair.edPublic);
    return { self, pair };
  });
  const hosts = identities.map(({ self, pair }, at) => {
    const codec = createMembershipCodec({
      self,
      sign: (bytes) => signBytes(pair.edSeed, bytes),
      verify: verifyBytes,
      edPublicOf: (node) => keys.get(node),
      nodeIdOf,
    });
    codecs.push(codec);
    const config = { edPublic: pair.edPublic, sizeOf: codec.sizeOf };
    const seeds = identities.slice(Math.max(0, at - 1), at).map((identity) => identity.self);
    return addSwimHost(world, self, { seeds, codec, config });
  });
  return { world, hosts, codecs, largest: () => largest };
}

test('idle members send two messages and under 200 bytes a second each, whatever their number', () => {
  const costs = [3, 10, 100].map((count) => {
    const { world, hosts, codecs, largest } = sealedMesh(count);
    const ids = hosts.map((host) => host.id as NodeId);
    const isWhole = (): boolean =>
      hosts.every((host) =>
        seesAlive(
          host,
          ids.filter((id) => id !== host.id),
        ),
      );
    expect(world.waitFor(isWhole, 60_000, 250)).toBeDefined();
    world.runFor(20_000);
    const before = { ...world.counters.of('datagram') };
    world.runFor(60_000);
    const after = world.counters.of('datagram');
    for (const codec of codecs) expect(codec.counts()).toMatchObject({ malformed: 0, refused: 0 });
    expect(largest()).toBeLessThanOrEqual(1_400);
    return {
      count,
      messages: (after.sent - before.sent) / count / 60,
      bytes: (after.bytes - before.bytes) / count / 60,
    };
  });
  for (const { messages, bytes } of costs) {
    expect(messages).toBeLessThan(2.2);
    expect(bytes).toBeLessThan(220);
  }
  const [few, , many] = costs;
  expect((many?.bytes ?? Infinity) / (few?.bytes ?? 0)).toBeLessThan(1.1);
}, 120_000);
