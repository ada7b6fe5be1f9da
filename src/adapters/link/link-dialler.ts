/** The dialling end of links: an mqtt.js client over the sealed stream. */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Address } from '../../kernel/address.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { createFrameGuard } from '../mqtt/frame-guard.ts';
import type { GatheringStream } from '../mqtt/gathering-stream.ts';
import { createMqttClient, mqttConnected } from '../mqtt/mqtt-client.ts';
import { connectSocket } from './connect-socket.ts';
import { linkPacketBytesMax } from './link-acceptor.ts';
import type { LinkWorld } from './link-acceptor.ts';
import { createLinkInlet } from './link-inlet.ts';
import type { LinkInlet } from './link-inlet.ts';
import { linkClientId, loginUser, makeLogin } from './link-login.ts';
import { createLinkSession, linkHighWaterBytes } from './link-session.ts';
import type { OpenLink } from './link-session.ts';
import { createNoiseStream, shakeHands } from './noise-stream.ts';
import type { ProvedPeer } from './noise-stream.ts';

/** Time for CONNECT and CONNACK, in ms. */
const loginMs = 3000;

/** Seconds of silence before an MQTT ping; 0: never. A link is asked by the node, in its own time (decision 0051). */
const keepaliveSeconds = { link: 0, channel: 15 } as const;

/** Why an address is dialled. */
interface Dial {
  readonly signal: AbortSignal;
  readonly use: keyof typeof keepaliveSeconds;
}

/** Dials one address. @throws {Error} with the reason. */
export async function dialAddress(
  world: LinkWorld,
  expected: NodeId | undefined,
  address: Address,
  { signal, use }: Dial,
): Promise<OpenLink> {
  const socket = await (world.connect ?? connectSocket)(address, signal);
  const abort = (): void => void socket.destroy(new Error('given up'));
  signal.addEventListener('abort', abort, { once: true });
  try {
    const peer = await shakeHands(socket, world.credentials, true);
    if (expected !== undefined && peer.node !== expected) {
      throw new Error(`another node answers there: ${peer.node}`);
    }
    const guard = createFrameGuard({ sender: 'server', packetBytesMax: linkPacketBytesMax });
    const inlet = createLinkInlet(() => stream.destroy(new Error('it sends without a pause')));
    const stream = createNoiseStream(socket, peer.session, guard, linkHighWaterBytes, {
      refused: (proof) => world.credentials.refused(peer.node, proof),
      frame: inlet.took,
    });
    const ends = { remote: address, localHost: localHostOf(socket), inlet };
    return await login(world, peer, stream, { ...ends, keepaliveSeconds: keepaliveSeconds[use] });
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** The address of this computer that a connection uses; a stream over a backbone has none. */
function localHostOf(socket: Duplex): string | undefined {
  return socket instanceof Socket ? socket.localAddress : undefined;
}

async function login(
  world: LinkWorld,
  peer: ProvedPeer,
  stream: GatheringStream,
  how: {
    readonly remote: Address;
    readonly localHost: string | undefined;
    readonly inlet: LinkInlet;
    readonly keepaliveSeconds: number;
  },
): Promise<OpenLink> {
  const client = await createMqttClient(stream, {
    clientId: linkClientId(world.credentials.node, peer.session.handshakeHash),
    username: loginUser,
    password: makeLogin(world.credentials, peer),
    keepaliveSeconds: how.keepaliveSeconds,
    connectMs: loginMs,
  });
  try {
    await mqttConnected(client, stream);
  } catch (error) {
    client.end(true);
    stream.destroy();
    throw error;
  }
  const link = createLinkSession(
    { peer: peer.node, isDialler: true, certificate: peer.certificate, remote: how.remote },
    how.localHost,
    {
      stream,
      end() {
        client.end(true);
        stream.destroy();
      },
    },
    world,
  );
  // Not before `dial` has given the session to its caller.
  setImmediate(() => how.inlet.open(link));
  client.on('error', (error) => link.lost(error.message));
  stream.on('error', (error: Error) => link.lost(error.message));
  client.on('close', () => link.lost('the peer closed the connection'));
  return link;
}
