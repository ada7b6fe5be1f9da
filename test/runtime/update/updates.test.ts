/** Updates on a mesh inside this process: real packages, real signatures, and a launcher of the test. */

import { describe, expect, onTestFinished, test } from 'vitest';
import { createMemoryBlobFiles } from '../../../src/adapters/memory/blob-files.ts';
import { createMemoryLog } from '../../../src/adapters/memory/log.ts';
import { createMemoryMesh } from '../../../src/adapters/memory/mesh.ts';
import { createMemoryStore } from '../../../src/adapters/memory/store.ts';
import { createMemoryVersions } from '../../../src/adapters/memory/versions.ts';
import { createSystemClock } from '../../../src/adapters/system/clock.ts';
import { createMetrics } from '../../../src/adapters/system/metrics.ts';
import { parseMeshId } from '../../../src/kernel/ids.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { createBlobs } from '../../../src/runtime/blobs/blobs.ts';
import { createCalls } from '../../../src/runtime/calls/calls.ts';
import type { PartWorld } from '../../../src/runtime/parts.ts';
import { createUpdates } from '../../../src/runtime/update/updates.ts';
import type { Updates } from '../../../src/runtime/update/updates.ts';
import { toHex } from '../../../src/wire/bytes.ts';
import { generateNodeKeys, nodeIdOf } from '../../../src/wire/keys.ts';
import { readPackage, versionName } from '../../../src/wire/package.ts';
import { decodeReport, signUpdateOrder } from '../../../src/wire/update-order.ts';
import type { UpdateOrder } from '../../../src/wire/update-order.ts';
import { inPieces, packPackage } from '../../update-package.ts';

const meshId = parseMeshId('0123456789abcdef0123456789abcdef');
const quick = { healthyForMs: 0, trialMs: 3_000, patienceMs: 20_000 };
const patience = { timeout: 15_000, interval: 20 };

interface SeatOptions {
  readonly isLaunched?: boolean;
  readonly nodeVersion?: string;
  /** What is wrong with the new version here. */
  readonly trouble?: () => string | undefined;
  /** What the node does under this version. */
  readonly does?: (version: string) => readonly string[];
}

/** A mesh whose first member is its only admin. */
async function stage(...given: readonly SeatOptions[]) {
  const mesh = createMemoryMesh();
  const keysOf = given.map(() => generateNodeKeys());
  const admin = toHex(keysOf[0]?.edPublic ?? new Uint8Array());
  const seats = given.map((options, at) => {
    const keys = keysOf[at] ?? generateNodeKeys();
    const id = nodeIdOf(keys.edPublic);
    const port = mesh.join(id);
    const [clock, log, metrics] = [createSystemClock(), createMemoryLog(), createMetrics()];
    const calls = createCalls({ mesh: port, clock, random: createRandom(at), log, metrics });
    const blobs = createBlobs({
      files: createMemoryBlobFiles(),
      calls,
      mesh: port,
      clock,
      metrics,
    });
    const [store, versions] = [createMemoryStore(), createMemoryVersions()];
    const seat = {
      id,
      keys,
      calls,
      versions,
      starts: 0,
      blobs: blobs.handle,
      updates: undefined as unknown as Updates,
      stop: async () => {},
    };
    const { isLaunched = true, nodeVersion = '22.0.0', trouble, does = () => [] } = options;

    async function start(): Promise<void> {
      const { trial, current } = await versions.view();
      seat.starts += 1;
      const launch = {
        running: trial ?? current ?? 'installed',
        isTrial: trial !== undefined,
        nodeVersion,
      };
      const { part, handle } = createUpdates(
        {
          node: {
            id,
            status: () => ({ links: [1], loopLagMs: 0, mesh: { isProvisional: false } }),
            sleep: async () => {},
          },
          calls,
          clock,
          log,
          metrics,
          store,
          adapters: { versions: () => versions },
          dataDir: '',
          options: {
            ...(isLaunched ? { launch } : {}),
            probe: async () => (launch.running === 'installed' ? undefined : trouble?.()),
          },
          home: () => ({ mesh: meshId, founder: undefined }),
          authority: () => ({
            keys,
            isAdmin: () => at === 0,
            isAdminKey: (key: string) => key === admin,
          }),
        } as unknown as PartWorld,
        blobs.handle,
        {
          done: () => does(launch.running),
          async trouble(before) {
            const missing = before.find((name) => !does(launch.running).includes(name));
            return missing && `${missing} does not run`;
          },
        },
      );
      seat.updates = handle;
      seat.stop = () => part.stop();
      handle.onRestart(() => void part.stop().then(start));
      await part.start();
    }

    onTestFinished(async () => {
      await seat.stop();
      await blobs.stop();
      calls.stop();
    });
    return { seat, start: () => blobs.start().then(start) };
  });
  for (const { start } of seats) await start();
  return seats.map(({ seat }) => seat) as unknown as [Seat, Seat, Seat];
}

