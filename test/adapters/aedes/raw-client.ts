/** An MQTT 3.1.1 client written by hand: sends any bytes, records every packet, does nothing by itself. */

import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** A packet as it came: type, flags and body. */
export interface RawPacket {
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer;
}

/** A PUBLISH taken apart. */
export interface RawPublish {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly id: number | undefined;
}

export const type = {
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  suback: 9,
  unsuback: 11,
  pingresp: 13,
} as const;

/** What a CONNECT may say. */
export interface ConnectOptions {
  readonly clientId?: string;
  readonly isClean?: boolean;
  readonly keepalive?: number;
  readonly username?: string;
  readonly password?: string;
  readonly will?: {
    readonly topic: string;
    readonly payload: string;
    readonly qos?: number;
    readonly retain?: boolean;
  };
  readonly protocol?: string;
}

export interface RawClient {
  readonly socket: Socket;
  readonly packets: RawPacket[];
  readonly isClosed: () => boolean;
  send(bytes: Buffer): void;
  /** Resolves when the condition holds. @throws when it does not within 5 s. */
  until(condition: () => boolean, what?: string): Promise<void>;
  closed(): Promise<void>;
  /** The code of the CONNACK, or 'closed'. */
  connect(options?: ConnectOptions): Promise<{ code: number | 'closed'; isPresent: boolean }>;
  /** The granted QoS of each filter. */
  subscribe(filters: readonly (readonly [string, number])[]): Promise<number[]>;
  unsubscribe(filter: string): Promise<void>;
  publish(
    topic: string,
    payload: string,
    options?: { qos?: number; retain?: boolean; dup?: boolean; id?: number },
  ): number;
  publishes(): RawPublish[];
  /** Sends a PINGREQ and waits for the answer: everything sent before it has been handled. */
  ping(): Promise<void>;
  disconnect(): Promise<void>;
}

/** Opens a TCP connection to a broker on loopback. */
export async function rawClient(port: number): Promise<RawClient> {
  const socket = connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  await once(socket, 'connect');
  const packets: RawPacket[] = [];
  const waiters = new Set<() => void>();
  let held = Buffer.alloc(0);
  let isClosed = false;
  let lastId = 0;
  const changed = (): void => {
    for (const wake of waiters) wake();
  };
  socket.on('error', () => {});
  socket.on('close', () => {
    isClosed = true;
    changed();
  });
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    for (let packet = takePacket(); packet !== undefined; packet = takePacket())
      packets.push(packet);
    changed();
  });

  function takePacket(): RawPacket | undefined {
    let length = 0;
    let at = 1;
    for (let shift = 0; ; shift += 7, at += 1) {
      const byte = held[at];
      if (byte === undefined) return undefined;
      length += (byte & 127) << shift;
      if (byte < 128) break;
    }
    const end = at + 1 + length;
    if (held.length < end) return undefined;
    const first = held[0] ?? 0;
    const packet = {
      type: first >> 4,
      flags: first & 15,
      body: Buffer.from(held.subarray(at + 1, end)),
    };
    held = held.subarray(end);
    return packet;
  }

  const client: RawClient = {
    socket,
    packets,
    isClosed: () => isClosed,
    send: (bytes) => void socket.write(bytes),
    until(condition, what = String(condition)) {
      return new Promise((resolve, reject) => {
        const look = (): void => {
          if (!condition()) return;
          waiters.delete(look);
          clearTimeout(deadline);
          resolve();
        };
        const deadline = setTimeout(() => {
          waiters.delete(look);
          reject(new Error(`never: ${what}`));
        }, 5000);
        waiters.add(look);
        look();
      });
    },
    closed: () => client.until(() => isClosed, 'closed'),
    async connect(options = {}) {
      client.send(connectBytes(options));
      const isAnswered = (): boolean => packets.some((packet) => packet.type === type.connack);
      await client.until(() => isClosed || isAnswered(), 'CONNACK');
      const connack = packets.find((packet) => packet.type === type.connack);
      if (connack === undefined) return { code: 'closed', isPresent: false };
      return { code: connack.body[1] ?? -1, isPresent: connack.body[0] === 1 };
    },
    async subscribe(filters) {
      lastId += 1;
      const id = lastId;
      const parts = filters.flatMap(([filter, qos]) => [text(filter), Buffer.from([qos])]);
      client.send(packet(8, 2, Buffer.concat([number16(id), ...parts])));
      const mine = (one: RawPacket): boolean =>
        one.type === type.suback && one.body.readUInt16BE(0) === id;
      await client.until(() => isClosed || packets.some(mine), 'SUBACK');
      return [...(packets.find(mine)?.body.subarray(2) ?? [])];
    },
    async unsubscribe(filter) {
      lastId += 1;
      const id = lastId;
      client.send(packet(10, 2, Buffer.concat([number16(id), text(filter)])));
      const mine = (one: RawPacket): boolean =>
        one.type === type.unsuback && one.body.readUInt16BE(0) === id;
      await client.until(() => isClosed || packets.some(mine), 'UNSUBACK');
    },
    publish(topic, payload, options = {}) {
      const { qos = 0, retain = false, dup = false } = options;
      const id = options.id ?? (lastId += 1);
      const flags = (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
      const ids = qos > 0 ? [number16(id)] : [];
      client.send(packet(3, flags, Buffer.concat([text(topic), ...ids, Buffer.from(payload)])));
      return id;
    },
    publishes: () => packets.filter((one) => one.type === type.publish).map(readPublish),
    async ping() {
      const pongs = (): number => packets.filter((one) => one.type === type.pingresp).length;
      const before = pongs();
      client.send(Buffer.from([0xc0, 0]));
      await client.until(() => isClosed || pongs() > before, 'PINGRESP');
      if (isClosed) throw new Error('closed instead of a PINGRESP');
    },
    async disconnect() {
      client.send(Buffer.from([0xe0, 0]));
      await client.closed();
    },
  };
  return client;
}

