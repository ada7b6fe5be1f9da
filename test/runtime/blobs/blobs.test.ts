import { describe, expect, onTestFinished, test } from 'vitest';
import { createMemoryBlobFiles } from '../../../src/adapters/memory/blob-files.ts';
import { createMemoryLog } from '../../../src/adapters/memory/log.ts';
import { createMemoryMesh } from '../../../src/adapters/memory/mesh.ts';
import { createSystemClock } from '../../../src/adapters/system/clock.ts';
import { createMetrics } from '../../../src/adapters/system/metrics.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { createBlobs } from '../../../src/runtime/blobs/blobs.ts';
import { createCalls } from '../../../src/runtime/calls/calls.ts';
import { blobChunkBytes } from '../../../src/wire/blob-list.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

const ids = [0, 1, 2].map(simNodeId);

/** Three members of a memory mesh with blobs; `lost` says which messages do not arrive. */
async function stage(lost: () => boolean = () => false) {
  const mesh = createMemoryMesh({ isLost: lost });
  const ports = ids.map((id) => mesh.join(id));
  const seats = ports.map((port, seed) => {
    const clock = createSystemClock();
    const metrics = createMetrics();
    const log = createMemoryLog();
    const calls = createCalls({ mesh: port, clock, random: createRandom(seed), log, metrics });
    const files = createMemoryBlobFiles();
    const part = createBlobs({ files, calls, mesh: port, clock, metrics });
    return { id: port.self, files, metrics, part, blobs: part.handle, calls };
  });
  for (const { part } of seats) await part.start();
  onTestFinished(async () => {
    for (const { part, calls } of seats) {
      await part.stop();
      calls.stop();
    }
  });
  const [ann, bob, eve] = seats as [(typeof seats)[0], (typeof seats)[0], (typeof seats)[0]];
  return { mesh, ann, bob, eve };
}

function content(bytes: number): Uint8Array {
  const made = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 1) made[at] = (at * 7919) >>> 5;
  return made;
}

async function whole(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}

describe('blobs', () => {
  test.each([0, 1, blobChunkBytes - 1, blobChunkBytes, 3 * blobChunkBytes + 7])(
    'of %d bytes are put here and got there, under the name of their content',
    async (size) => {
      const { ann, bob } = await stage();
      const bytes = content(size);
      const put = await ann.blobs.put(bytes);
      expect(put.bytes).toBe(size);
      expect((await bob.blobs.put(bytes)).hash).toBe(put.hash);
      await bob.blobs.remove(put.hash);
      expect(await bob.blobs.has(put.hash)).toBe(false);
      expect(Buffer.compare(await whole(bob.blobs.get(put.hash)), bytes)).toBe(0);
      expect(await bob.blobs.has(put.hash)).toBe(true);
    },
  );

  test('go on where they stopped after a cut, without fetching a chunk twice', async () => {
    const { mesh, ann, bob } = await stage();
    const bytes = content(16 * blobChunkBytes);
    const { hash } = await ann.blobs.put(bytes);
    const got = whole(bob.blobs.get(hash));
    let have = 0;
    await expect
      .poll(() => (have = bob.metrics.snapshot().counters['blob.chunks.in'] ?? 0), { interval: 1 })
      .toBeGreaterThan(2);
    mesh.cut(ann.id, bob.id);
    expect(have).toBeLessThan(16);
    setImmediate(() => mesh.mend(ann.id, bob.id));
    expect(Buffer.compare(await got, bytes)).toBe(0);
    expect(bob.metrics.snapshot().counters['blob.chunks.in']).toBe(16);
  });

  test('come from another holder when the first one goes in the middle', async () => {
    const { mesh, ann, bob, eve } = await stage();
    const bytes = content(20 * blobChunkBytes);
    const { hash } = await ann.blobs.put(bytes);
    await eve.blobs.put(bytes);
    const got = whole(bob.blobs.get(hash, { from: ann.id }));
    await expect
      .poll(() => bob.metrics.snapshot().counters['blob.chunks.in'] ?? 0, { interval: 1 })
      .toBeGreaterThan(2);
    mesh.leave(ann.id, 'dead');
    expect(Buffer.compare(await got, bytes)).toBe(0);
    expect(bob.metrics.snapshot().counters['blob.chunks.in']).toBe(20);
  });

  test('are never taken from a holder whose copy is damaged, nor given from a damaged disk', async () => {
    const { ann, bob } = await stage();
    const { hash } = await ann.blobs.put(content(2 * blobChunkBytes));
    await ann.files.write(hash, blobChunkBytes, content(blobChunkBytes).fill(1));
    const got = whole(bob.blobs.get(hash, { patienceMs: 800 }));
    await expect(got).rejects.toMatchObject({ code: 'MYCEL_DEADLINE' });
    expect(bob.metrics.snapshot().drops['blob: MYCEL_BLOB_DAMAGED']).toBeGreaterThan(0);
    await expect(whole(ann.blobs.get(hash))).rejects.toMatchObject({ code: 'MYCEL_BLOB_DAMAGED' });
    expect(await ann.blobs.has(hash)).toBe(false);
  });

  test('that nobody has, and names that are none, are refused', async () => {
    const { bob } = await stage();
    const nobody = whole(bob.blobs.get('0'.repeat(64), { patienceMs: 300 }));
    await expect(nobody).rejects.toMatchObject({ code: 'MYCEL_BLOB_UNKNOWN' });
    await expect(whole(bob.blobs.get('../etc/passwd'))).rejects.toMatchObject({
      code: 'MYCEL_BAD_OPTION',
    });
  });
});
