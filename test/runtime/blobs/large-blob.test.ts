import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { createNode } from '../../../src/index.ts';
import { createLoopback, linked, until } from '../loopback.ts';

const megabyte = 1024 * 1024;

async function* made(count: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < count; at += 1) yield new Uint8Array(megabyte).fill(at & 0xff);
}

test('100 MB cross the mesh in bounded memory', async () => {
  await using home = await createLoopback();
  const up = async (name: string) => {
    const node = await createNode({
      name,
      dataDir: home.dir(name),
      port: 0,
      interfaces: ['lo'],
      profile: 'loopback',
      mdns: false,
      multicast: false,
      logLevel: 'silent',
    });
    await node.start();
    return node;
  };
  const [ann, bob] = [await up('ann'), await up('bob')];
  try {
    await bob.join((await ann.invite()).invite);
    await linked(ann, bob);
    await until(() => [ann, bob].every((node) => node.members().length === 2));
    const wanted = createHash('sha256');
    for await (const part of made(100)) wanted.update(part);
    const { hash, bytes } = await ann.blobs.put(made(100));
    expect(bytes).toBe(100 * megabyte);
    const before = process.memoryUsage().rss;
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20);
    const got = createHash('sha256');
    try {
      for await (const part of bob.blobs.get(hash)) got.update(part);
    } finally {
      clearInterval(watch);
    }
    expect(got.digest('hex')).toBe(wanted.digest('hex'));
    // Both ends are in this process; what waits is a window of pieces each, whatever the size of the blob.
    expect((most - before) / megabyte).toBeLessThan(90);
  } finally {
    await Promise.all([ann.stop(), bob.stop()]);
  }
}, 120_000);
