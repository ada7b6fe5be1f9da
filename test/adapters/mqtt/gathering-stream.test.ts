import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { GatheringStream, sliceBytes } from '../../../src/adapters/mqtt/gathering-stream.ts';
import type { Translation } from '../../../src/adapters/mqtt/gathering-stream.ts';

/** Both ends of a connection over loopback. */
async function connected(): Promise<readonly [Socket, Socket]> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [accepted] = (await once(server, 'connection')) as [Socket];
  onTestFinished(() => {
    client.destroy();
    accepted.destroy();
    server.close();
  });
  return [client, accepted];
}

const plain: Translation = { outbound: (bytes) => [bytes], inbound: (chunk) => [chunk] };

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** On loopback so many turns of the loop are enough for the kernel to take what it can. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await nextTurn();
}

test('what floods in is used a little in each turn of the loop, and all of it comes', async () => {
  const [client, accepted] = await connected();
  accepted.pause();
  const bytes = 8 * 1024 * 1024;
  client.end(Buffer.alloc(bytes, 'x'));
  await turns(200);
  let inTurn = 0;
  let longest = 0;
  let total = 0;
  const stream = new GatheringStream(accepted, sliceBytes, {
    outbound: plain.outbound,
    inbound(chunk) {
      inTurn += chunk.length;
      return [chunk];
    },
  });
  stream.on('data', (chunk: Buffer) => (total += chunk.length));
  const ended = once(stream, 'end');
  accepted.resume();
  let isOver = false;
  void ended.then(() => (isOver = true));
  while (!isOver) {
    inTurn = 0;
    await nextTurn();
    longest = Math.max(longest, inTurn);
  }
  expect(total).toBe(bytes);
  expect(longest).toBeLessThanOrEqual(2 * 64 * 1024);
});

test('what came before the connection was lost is used', async () => {
  const [client, accepted] = await connected();
  const stream = new GatheringStream(accepted, sliceBytes, plain);
  let total = 0;
  stream.on('data', (chunk: Buffer) => (total += chunk.length));
  client.end(Buffer.alloc(1024 * 1024, 'x'));
  await once(stream, 'close');
  expect(total).toBe(1024 * 1024);
});

test('a stream that its reader does not read stops reading, and goes on with it', async () => {
  const [client, accepted] = await connected();
  let used = 0;
  const stream = new GatheringStream(accepted, sliceBytes, {
    outbound: plain.outbound,
    inbound(chunk) {
      used += chunk.length;
      return [chunk];
    },
  });
  const bytes = 32 * 1024 * 1024;
  client.end(Buffer.alloc(bytes, 'x'));
  await turns(200);
  expect(used).toBeLessThanOrEqual(4 * sliceBytes);
  let total = 0;
  for await (const chunk of stream) total += (chunk as Buffer).length;
  expect(total).toBe(bytes);
});

test('what was gathered can be written at once: whole, once, and in order', async () => {
  const [client, accepted] = await connected();
  const slices: string[] = [];
  const stream = new GatheringStream(client, sliceBytes, {
    inbound: plain.inbound,
    outbound(bytes) {
      slices.push(bytes.toString());
      return [bytes];
    },
  });
  stream.flush();
  stream.write('a');
  // As writers of packets do: they let go at the end of their turn only.
  stream.cork();
  stream.write('b');
  stream.write('c');
  process.nextTick(() => stream.uncork());
  stream.flush();
  expect(slices.join('')).toBe('abc');
  const writes = slices.length;
  stream.write('d');
  stream.flush();
  expect(slices).toHaveLength(writes + 1);
  stream.write('e');
  let came = '';
  accepted.on('data', (chunk: Buffer) => (came += chunk.toString()));
  while (came.length < 5) await once(accepted, 'data');
  await turns(3);
  expect(came).toBe('abcde');
  expect(slices.join('')).toBe('abcde');
});

test('what a slow reader has no room for waits, also when it is hurried', async () => {
  const [client, accepted] = await connected();
  accepted.pause();
  const stream = new GatheringStream(client, sliceBytes, plain);
  const bytes = 12 * 1024 * 1024;
  for (let at = 0; at < bytes; at += sliceBytes) {
    stream.write(Buffer.alloc(sliceBytes, at / sliceBytes));
    stream.flush();
  }
  expect(stream.queuedBytes()).toBeGreaterThan(0);
  const came: Buffer[] = [];
  accepted.on('data', (chunk: Buffer) => came.push(chunk));
  accepted.resume();
  while (came.reduce((sum, { length }) => sum + length, 0) < bytes) await once(accepted, 'data');
  const whole = Buffer.concat(came);
  for (let at = 0; at < bytes; at += sliceBytes) {
    expect(whole[at]).toBe((at / sliceBytes) % 256);
    expect(whole[at + sliceBytes - 1]).toBe((at / sliceBytes) % 256);
  }
});

test('the largest write that waits is known until nothing waits, and goes out in slices', async () => {
  const [client, accepted] = await connected();
  const slices: number[] = [];
  const stream = new GatheringStream(client, sliceBytes, {
    inbound: plain.inbound,
    outbound(bytes) {
      slices.push(bytes.length);
      return [bytes];
    },
  });
  stream.write(Buffer.alloc(10));
  const payload = Buffer.alloc(12 * 1024 * 1024, 'y');
  stream.write(payload);
  expect(stream.largestBytes()).toBe(payload.length);
  await nextTurn();
  await nextTurn();
  expect(stream.largestBytes()).toBe(payload.length);
  expect(stream.queuedBytes()).toBeGreaterThan(0);
  let total = 0;
  accepted.on('data', (chunk: Buffer) => (total += chunk.length));
  while (total < payload.length + 10) await once(accepted, 'data');
  while (stream.queuedBytes() > 0) await nextTurn();
  expect(stream.largestBytes()).toBe(0);
  expect(Math.max(...slices)).toBeLessThan(2 * sliceBytes);
});
