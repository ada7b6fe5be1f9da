/** Code on its way: what was changed, signed by a stranger, or is something else is not run and not kept. */

import { expect, test } from 'vitest';
import { openBundle, packBundle } from '../../../src/runtime/agents/bundle.ts';
import type { Bundle } from '../../../src/runtime/agents/bundle.ts';
import { createBundles } from '../../../src/runtime/agents/bundles.ts';
import { decodeCbor, encodeCbor } from '../../../src/wire/cbor.ts';
import { nodeKeysFromSeeds } from '../../../src/wire/keys.ts';
import { createStage } from '../services/stage.ts';
import { until } from '../loopback.ts';

const keysOf = (seed: number) =>
  nodeKeysFromSeeds(new Uint8Array(32).fill(seed), new Uint8Array(32).fill(seed + 100));
const keys = keysOf(1);
const good = packBundle('export const agent = 1;', keys);

function changed(
  change: (parts: Record<string, Uint8Array>) => void,
  of: Bundle = good,
): Uint8Array {
  const parts = { ...(decodeCbor(of.bytes) as Record<string, Uint8Array>) };
  change(parts);
  return encodeCbor(parts);
}

const flipped = (bytes: Uint8Array | undefined): Uint8Array =>
  Uint8Array.from(bytes ?? [], (byte, at) => (at === 0 ? byte ^ 1 : byte));

test('a bundle is what its name says, signed by a member', () => {
  expect(openBundle(good.bytes, good.hash, (signer) => signer === good.signer)).toMatchObject({
    code: 'export const agent = 1;',
    signer: good.signer,
  });
});

const stranger = packBundle('export const agent = 1;', keysOf(2));
const evil = packBundle('export const agent = 2;', keys);

test.each([
  ['is no CBOR', Uint8Array.of(1, 2, 3), /cannot be read/],
  ['is something else', encodeCbor({ code: 'text' }), /cannot be read/],
  [
    'has other code',
    changed((parts) => (parts['code'] = flipped(parts['code']))),
    /not what its name/,
  ],
  ['is another bundle', evil.bytes, /not what its name/],
  [
    'has a wrong signature',
    changed((parts) => (parts['signature'] = flipped(parts['signature']))),
    /signature is wrong/,
  ],
  [
    'has the signature of other code',
    changed(
      (parts) =>
        (parts['signature'] =
          (decodeCbor(evil.bytes) as typeof parts)['signature'] ?? new Uint8Array(64)),
    ),
    /signature is wrong/,
  ],
  [
    'has a key of the wrong length',
    changed((parts) => (parts['key'] = Uint8Array.of(1))),
    /signature is wrong/,
  ],
  ['is signed by a stranger', stranger.bytes, /no member/],
])('one that %s is refused', (_, bytes, why) => {
  const open = (): Bundle => openBundle(bytes, good.hash, (signer) => signer === good.signer);
  expect(open).toThrow(expect.objectContaining({ code: 'MYCEL_BAD_BUNDLE' }));
  expect(open).toThrow(why);
});

test('a member that gives out wrong code is passed over: nothing of it is kept', async () => {
  const { seats } = await createStage(2);
  const [ann, bob] = seats as [(typeof seats)[0], (typeof seats)[0]];
  bob.world.calls.serve('agents/bundle', async () => evil.bytes);
  await until(() => ann.world.mesh.peers().length === 1);
  const bundles = createBundles(ann.world);
  await expect(bundles.fetch(good.hash)).rejects.toMatchObject({ code: 'MYCEL_BAD_BUNDLE' });
  expect((await ann.world.store.list()).filter((name) => name.startsWith('agents-'))).toEqual([]);
});
