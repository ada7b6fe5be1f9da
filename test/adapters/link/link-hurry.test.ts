import { expect, onTestFinished, test } from 'vitest';
import type { LinkSession } from '../../../src/ports/link.ts';
import { generateNodeKeys } from '../../../src/wire/keys.ts';
import { createCredentials, startLinkHost } from './link-fixture.ts';
import type { SocketLinkHost } from './link-fixture.ts';

async function pair(): Promise<{
  readonly ann: SocketLinkHost;
  readonly bob: SocketLinkHost;
  readonly near: LinkSession;
  readonly far: LinkSession;
}> {
  const meshKeys = generateNodeKeys();
  const ann = await startLinkHost(createCredentials(meshKeys));
  const bob = await startLinkHost(createCredentials(meshKeys));
  onTestFinished(async () => {
    await ann.transport.stop();
    await bob.transport.stop();
  });
  const patience = new AbortController().signal;
  const near = await ann.transport.dial(bob.node, [bob.address], patience);
  await bob.heard.until(() => bob.heard.opened.length === 1);
  return { ann, bob, near, far: bob.heard.opened[0] as LinkSession };
}

test('a frame that is hurried is with the kernel when that is said, from either end; any other one is not', async () => {
  const { ann, bob, near, far } = await pair();
  for (const [session, sockets] of [
    [near, ann.dialled],
    [far, bob.sockets],
  ] as const) {
    const [socket] = sockets;
    const before = socket?.bytesWritten ?? 0;
    session.send('control', Uint8Array.of(1));
    expect(socket?.bytesWritten).toBe(before);
    session.hurry();
    expect(socket?.bytesWritten).toBeGreaterThan(before);
  }
  await bob.heard.until(() => bob.heard.frames.length === 1);
  await ann.heard.until(() => ann.heard.frames.length === 1);
});
