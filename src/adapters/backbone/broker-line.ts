/** The connection to somebody else's broker: logged in, subscribed, and made again for as long as it is wanted. */

import { randomBytes } from 'node:crypto';
import { connect as connectTls } from 'node:tls';
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import type { MqttClient } from 'mqtt';
import type { Millis } from '../../kernel/core.ts';
import type { Random } from '../../kernel/random.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import { describeBackbone } from '../../wire/backbone-url.ts';
import type { BackboneUrl } from '../../wire/backbone-url.ts';
import { connectSocket } from '../link/connect-socket.ts';
import { createFrameGuard } from '../mqtt/frame-guard.ts';
import { GatheringStream } from '../mqtt/gathering-stream.ts';
import { createMqttClient, mqttConnected } from '../mqtt/mqtt-client.ts';
import { pieceBytesMax } from './backbone-stream.ts';

/** Pauses between attempts, in ms: the first, doubling to the last, half of it by chance. */
const retryMsMin: Millis = 1_000;
const retryMsMax: Millis = 30_000;

/** A connection that lasted so long was a good one: the next attempt comes soon, in ms. */
const goodMs: Millis = 10_000;

/** Time for CONNECT and CONNACK, in ms. */
const loginMs: Millis = 5_000;

/** Time for the last words, in ms. */
const farewellMs: Millis = 500;

/** Seconds of silence before an MQTT ping. Routers forget idle connections after a few minutes. */
const keepaliveSeconds = 30;

/** Bytes that wait for the broker before streams hold back, and before datagrams are dropped. */
export const lineCongestedBytes: number = 128 * 1024;

/** Largest packet that is taken from the broker, in bytes. */
const packetBytesMax: number = 2 * pieceBytesMax;

/** What is wrong, in one sentence, and what to do. */
export interface LineTrouble {
  readonly reason: string;
  readonly fix: string;
}

/** What a line is made of. */
export interface LineWorld {
  readonly url: BackboneUrl;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly topics: readonly string[];
  received(topic: string, bytes: Uint8Array): void;
  /** The broker takes and gives messages from now on. */
  up(): void;
  down(): void;
  /** Undefined: all is well again. */
  trouble(trouble: LineTrouble | undefined): void;
}

/** A line. */
export interface BrokerLine {
  /** Publishes at QoS 0; lost while the line is down. */
  publish(topic: string, bytes: Uint8Array): void;
  isUp(): boolean;
  isCongested(): boolean;
  whenRelieved(callback: () => void): void;
  /** Closes; resolves when what was published before has left, or cannot. */
  stop(): Promise<void>;
}

/** Why a login was refused (MQTT 3.1.1, table 3.1), for people. */
const refusals: Readonly<Record<number, LineTrouble>> = {
  2: { reason: 'refuses the client id', fix: 'Allow client ids of 22 letters and digits.' },
  3: { reason: 'is not available now', fix: 'Nothing: it is tried again.' },
  4: { reason: 'refuses the user or the password', fix: 'Correct them in --backbone.' },
  5: { reason: 'refuses the user or the password', fix: 'Correct them in --backbone.' },
};

