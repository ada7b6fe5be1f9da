/** What strangers, tamperers and faulty members can do to a link: nothing. */

import { once } from 'node:events';
import type { EventEmitter } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createFrameGuard } from '../../../src/adapters/mqtt/frame-guard.ts';
import { createNoiseStream, shakeHands } from '../../../src/adapters/link/noise-stream.ts';
import type { Address } from '../../../src/kernel/address.ts';
import { generateNodeKeys } from '../../../src/wire/keys.ts';
import { createCredentials, startLinkHost } from './link-fixture.ts';
import type { SocketLinkHost } from './link-fixture.ts';

const mesh = generateNodeKeys();

async function host(): Promise<SocketLinkHost> {
  const made = await startLinkHost(createCredentials(mesh));
  onTestFinished(() => made.transport.stop());
  return made;
}

/** A server with a scripted acceptor; gives its address. */
async function serve(accept: (socket: Socket) => void): Promise<Address> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
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

/** Forwards to `target`, letting `change` alter what the dialler sends. */
function relay(target: Address, change: (chunk: Buffer, at: number) => Buffer): Promise<Address> {
  return serve((socket) => {
    const onward = connect(target.port, target.host);
    onward.on('error', () => socket.destroy());
    onward.on('close', () => socket.destroy());
    socket.on('close', () => onward.destroy());
    let at = 0;
    socket.on('data', (chunk: Buffer) => {
      onward.write(change(chunk, at));
      at += chunk.length;
    });
    onward.on('data', (chunk) => socket.write(chunk));
  });
}

async function closedAfter(address: Address, bytes: Buffer): Promise<number> {
  const socket = connect(address.port, address.host);
  socket.on('error', () => {});
  const started = performance.now();
  socket.write(bytes);
  socket.resume();
  await once(socket, 'close');
  return performance.now() - started;
}

/** A member whose broker side is written by hand: sends `reply` once the dialler's CONNECT has come. */
function rogueMember(replies: readonly Buffer[]): Promise<Address> {
  return serve((socket) => {
    void shakeHands(socket, createCredentials(mesh), false).then((peer) => {
      const guard = createFrameGuard({ sender: 'client', packetBytesMax: 1 << 20 });
      const stream = createNoiseStream(socket, peer.session, guard, 1 << 20);
      stream.on('error', () => {});
      stream.once('data', () => {
        for (const reply of replies) stream.write(reply);
      });
      stream.on('data', () => {});
    });
  });
}

const connack = Buffer.from([0x20, 2, 0, 0]);

test.each([
  ['a PUBREL without an id', Buffer.from([0x62, 0])],
  ['a QoS 1 PUBLISH too short for its id', Buffer.from('32070005612f622f63', 'hex')],
  ['a PUBLISH with QoS 3', Buffer.from('360700036120620001', 'hex')],
  ['a second CONNACK', connack],
  ['a CONNECT', Buffer.from('100c00044d5154540402003c0000', 'hex')],
  ['a packet of 200 MB', Buffer.from([0x30, 0x80, 0x84, 0xaf, 0x5f])],
])('%s from a faulty member ends that link and nothing else', async (_, bytes) => {
  const ann = await host();
  const address = await rogueMember([connack, bytes]);
  const dialled = ann.transport.dial(undefined, [address], AbortSignal.timeout(5000));
  // The faulty packet may arrive with the CONNACK: then the dial itself fails.
  const session = await dialled.catch(() => undefined);
  if (session !== undefined) await ann.heard.until(() => ann.heard.closed.length === 1);
  expect(ann.transport.sessions()).toEqual([]);
  const bob = await host();
  await ann.transport.dial(bob.node, [bob.address], AbortSignal.timeout(5000));
});

test('a member that refuses the login makes the dial fail', async () => {
  const ann = await host();
  const address = await rogueMember([Buffer.from([0x20, 2, 0, 5])]);
  const dial = ann.transport.dial(undefined, [address], AbortSignal.timeout(5000));
  await expect(dial).rejects.toThrow(/Not authorized/i);
});

test('a bit flipped on the way closes the link and no changed frame is reported', async () => {
  const [ann, bob] = [await host(), await host()];
  let isArmed = false;
  const address = await relay(bob.address, (chunk) => {
    if (!isArmed) return chunk;
    const changed = Buffer.from(chunk);
    changed[changed.length - 1] = (changed[changed.length - 1] ?? 0) ^ 1;
    return changed;
  });
  const session = await ann.transport.dial(bob.node, [address], AbortSignal.timeout(5000));
  await bob.heard.until(() => bob.heard.opened.length === 1);
  isArmed = true;
  session.send('data', Buffer.from('pay 10'));
  await bob.heard.until(() => bob.heard.closed.length === 1);
  expect(bob.heard.frames).toEqual([]);
});