interface Seat {
  readonly id: ReturnType<typeof nodeIdOf>;
  readonly keys: ReturnType<typeof generateNodeKeys>;
  readonly calls: ReturnType<typeof createCalls>;
  readonly versions: ReturnType<typeof createMemoryVersions>;
  readonly blobs: ReturnType<typeof createBlobs>['handle'];
  readonly updates: Updates;
  readonly starts: number;
}

async function begin(
  admin: Seat,
  targets: readonly Seat[],
  how: { readonly canary?: number; readonly batch?: number } = {},
  bytes = packPackage(),
): Promise<string> {
  const { hash } = await admin.blobs.put(bytes);
  const ids = targets.map(({ id }) => id);
  await admin.updates.rollOut({ blob: hash, targets: ids, ...quick, ...how });
  return hash;
}

describe('an update over the mesh', () => {
  test('reaches everybody, is fetched from members, and is kept with what was before', async () => {
    const [ann, bob, eve] = await stage({}, {}, {});
    const blob = await begin(ann, [ann, bob, eve], { batch: 2 });
    await expect.poll(() => ann.updates.rollout()?.outcome, patience).toBe('done');
    for (const seat of [ann, bob, eve]) {
      expect((await seat.versions.view()).current).toMatch(/^0\.2\.0-/);
      expect(seat.updates.report()).toMatchObject({ phase: 'kept', number: 1 });
      expect(seat.starts).toBe(2);
      expect(await seat.blobs.has(blob)).toBe(true);
    }
  });

  test('is taken back everywhere when one node is not well with it', async () => {
    const [ann, bob, eve] = await stage({}, {}, { trouble: () => 'the heater is cold' });
    await begin(ann, [ann, bob, eve]);
    await expect.poll(() => ann.updates.rollout()?.outcome, patience).toBe('rolled-back');
    expect(ann.updates.rollout()?.reason).toBe(`${eve.id}: the heater is cold`);
    for (const seat of [ann, bob, eve]) {
      expect((await seat.versions.view()).current).toBeUndefined();
      expect(seat.updates.report().running).toBe('installed');
    }
    expect(ann.starts, 'it had not begun with itself').toBe(1);
  });

  test('is taken back when what ran before does not run with it', async () => {
    const does = (version: string) => [version === 'installed' ? 'agent heater' : 'agent cooler'];
    const [ann, bob] = await stage({}, { does });
    await begin(ann, [bob]);
    await expect.poll(() => ann.updates.rollout()?.outcome, patience).toBe('rolled-back');
    expect(ann.updates.rollout()?.reason).toBe(`${bob.id}: agent heater does not run`);
    expect(bob.updates.report().running).toBe('installed');
  });

  test('is taken back by hand', async () => {
    const [ann, bob] = await stage({}, { trouble: () => 'it takes its time' });
    await begin(ann, [bob]);
    await expect.poll(() => bob.updates.report().phase, patience).toBe('trial');
    expect(ann.updates.cancel()).toBe(true);
    await expect.poll(() => ann.updates.rollout()?.outcome, patience).toBe('rolled-back');
    expect(ann.updates.cancel()).toBe(false);
    expect(bob.updates.report().running).toBe('installed');
  });

  test('begins on an admin node alone, one at a time, with nodes that can', async () => {
    const [ann, bob, eve] = await stage({}, {}, { isLaunched: false });
    await expect(begin(bob, [bob])).rejects.toThrow('MYCEL_NOT_ADMIN');
    await expect(begin(ann, [bob, eve])).rejects.toThrow('MYCEL_NOT_UPDATABLE');
    await expect(begin(ann, [bob], {}, packPackage({ name: 'x' }))).rejects.toThrow(
      'MYCEL_BAD_PACKAGE',
    );
    await begin(ann, [bob]);
    await expect(begin(ann, [bob])).rejects.toThrow('MYCEL_ROLLOUT_BUSY');
  });

  test('a package for a newer Node.js is refused before anything restarts', async () => {
    const [ann, bob] = await stage({}, { nodeVersion: '20.19.0' });
    await begin(ann, [bob], {}, packPackage({ node: '>=22.12' }));
    await expect.poll(() => ann.updates.rollout()?.outcome, patience).toBe('rolled-back');
    expect(ann.updates.rollout()?.reason).toContain('It needs Node.js 22.12, here is 20.19.0.');
    expect(bob.starts).toBe(1);
  });
});