/** Opens a line; attempts go on in the background until it is stopped. */
export function openBrokerLine(world: LineWorld): BrokerLine {
  const { url, clock, log, random } = world;
  const where = `The backbone broker at ${describeBackbone(url)}`;
  const stopping = new AbortController();
  let current: { readonly client: MqttClient; readonly stream: GatheringStream } | undefined;
  let waitMs = retryMsMin;
  let cancelRetry = (): void => {};

  function tell(error: Error & { readonly code?: unknown }): void {
    const refusal = typeof error.code === 'number' ? refusals[error.code] : undefined;
    const reason = refusal?.reason ?? `cannot be reached: ${error.message.replace(/\.$/, '')}`;
    world.trouble({
      reason: `${where} ${reason}.`,
      fix: refusal?.fix ?? 'See that it runs and that this host reaches it; it is tried again.',
    });
  }

  function retryLater(): void {
    if (stopping.signal.aborted) return;
    const pauseMs = waitMs * (0.5 + random.unit() / 2);
    waitMs = Math.min(retryMsMax, waitMs * 2);
    cancelRetry = clock.alarm(clock.now() + pauseMs, attempt);
  }

  function attempt(): void {
    connect().catch((error: Error) => {
      if (stopping.signal.aborted) return;
      tell(error);
      retryLater();
    });
  }

  async function connect(): Promise<void> {
    const socket = await openSocket(url, stopping.signal);
    const guard = createFrameGuard({ sender: 'server', packetBytesMax });
    const stream = new GatheringStream(socket, lineCongestedBytes, {
      outbound: (plain) => [plain],
      inbound(chunk) {
        const problem = guard.check(chunk);
        if (problem !== undefined) throw new Error(`malformed MQTT: ${problem}`);
        return [chunk];
      },
    });
    const client = await createMqttClient(stream, {
      // Nothing of the node, and another one each time.
      clientId: randomBytes(11).toString('hex'),
      ...(url.username === undefined ? {} : { username: url.username }),
      ...(url.password === undefined ? {} : { password: url.password }),
      keepaliveSeconds,
      connectMs: loginMs,
    });
    const end = (): void => {
      client.end(true);
      stream.destroy();
    };
    try {
      await mqttConnected(client, stream);
      client.on('message', (topic, payload) => world.received(topic, payload));
      await subscribe(client, world.topics);
      if (stopping.signal.aborted) throw new Error('given up');
    } catch (error) {
      end();
      throw error;
    }
    const upAt = clock.now();
    current = { client, stream };
    log.info({ broker: describeBackbone(url) }, 'connected to the backbone');
    world.trouble(undefined);
    stream.once('close', () => {
      current = undefined;
      client.end(true);
      world.down();
      if (stopping.signal.aborted) return;
      tell(new Error('the connection broke'));
      if (clock.now() - upAt > goodMs) waitMs = retryMsMin;
      retryLater();
    });
    if (stream.destroyed) return;
    world.up();
  }

  attempt();

  return {
    publish(topic, bytes) {
      current?.client.publish(topic, bytes as Buffer, { qos: 0 });
    },
    isUp: () => current !== undefined,
    isCongested: () => current?.stream.isCongested() ?? false,
    whenRelieved(callback) {
      if (current === undefined) setImmediate(callback);
      else current.stream.whenRelieved(callback);
    },
    stop() {
      stopping.abort();
      cancelRetry();
      const open = current;
      if (open === undefined) return Promise.resolve();
      return new Promise((resolve) => {
        const late = setTimeout(cut, farewellMs).unref();
        function cut(): void {
          clearTimeout(late);
          open?.client.end(true);
          open?.stream.destroy();
          resolve();
        }
        open.stream.end(cut);
      });
    },
  };
}

async function openSocket(url: BackboneUrl, signal: AbortSignal): Promise<Socket> {
  const { host, port, isTls } = url;
  const plain = await connectSocket({ host, port }, signal);
  if (!isTls) return plain;
  return new Promise((resolve, reject) => {
    // An address is checked against the certificate, but is no name for the server to choose one by (RFC 6066).
    const named = isIP(host) === 0 ? { servername: host } : {};
    const socket = connectTls({ socket: plain, host, ...named });
    socket.once('secureConnect', () => {
      socket.off('error', reject);
      socket.on('error', () => {});
      resolve(socket);
    });
    socket.once('error', (error) => {
      plain.destroy();
      reject(error);
    });
  });
}

/** MQTT 3.1.1 answers a subscription that is not allowed with 128, and mqtt.js hands that over as granted. */
function subscribe(client: MqttClient, topics: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    client.once('close', () => reject(new Error('the connection broke')));
    client.subscribe([...topics], { qos: 0 }, (error, granted) => {
      const isRefused = granted?.some(({ qos }) => Number(qos) > 2) ?? false;
      if (error !== null) reject(error);
      else if (isRefused) reject(new Error('it does not let this user subscribe'));
      else resolve();
    });
  });
}
