/** Kept-alive connections to a target: used again, the last one first, and never when they may be gone. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

import { afterEach, expect, test, vi } from 'vitest';

import { LlmFailure } from '../../gateway/failure.ts';
import { Halt } from '../../gateway/halt.ts';
import { createTransport, readAll } from '../../gateway/upstream/transport.ts';
import type { Transport } from '../../gateway/upstream/transport.ts';

let ends: (() => unknown)[] = [];
afterEach(() => {
  for (const end of ends.toReversed()) end();
  ends = [];
});

/** A target that answers each request with the number of its connection, when it is let. */
async function target(
  keepAlive: string | undefined,
): Promise<{ transport: Transport; sockets: Socket[]; held: (() => void)[]; hold(): void }> {
  const sockets: Socket[] = [];
  const held: (() => void)[] = [];
  let isHolding = false;
  const server: Server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const answer = (): void => {
      if (keepAlive !== undefined) response.setHeader('keep-alive', keepAlive);
      response.end(String(sockets.indexOf(request.socket)));
    };
    request.resume().once('end', () => (isHolding ? held.push(answer) : answer()));
  });
  server.on('connection', (socket: Socket) => sockets.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const transport = createTransport(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  ends.push(
    () => server.close(),
    () => server.closeAllConnections(),
    () => transport.close(),
  );
  return { transport, sockets, held, hold: () => (isHolding = true) };
}

async function ask(transport: Transport, halt = new Halt()): Promise<string> {
  const request = { method: 'POST', path: '/', headers: [], body: 'x', headMs: 20_000 } as const;
  const incoming: IncomingMessage = await transport.send({ ...request, halt });
  return readAll(incoming, 20_000, halt);
}

test('one connection does for one after another, and the last one that came back for the next', async () => {
  const { transport, sockets, held, hold } = await target(undefined);
  for (let at = 0; at < 5; at += 1) expect(await ask(transport)).toBe('0');
  hold();
  const both = [ask(transport), ask(transport)];
  await vi.waitFor(() => expect(held).toHaveLength(2));
  held[1]?.();
  expect(await both[1]).toBe('1');
  held[0]?.();
  expect(await both[0]).toBe('0');
  const third = ask(transport);
  await vi.waitFor(() => expect(held).toHaveLength(3));
  held[2]?.();
  expect(await third).toBe('0');
  expect(sockets).toHaveLength(2);
});

test('one that the target ended while it was idle is not used, and nobody hears of it', async () => {
  const { transport, sockets } = await target(undefined);
  expect(await ask(transport)).toBe('0');
  const [first] = sockets as [Socket];
  first.resetAndDestroy();
  expect(await ask(transport)).toBe('1');
});

test('one that the target says it will end soon is not used any more', async () => {
  const { transport } = await target('timeout=1');
  expect(await ask(transport)).toBe('0');
  expect(await ask(transport)).toBe('1');
  const longer = await target('timeout=30, max=100');
  expect([await ask(longer.transport), await ask(longer.transport)]).toEqual(['0', '0']);
});

test('one whose request was given up is gone, and a closed transport leaves none', async () => {
  const { transport, sockets, held, hold } = await target(undefined);
  expect(await ask(transport)).toBe('0');
  hold();
  const halt = new Halt();
  const given = ask(transport, halt);
  await vi.waitFor(() => expect(held).toHaveLength(1));
  halt.call(new LlmFailure('cancelled', 'Nobody waits.'));
  await expect(given).rejects.toThrow('Nobody waits.');
  await vi.waitFor(() => expect(sockets[0]?.destroyed).toBe(true));
  const next = ask(transport);
  await vi.waitFor(() => expect(held).toHaveLength(2));
  held[1]?.();
  expect(await next).toBe('1');
  transport.close();
  await vi.waitFor(() => expect(sockets[1]?.destroyed).toBe(true));
});