describe('an order that is not right', () => {
  async function orderFor(ann: Seat, bob: Seat): Promise<UpdateOrder> {
    const bytes = packPackage();
    const { hash } = await ann.blobs.put(bytes);
    const { version, programHash } = await readPackage(inPieces(bytes, 4_096));
    const name = versionName(version, programHash);
    return {
      mesh: meshId,
      node: bob.id,
      author: toHex(ann.keys.edPublic),
      order: { kind: 'try', number: 1, version: name, healthyForMs: 0, trialMs: 3_000 },
      release: { blob: hash, version, programHash },
    };
  }

  function send(from: Seat, to: Seat, signed: Uint8Array): Promise<Uint8Array> {
    return from.calls.call(to.id, 'update.order', signed, { deadlineMs: 5_000 });
  }

  test('is refused with its reason, and changes nothing', async () => {
    const [ann, bob, eve] = await stage({}, {}, {});
    const right = await orderFor(ann, bob);
    const byEve = { ...right, author: toHex(eve.keys.edPublic) };
    const other = parseMeshId('f'.repeat(32));
    const wrong: [Uint8Array, string][] = [
      [signUpdateOrder(eve.keys.edSeed, byEve), 'no admin of this mesh'],
      [signUpdateOrder(eve.keys.edSeed, right), 'signature is not right'],
      [signUpdateOrder(ann.keys.edSeed, { ...right, node: eve.id }), 'for another node'],
      [signUpdateOrder(ann.keys.edSeed, { ...right, mesh: other }), 'of another mesh'],
      [
        signUpdateOrder(ann.keys.edSeed, { ...right, order: { ...right.order, version: 'x' } }),
        'not that of its package',
      ],
      [new Uint8Array(3_000), 'signature is not right'],
    ];
    for (const [signed, words] of wrong) {
      await expect(send(eve, bob, signed)).rejects.toThrow(words);
    }
    expect(bob.updates.report()).toMatchObject({ phase: 'idle', number: 0 });
  });

  test('a package that is not the one that was signed is not installed, and the node lives on', async () => {
    const [ann, bob] = await stage({}, {}, {});
    const right = await orderFor(ann, bob);
    const { hash } = await ann.blobs.put(packPackage({ program: '#!/usr/bin/env node\nevil()\n' }));
    const swapped = { ...right, release: { ...right.release, blob: hash } };
    await send(ann, bob, signUpdateOrder(ann.keys.edSeed, swapped));
    await expect.poll(() => bob.updates.report().phase, patience).toBe('failed');
    expect(bob.updates.report()).toMatchObject({ running: 'installed', number: 1 });
    expect(bob.updates.report().reason).toContain('not the one that was signed');
    expect(bob.starts).toBe(1);
  });

  test('an old one is not obeyed again', async () => {
    const [ann, bob] = await stage({}, {}, {});
    const right = await orderFor(ann, bob);
    const signed = signUpdateOrder(ann.keys.edSeed, right);
    await send(ann, bob, signed);
    await expect.poll(() => bob.updates.report().phase, patience).toBe('kept');
    const back = { ...right, order: { ...right.order, kind: 'revert' as const } };
    await send(ann, bob, signUpdateOrder(ann.keys.edSeed, back));
    await expect.poll(() => bob.updates.report().phase, patience).toBe('reverted');
    expect(decodeReport(await send(ann, bob, signed))).toMatchObject({ phase: 'reverted' });
    expect(bob.updates.report().running).toBe('installed');
  });
});