test('a recorded link, replayed to the same node, opens nothing', async () => {
  const [ann, bob] = [await host(), await host()];
  const recorded: Buffer[] = [];
  const address = await relay(bob.address, (chunk) => {
    recorded.push(chunk);
    return chunk;
  });
  const session = await ann.transport.dial(bob.node, [address], AbortSignal.timeout(5000));
  session.send('data', Buffer.from('open the door'));
  await bob.heard.until(() => bob.heard.frames.length === 1);
  await closedAfter(bob.address, Buffer.concat(recorded));
  expect(bob.heard.frames.length).toBe(1);
  expect(bob.heard.opened.length).toBe(1);
});

test('nothing readable of names, topics or frames is on the wire', async () => {
  const [ann, bob] = [await host(), await host()];
  const wire: Buffer[] = [];
  const address = await relay(bob.address, (chunk) => {
    wire.push(chunk);
    return chunk;
  });
  const session = await ann.transport.dial(bob.node, [address], AbortSignal.timeout(5000));
  session.send('data', Buffer.from('canary-payload'));
  await bob.heard.until(() => bob.heard.frames.length === 1);
  const text = Buffer.concat(wire).toString('latin1');
  for (const secret of ['canary', '$mycel', 'MQTT', ann.node, 'mesh']) {
    expect(text).not.toContain(secret);
  }
  expect(text.startsWith('MYCL')).toBe(true);
});