/** A whole packet. */
export function packet(kind: number, flags: number, body: Buffer): Buffer {
  const head = [(kind << 4) | flags];
  let length = body.length;
  do {
    head.push((length & 127) | (length > 127 ? 128 : 0));
    length >>= 7;
  } while (length > 0);
  return Buffer.concat([Buffer.from(head), body]);
}

/** An acknowledgement (PUBACK 4, PUBREC 5, PUBREL 6, PUBCOMP 7). */
export function ack(kind: number, id: number): Buffer {
  return packet(kind, kind === type.pubrel ? 2 : 0, number16(id));
}

export function connectBytes(options: ConnectOptions): Buffer {
  const { clientId = 'raw', isClean = true, keepalive = 60, username, password, will } = options;
  const flags =
    (username === undefined ? 0 : 128) |
    (password === undefined ? 0 : 64) |
    (will === undefined ? 0 : 4 | ((will.qos ?? 0) << 3) | (will.retain === true ? 32 : 0)) |
    (isClean ? 2 : 0);
  return packet(
    1,
    0,
    Buffer.concat([
      text(options.protocol ?? 'MQTT'),
      Buffer.from([4, flags]),
      number16(keepalive),
      text(clientId),
      ...(will === undefined ? [] : [text(will.topic), text(will.payload)]),
      ...(username === undefined ? [] : [text(username)]),
      ...(password === undefined ? [] : [text(password)]),
    ]),
  );
}

function readPublish({ flags, body }: RawPacket): RawPublish {
  const end = 2 + body.readUInt16BE(0);
  const qos = (flags >> 1) & 3;
  return {
    topic: body.toString('utf8', 2, end),
    payload: body.toString('utf8', qos > 0 ? end + 2 : end),
    qos,
    retain: (flags & 1) === 1,
    dup: (flags & 8) === 8,
    id: qos > 0 ? body.readUInt16BE(end) : undefined,
  };
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([number16(bytes.length), bytes]);
}

function number16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
