/** Conversations over real sockets: whole, bounded, with a deadline. */

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import {
  conversationBytesMax,
  converse,
  dialConversation,
} from '../../../src/adapters/link/converse.ts';
import { magic } from '../../../src/adapters/link/magic.ts';
import type { Address } from '../../../src/kernel/address.ts';
import { MycelError } from '../../../src/kernel/errors.ts';
import type { Conversation, ConversationStep } from '../../../src/wire/conversation.ts';

async function serve(accept: (socket: Socket) => void): Promise<Address> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    accept(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

/** A conversation of messages with a 4-byte length before each. */
function createConversation<Result>(handlers: {
  start(): readonly Uint8Array[];
  frame(bytes: Buffer): Partial<ConversationStep<Result>>;
}): Conversation<Result> {
  let held = Buffer.alloc(0);
  const framed = (bytes: Uint8Array): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  return {
    start: () => handlers.start().map(framed),
    async received(bytes) {
      held = Buffer.concat([held, bytes]);
      const send: Buffer[] = [];
      while (held.length >= 4 && held.length >= 4 + held.readUInt32BE(0)) {
        const end = 4 + held.readUInt32BE(0);
        const step = handlers.frame(held.subarray(4, end));
        held = held.subarray(end);
        send.push(...(step.send ?? []).map(framed));
        if (step.result !== undefined || step.failure !== undefined) return { ...step, send };
      }
      return { send };
    },
  };
}

/** Says its name, hears the other's. */
function introduction(name: string, isFirst: boolean): Conversation<string> {
  return createConversation<string>({
    start: () => (isFirst ? [Buffer.from(name)] : []),
    frame: (bytes) => ({
      send: isFirst ? [] : [Buffer.from(name)],
      result: Buffer.from(bytes).toString(),
    }),
  });
}

const patience = (): AbortSignal => AbortSignal.timeout(8000);

test('both sides reach their result', async () => {
  let answered: Promise<string> | undefined;
  const address = await serve((socket) => {
    answered = converse(socket, introduction('bob', false), { magic: magic.join });
  });
  const { result, remote } = await dialConversation(
    [address],
    magic.join,
    () => introduction('ann', true),
    patience(),
  );
  expect([result, remote]).toEqual(['bob', address]);
  expect(await answered).toBe('ann');
});

test('large messages pass in both directions', async () => {
  const text = 'x'.repeat(200_000);
  let answered: Promise<number> | undefined;
  const address = await serve((socket) => {
    answered = converse(
      socket,
      createConversation<number>({
        start: () => [],
        frame: (bytes) =>
          bytes.length < 10 ? { send: [Buffer.from(text)] } : { result: bytes.length },
      }),
      { magic: magic.join },
    );
  });
  const { result } = await dialConversation(
    [address],
    magic.join,
    () =>
      createConversation<number>({
        start: () => [Buffer.from('more')],
        frame: (bytes) => ({ send: [bytes], result: bytes.length }),
      }),
    patience(),
  );
  expect(result).toBe(text.length);
  expect(await answered).toBe(text.length);
});

test("a failure of the conversation is the caller's failure, and the peer is told first", async () => {
  const heard: Buffer[] = [];
  const address = await serve((socket) => {
    socket.on('data', (chunk) => heard.push(chunk));
    socket.write(Buffer.from([0, 0, 0, 1, 7]));
  });
  const failing = createConversation<string>({
    start: () => [],
    frame: () => ({ send: [Buffer.from('no')], failure: new MycelError('MYCEL_NOT_ADMIN') }),
  });
  const dial = dialConversation([address], magic.join, () => failing, patience());
  await expect(dial).rejects.toMatchObject({ code: 'MYCEL_NOT_ADMIN' });
  while (!Buffer.concat(heard).toString().endsWith('no')) {
    await new Promise((resolve) => setImmediate(resolve));
  }
});

test.each([
  ['falls silent', (): void => {}, /no end within/],
  ['hangs up', (socket: Socket): void => void socket.end(), /closed the connection/],
  [
    'resets',
    (socket: Socket): void => void socket.resetAndDestroy(),
    /closed the connection|ECONNRESET/,
  ],
])('a peer that %s ends it with a reason', async (_, behave, reason) => {
  const address = await serve(behave);
  const socket = connect(address.port, address.host);
  const talk = converse(socket, introduction('ann', true), { deadlineMs: 200 });
  await expect(talk).rejects.toMatchObject({ code: 'MYCEL_UNREACHABLE' });
  await expect(talk).rejects.toThrow(reason);
});

test('a peer that sends without end is cut off', async () => {
  const endless = createConversation<string>({ start: () => [], frame: () => ({}) });
  const address = await serve((socket) => {
    const frame = Buffer.concat([Buffer.from([0, 0, 1, 0]), Buffer.alloc(256)]);
    const flood = Buffer.concat(Array.from({ length: 8192 }, () => frame));
    expect(flood.length).toBeGreaterThan(conversationBytesMax);
    socket.write(flood);
  });
  const dial = dialConversation([address], magic.openJoin, () => endless, patience());
  await expect(dial).rejects.toThrow(/too much/);
});

test('the wrong magic is refused', async () => {
  let answered: Promise<unknown> | undefined;
  const address = await serve((socket) => {
    answered = converse(socket, introduction('bob', false), { magic: magic.join }).catch(
      (error: unknown) => error,
    );
  });
  const dial = dialConversation(
    [address],
    magic.openJoin,
    () => introduction('ann', true),
    patience(),
  );
  await expect(dial).rejects.toMatchObject({ code: 'MYCEL_UNREACHABLE' });
  expect(String(await answered)).toMatch(/does not open with MYCJ/);
});

test('when no address answers, each one has its reason', async () => {
  const dial = dialConversation(
    [{ host: '127.0.0.1', port: 1 }],
    magic.join,
    () => introduction('ann', true),
    patience(),
  );
  await expect(dial).rejects.toThrow(/127\.0\.0\.1:1: .*ECONNREFUSED/);
});
