/** The dialling end of links: an mqtt.js client over the sealed stream. */

import type { MqttClient } from 'mqtt';
import type { Address } from '../../kernel/address.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Lane } from '../../ports/link.ts';
import { createFrameGuard } from '../mqtt/frame-guard.ts';
import type { GatheringStream } from '../mqtt/gathering-stream.ts';
import { connectSocket } from './connect-socket.ts';
import { linkPacketBytesMax } from './link-acceptor.ts';
import type { LinkWorld } from './link-acceptor.ts';
import { linkClientId, loginUser, makeLogin } from './link-login.ts';
import { createLinkSession, laneOf, linkHighWaterBytes } from './link-session.ts';
import type { OpenLink } from './link-session.ts';
import { createNoiseStream, shakeHands } from './noise-stream.ts';
import type { ProvedPeer } from './noise-stream.ts';

/** Time for CONNECT and CONNACK, in ms. */
const loginMs = 3000;

/** Seconds of silence before an MQTT ping; membership notices a dead peer much sooner. */
const keepaliveSeconds = 15;

/** Dials one address. @throws {Error} with the reason. */
export async function dialAddress(
  world: LinkWorld,
  expected: NodeId | undefined,
  address: Address,
  signal: AbortSignal,
): Promise<OpenLink> {
  const socket = await connectSocket(address, signal);
  const abort = (): void => void socket.destroy(new Error('given up'));
  signal.addEventListener('abort', abort, { once: true });
  try {
    const peer = await shakeHands(socket, world.credentials, true);
    if (expected !== undefined && peer.node !== expected) {
      throw new Error(`another node answers there: ${peer.node}`);
    }
    const guard = createFrameGuard({ sender: 'server', packetBytesMax: linkPacketBytesMax });
    const stream = createNoiseStream(socket, peer.session, guard, linkHighWaterBytes, (proof) =>
      world.credentials.refused(peer.node, proof),
    );
    return await login(world, peer, stream, { remote: address, localHost: socket.localAddress });
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function login(
  world: LinkWorld,
  peer: ProvedPeer,
  stream: GatheringStream,
  ends: { readonly remote: Address; readonly localHost: string | undefined },
): Promise<OpenLink> {
  const client = await createClient(world, peer, stream);
  // The peer may send before `dial` has given the session to its caller.
  const early: (readonly [Lane, Uint8Array])[] = [];
  let deliver = (lane: Lane, frame: Uint8Array): void => void early.push([lane, frame]);
  client.on('message', (topic, payload) => {
    const lane = laneOf(topic);
    if (lane !== undefined) deliver(lane, payload);
  });
  try {
    await connected(client, stream);
  } catch (error) {
    client.end(true);
    stream.destroy();
    throw error;
  }
  const link = createLinkSession(
    { peer: peer.node, isDialler: true, certificate: peer.certificate, remote: ends.remote },
    ends.localHost,
    {
      stream,
      publish: (topic, frame, done) => {
        client.publish(topic, frame as Buffer, { qos: 0 }, () => done());
      },
      end() {
        client.end(true);
        stream.destroy();
      },
    },
    world,
  );
  setImmediate(() => {
    deliver = link.received;
    for (const [lane, frame] of early.splice(0)) link.received(lane, frame);
  });
  client.on('error', (error) => link.lost(error.message));
  stream.on('error', (error: Error) => link.lost(error.message));
  client.on('close', () => link.lost('the peer closed the connection'));
  return link;
}

async function createClient(
  world: LinkWorld,
  peer: ProvedPeer,
  stream: GatheringStream,
): Promise<MqttClient> {
  // The client alone: the front door of mqtt.js also loads WebSockets, SOCKS and TLS.
  const { default: Class } = (await import('mqtt/lib/client')).default;
  const client = new Class(() => stream as unknown as ReturnType<MqttClient['streamBuilder']>, {
    clientId: linkClientId(world.credentials.node, peer.session.handshakeHash),
    username: loginUser,
    password: makeLogin(world.credentials, peer),
    protocolVersion: 4,
    clean: true,
    keepalive: keepaliveSeconds,
    // worker-timers, mqtt.js's own choice, is made for browsers.
    timerVariant: 'native',
    // The overlay dials again, with back-off and jitter; mqtt.js would come back after exactly 1 s.
    reconnectPeriod: 0,
    connectTimeout: loginMs,
    queueQoSZero: false,
    resubscribe: false,
    // Its table of numbers would be 7 MB.
    writeCache: false,
    // `debug` costs a quarter of the throughput even when it prints nothing.
    log: () => {},
  });
  client.on('error', () => {});
  stream.on('error', () => {});
  guardWrites(client, stream);
  return client;
}

/** A packet that mqtt.js cannot encode must end this link, not the process. */
function guardWrites(client: MqttClient, stream: GatheringStream): void {
  const inner = client as unknown as { _writePacket(packet: unknown, done?: () => void): void };
  const write = inner._writePacket.bind(client);
  inner._writePacket = (packet, done) => {
    try {
      write(packet, done);
    } catch (error) {
      stream.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  };
}

function connected(client: MqttClient, stream: GatheringStream): Promise<void> {
  return new Promise((resolve, reject) => {
    client.once('connect', () => resolve());
    client.once('error', (error) => reject(error));
    // A stream error without a code is swallowed by mqtt.js.
    stream.once('error', (error: Error) => reject(error));
    client.once('close', () => reject(new Error('the peer closed the connection at login')));
  });
}