test.each([
  ['garbage', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ['the magic and garbage', Buffer.concat([Buffer.from('MYCL'), Buffer.alloc(600, 7)])],
  ['a first message of more than 512 bytes', Buffer.from('4d59434c0201', 'hex')],
  ['a first message of zero bytes', Buffer.from('4d59434c0000', 'hex')],
])('%s is turned away at once', async (_, bytes) => {
  const ann = await host();
  expect(await closedAfter(ann.address, bytes)).toBeLessThan(2000);
  expect(ann.metrics.snapshot().drops['link: refused'] ?? 0).toBeGreaterThan(0);
  expect(ann.transport.sessions()).toEqual([]);
});

test('a stranger who falls silent in the handshake is cut off after 3 s', async () => {
  const ann = await host();
  const took = await closedAfter(ann.address, Buffer.from('MYCL'));
  expect(took).toBeGreaterThan(2500);
  expect(took).toBeLessThan(5000);
});

test('a silent first address costs a quarter of a second, not the dial', async () => {
  const [ann, bob] = [await host(), await host()];
  const silent = await serve(() => {});
  const started = performance.now();
  const session = await ann.transport.dial(
    bob.node,
    [silent, bob.address],
    AbortSignal.timeout(9000),
  );
  expect(performance.now() - started).toBeLessThan(1500);
  expect(session.peer).toBe(bob.node);
  expect(session.remote).toEqual(bob.address);
  expect(ann.transport.sessions()).toEqual([session]);
});

test('a member cannot log in as another member', async () => {
  const [bob, ann] = [await host(), await host()];
  const { MqttClient } = (await import('mqtt')).default;
  const eve = createCredentials(mesh);
  const socket = connect(bob.address.port, bob.address.host);
  const peer = await shakeHands(socket, eve, true);
  const guard = createFrameGuard({ sender: 'server', packetBytesMax: 1 << 20 });
  const stream = createNoiseStream(socket, peer.session, guard, 1 << 20);
  const client = new MqttClient(() => stream as never, {
    clientId: `m.${ann.node}.mesh`,
    username: 'm1',
    password: 'x'.repeat(86),
    protocolVersion: 4,
    reconnectPeriod: 0,
  });
  await expect(once(client as unknown as EventEmitter, 'close')).rejects.toThrow(/Not authorized/);
  client.end(true);
  expect(bob.heard.opened).toEqual([]);
});

test('a login that a member was given opens nothing at another node', async () => {
  const [ann, bob] = [await host(), await host()];
  const eve = createCredentials(mesh);
  const guarded = (
    socket: Socket,
    peer: Awaited<ReturnType<typeof shakeHands>>,
    from: 'client' | 'server',
  ) =>
    createNoiseStream(
      socket,
      peer.session,
      createFrameGuard({ sender: from, packetBytesMax: 1 << 20 }),
      1 << 20,
    );
  // Ann dials Eve, who is a member, and logs in; Eve hands the very same bytes on to Bob.
  const login = new Promise<Buffer>((resolve) => {
    void serve((socket) => {
      void shakeHands(socket, eve, false).then((peer) => {
        guarded(socket, peer, 'client').once('data', resolve);
      });
    }).then((address) =>
      ann.transport.dial(eve.node, [address], AbortSignal.timeout(5000)).catch(() => {}),
    );
  });
  const socket = connect(bob.address.port, bob.address.host);
  const stream = guarded(socket, await shakeHands(socket, eve, true), 'server');
  stream.on('error', () => {});
  stream.write(await login);
  const [answer] = (await once(stream, 'data')) as [Buffer];
  expect([...answer]).toEqual([0x20, 2, 0, 5]);
  await once(stream, 'close');
  expect(bob.heard.opened).toEqual([]);
});

test('a member that was thrown out is shown why, gets no link, and a stranger is shown nothing', async () => {
  const proof = Buffer.from('the log up to the revocation');
  const credentials = createCredentials(mesh);
  const own = createCredentials(mesh);
  const bob = await startLinkHost({
    ...credentials,
    admit: (certificate, xPublic) => {
      const verdict = credentials.admit(certificate, xPublic);
      return 'refusal' in verdict ? verdict : { refusal: 'it was revoked', proof: [proof, proof] };
    },
  });
  onTestFinished(() => bob.transport.stop());
  const shown: [string, string][] = [];
  const refused = (node: string, bytes: Uint8Array): void => {
    shown.push([node, Buffer.from(bytes).toString()]);
  };
  const ann = await startLinkHost({ ...own, refused });
  const stranger = await startLinkHost({ ...createCredentials(generateNodeKeys()), refused });
  for (const one of [ann, stranger]) {
    onTestFinished(() => one.transport.stop());
    const dialled = one.transport.dial(undefined, [bob.address], AbortSignal.timeout(5000));
    await expect(dialled).rejects.toThrow(/127\.0\.0\.1/);
  }
  expect(shown).toEqual([
    [bob.node, proof.toString()],
    [bob.node, proof.toString()],
  ]);
  expect(bob.heard.opened).toEqual([]);
});

test('a link whose user ignores back-pressure is closed, and memory stays bounded', async () => {
  const [ann, bob] = [await host(), await host()];
  const session = await ann.transport.dial(bob.node, [bob.address], AbortSignal.timeout(5000));
  const frame = new Uint8Array(256 * 1024);
  let highest = 0;
  for (let count = 0; count < 200; count += 1) {
    session.send('data', frame);
    highest = Math.max(highest, session.queuedBytes());
  }
  await ann.heard.until(() => ann.heard.closed.length === 1);
  expect(ann.heard.closed[0]?.reason).toMatch(/overflow/);
  expect(highest).toBeLessThanOrEqual(16 * 1024 * 1024);
});

test('a lost link does not come back by itself: dialling again, with back-off, is the overlay’s business', async () => {
  const [ann, bob] = [await host(), await host()];
  await ann.transport.dial(bob.node, [bob.address], AbortSignal.timeout(5000));
  await bob.heard.until(() => bob.heard.opened.length === 1);
  for (const socket of bob.sockets) socket.resetAndDestroy();
  await ann.heard.until(() => ann.heard.closed.length === 1);
  await ann.transport.dial(bob.node, [bob.address], AbortSignal.timeout(5000));
  await bob.heard.until(() => bob.heard.opened.length === 2);
  // mqtt.js would be back after one second of its own accord.
  await once(AbortSignal.timeout(1500), 'abort');
  expect(bob.heard.opened.length).toBe(2);
  expect(ann.heard.closed.length).toBe(1);
});

test('a member that opens one link after another keeps no more than six', async () => {
  const [ann, bob] = [await host(), await host()];
  for (let at = 0; at < 10; at += 1) {
    await ann.transport.dial(bob.node, [bob.address], AbortSignal.timeout(5000));
  }
  await bob.heard.until(() => bob.heard.closed.length === bob.heard.opened.length - 6);
  expect(bob.transport.sessions().length).toBe(6);
  expect(new Set(bob.heard.closed.map(({ reason }) => reason))).toEqual(
    new Set(['too many links of one node']),
  );
});
