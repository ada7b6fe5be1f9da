import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { startStallResponder } from '../../../src/adapters/dgram/responder.ts';
import { stallPacketBytes } from '../../../src/adapters/dgram/stall-codec.ts';
import {
  createStallProbe,
  isStallAnswer,
  type StallProbe,
  type StallReport,
} from '../../../src/adapters/dgram/stall-probe.ts';
import { nodeIdFromHash } from '../../../src/kernel/ids.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import type { EpochKeys } from '../../../src/wire/datagram-seal.ts';
import { bundleProgram, startProgram, type Bundle, type Program } from '../child.ts';

const stalling = nodeIdFromHash(Buffer.alloc(16, 1));
const asker = nodeIdFromHash(Buffer.alloc(16, 2));
const keys: EpochKeys = { current: { epoch: 7, key: Buffer.alloc(32, 9) }, others: [] };
const otherKeys: EpochKeys = { current: { epoch: 7, key: Buffer.alloc(32, 8) }, others: [] };

let socket: Socket;
let probe: StallProbe;
let reports: StallReport[];
let packets: Buffer[];

beforeEach(async () => {
  reports = [];
  packets = [];
  probe = createStallProbe({ node: asker, keys: () => keys });
  socket = createSocket('udp4');
  socket.on('message', (bytes) => {
    packets.push(bytes);
    const report = isStallAnswer(bytes) ? probe.read(bytes) : undefined;
    if (report !== undefined) reports.push(report);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
});
afterEach(() => {
  socket.close();
});

/** Asks until an answer comes. */
async function ask(port: number, ms: number): Promise<StallReport> {
  const before = reports.length;
  return await vi.waitFor(
    () => {
      const report = reports[before];
      if (report !== undefined) return report;
      socket.send(probe.ask(stalling), port, '127.0.0.1');
      throw new Error('no answer yet');
    },
    { timeout: ms, interval: 100 },
  );
}

describe('a process with a stall responder', () => {
  let bundle: Bundle;
  let program: Program;
  let port: number;

  beforeAll(async () => {
    bundle = await bundleProgram(new URL('stalling.ts', import.meta.url).pathname);
  });
  afterAll(() => bundle.dispose());
  beforeEach(async () => {
    program = startProgram(bundle.file, []);
    port = Number((await program.line((line) => line.startsWith('port'), 10_000)).split(' ')[1]);
  });
  afterEach(async () => {
    program.child.kill('SIGKILL');
    await program.ended;
  });

  test('answers at once while its main thread is stuck for 5 s, with the growing time', async () => {
    expect((await ask(port, 5000)).stalledMs).toBeLessThan(1000);
    program.child.stdin?.write('5000\n');
    const start = performance.now();
    let last = 0;
    while (last < 4500) {
      const asked = performance.now();
      const { node, stalledMs } = await ask(port, 2000);
      expect(performance.now() - asked).toBeLessThan(1000);
      expect(node).toBe(stalling);
      expect(stalledMs).toBeGreaterThanOrEqual(last);
      // Never more than the truth: the time since we told it to block, plus one heartbeat.
      expect(stalledMs).toBeLessThan(performance.now() - start + 500);
      last = stalledMs;
    }
    await vi.waitFor(async () => expect((await ask(port, 2000)).stalledMs).toBeLessThan(1000), {
      timeout: 10_000,
    });
  });

  test('says nothing while it is stopped, and speaks again when it goes on', async () => {
    await ask(port, 5000);
    program.child.kill('SIGSTOP');
    // What it was asked before it stopped may still be on the way.
    await expect(ask(port, 1500)).rejects.toThrow();
    await expect(ask(port, 1500)).rejects.toThrow();
    program.child.kill('SIGCONT');
    await ask(port, 5000);
  });

  test('is not kept alive by it', async () => {
    program.child.stdin?.end();
    expect(await program.ended).toBe(0);
    expect(program.lines.at(-1)).toBe('input closed');
  });
});

describe('a stall responder', () => {
  async function start(failed: (error: Error) => void = () => undefined, port = 0) {
    return await startStallResponder({
      host: '127.0.0.1',
      port,
      node: stalling,
      keys: [keys.current],
      failed,
    });
  }

  test('answers members of the mesh only, in packets no larger than the question', async () => {
    const responder = await start();
    const stranger = createStallProbe({ node: asker, keys: () => otherKeys });
    const elsewhere = createStallProbe({ node: asker, keys: () => keys, label: 'another use' });
    const question = probe.ask(stalling);
    expect(question).toHaveLength(stallPacketBytes);
    const bad = [stranger.ask(stalling), elsewhere.ask(stalling), probe.ask(asker)];
    for (let at = 0; at < question.length; at += 1) {
      const flipped = Buffer.from(question);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      bad.push(flipped, question.subarray(0, at));
    }
    for (const bytes of bad) socket.send(bytes, responder.port, '127.0.0.1');
    await ask(responder.port, 5000);
    const answers = packets.length;
    expect(packets.every((packet) => packet.length === stallPacketBytes)).toBe(true);
    // One question that counts may have been asked a few times; none of the 113 bad ones was answered.
    expect(answers).toBeLessThan(5);
    await responder.stop();
  });

  test('is understood once per question: copies and echoes of answers mean nothing', async () => {
    const responder = await start();
    await ask(responder.port, 5000);
    for (const packet of packets) expect(probe.read(packet)).toBeUndefined();
    const fresh = createStallProbe({ node: asker, keys: () => keys });
    for (const packet of packets) expect(fresh.read(packet)).toBeUndefined();
    expect(probe.read(probe.ask(stalling))).toBeUndefined();
    await responder.stop();
  });

  test('follows a rotation of the epoch key', async () => {
    const responder = await start();
    const next: EpochKeys = { current: { epoch: 8, key: Buffer.alloc(32, 4) }, others: [] };
    probe = createStallProbe({ node: asker, keys: () => next });
    await expect(ask(responder.port, 500)).rejects.toThrow();
    responder.setKeys([next.current, keys.current]);
    await ask(responder.port, 5000);
    await responder.stop();
  });

  test('answers a flood at its own measure', async () => {
    const responder = await start();
    for (let at = 0; at < 500; at += 1)
      socket.send(probe.ask(stalling), responder.port, '127.0.0.1');
    await vi.waitFor(() => expect(packets.length).toBeGreaterThan(90));
    await vi.waitFor(
      () => {
        const before = packets.length;
        return new Promise<void>((resolve) => setImmediate(resolve)).then(() =>
          expect(packets.length).toBe(before),
        );
      },
      { timeout: 5000 },
    );
    expect(packets.length).toBeLessThan(160);
    await responder.stop();
  });

  test('refuses a taken port, and gives its own back when it stops', async () => {
    const first = await start();
    await expect(start(undefined, first.port)).rejects.toMatchObject({ code: 'MYCEL_PORT_TAKEN' });
    await first.stop();
    await first.stop();
    const second = await start(undefined, first.port);
    expect(second.port).toBe(first.port);
    await second.stop();
  });

  test('leaves no handle behind after forty starts', async () => {
    const before = process.getActiveResourcesInfo().length;
    for (let round = 0; round < 40; round += 1) await (await start()).stop();
    await vi.waitFor(() => {
      expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(before + 2);
    });
  });
});

describe('the reader of answers', () => {
  test('takes any bytes without an exception', () => {
    const random = createRandom(8);
    const runs = Number(process.env['FUZZ_RUNS'] ?? 20_000);
    for (let run = 0; run < runs; run += 1) {
      const size = random.below(3) === 0 ? stallPacketBytes : random.below(80);
      const bytes = Uint8Array.from({ length: size }, () => random.below(256));
      if (size > 3) bytes.set([0x73, 0, 7]);
      expect(probe.read(bytes)).toBeUndefined();
    }
  });
});
