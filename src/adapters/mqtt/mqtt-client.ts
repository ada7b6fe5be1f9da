/** mqtt.js over a stream that is open already: what it must not do by itself, and what it must survive. */

import type { MqttClient } from 'mqtt';
import type { GatheringStream } from './gathering-stream.ts';

/** Who logs in, and with what patience. */
export interface MqttLogin {
  readonly clientId: string;
  readonly username?: string;
  readonly password?: string;
  /** Seconds of silence before an MQTT ping. */
  readonly keepaliveSeconds: number;
  /** Time for CONNECT and CONNACK, in ms. */
  readonly connectMs: number;
}

/** Builds a client that sends its CONNECT at once and never comes back by itself. @throws {Error} the stream broke meanwhile */
export async function createMqttClient(
  stream: GatheringStream,
  login: MqttLogin,
): Promise<MqttClient> {
  const { clientId, username, password, keepaliveSeconds, connectMs } = login;
  // The client alone: the front door of mqtt.js also loads WebSockets, SOCKS and TLS.
  // Loading it the first time takes seconds on a busy board, in which the peer may lose patience.
  let broken: Error | undefined;
  stream.on('error', (error: Error) => (broken = error));
  const { default: Class } = (await import('mqtt/lib/client')).default;
  if (stream.destroyed)
    throw broken ?? new Error('the peer closed the connection before the login');
  const client = new Class(() => stream as unknown as ReturnType<MqttClient['streamBuilder']>, {
    clientId,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    protocolVersion: 4,
    clean: true,
    keepalive: keepaliveSeconds,
    // worker-timers, mqtt.js's own choice, is made for browsers.
    timerVariant: 'native',
    // Whoever uses it dials again, with back-off and jitter; mqtt.js would come back after exactly 1 s.
    reconnectPeriod: 0,
    connectTimeout: connectMs,
    queueQoSZero: false,
    resubscribe: false,
    // Its table of numbers would be 7 MB.
    writeCache: false,
    // `debug` costs a quarter of the throughput even when it prints nothing.
    log: () => {},
  });
  client.on('error', () => {});
  guardWrites(client, stream);
  return client;
}

/** A packet that mqtt.js cannot encode must end this connection, not the process. */
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

/** Resolves when the login is done. @throws {Error} why it is not */
export function mqttConnected(client: MqttClient, stream: GatheringStream): Promise<void> {
  return new Promise((resolve, reject) => {
    client.once('connect', () => resolve());
    client.once('error', (error) => reject(error));
    // A stream error without a code is swallowed by mqtt.js.
    stream.once('error', (error: Error) => reject(error));
    client.once('close', () => reject(new Error('the peer closed the connection at login')));
  });
}
