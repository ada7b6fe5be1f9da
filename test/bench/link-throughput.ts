/**
 * How much one link carries: frames a second, and 64-byte messages a second in 16 KiB frames, between two processes.
 * Run: `node --import ./test/typescript.mjs test/bench/link-throughput.ts`
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { nodeKeysFromSeeds } from '../../src/wire/keys.ts';
import { createCredentials, startLinkHost } from '../adapters/link/link-fixture.ts';

const mesh = nodeKeysFromSeeds(new Uint8Array(32).fill(1), new Uint8Array(32).fill(2));
const seconds = 4;

if (process.env['BENCH_ROLE'] === 'receiver') {
  const host = await startLinkHost(createCredentials(mesh));
  let frames = 0;
  let bytes = 0;
  host.heard.frames.push = (frame) => {
    frames += 1;
    bytes += frame?.bytes.length ?? 0;
    return 0;
  };
  process.on('message', () => process.send?.({ frames, bytes, cpu: process.cpuUsage() }));
  process.send?.({ address: host.address, node: host.node });
} else {
  await measure();
}

async function measure(): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), {
    env: { ...process.env, BENCH_ROLE: 'receiver' },
  });
  const [{ address, node }] = await once(child, 'message');
  const count = async (): Promise<{ frames: number; bytes: number }> => {
    const answer = once(child, 'message');
    child.send('count');
    return (await answer)[0];
  };
  const ann = await startLinkHost(createCredentials(mesh));
  const session = await ann.transport.dial(node, [address], AbortSignal.timeout(5000));
  for (const size of [200, 1024, 16_384, 65_536]) {
    const frame = new Uint8Array(size).fill(7);
    const before = await count();
    const started = performance.now();
    while (performance.now() - started < seconds * 1000) {
      let hasRoom = true;
      for (let at = 0; hasRoom && at < 64; at += 1) hasRoom = session.send('data', frame);
      if (hasRoom) await new Promise((resolve) => setImmediate(resolve));
      else {
        const drains = ann.heard.drained.length;
        await ann.heard.until(() => ann.heard.drained.length > drains);
      }
    }
    const after = await count();
    const took = (performance.now() - started) / 1000;
    const perSecond = (after.frames - before.frames) / took;
    const megabytes = (after.bytes - before.bytes) / took / 1e6;
    const messages =
      size < 1024 ? '' : `, ${Math.round(perSecond * Math.floor(size / 64))} messages of 64 B/s`;
    console.log(
      `${size} B frames: ${Math.round(perSecond)}/s, ${megabytes.toFixed(1)} MB/s${messages}`,
    );
  }
  child.kill();
  process.exit(0);
}
