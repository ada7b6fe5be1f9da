/** A small real DNS server on loopback that knows SRV records. */

import { createSocket } from 'node:dgram';

import { nameBytes } from '../bonjour-lab/mdns-packet.ts';

/** What the server answers for a name. */
export type SrvZone = Readonly<
  Record<string, readonly { priority: number; weight: number; port: number; target: string }[]>
>;

/** Starts it. `zone` may be changed while it runs. A name that is not there gets NXDOMAIN. */
export async function startDnsServer(
  zone: Record<string, SrvZone[string]>,
): Promise<{ readonly server: string; stop(): Promise<void> }> {
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => socket.send(answer(query, zone), from.port, from.address));
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return {
    server: `127.0.0.1:${socket.address().port}`,
    stop: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function answer(query: Buffer, zone: SrvZone): Buffer {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.subarray(at + 1, at + 1 + length).toString());
    at += length + 1;
  }
  const question = query.subarray(12, at + 5);
  const records = zone[labels.join('.').toLowerCase()] ?? [];
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(records.length > 0 ? 0x8180 : 0x8183, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  const answers = records.map(({ priority, weight, port, target }) => {
    const data = Buffer.concat([Buffer.alloc(6), nameBytes(target)]);
    data.writeUInt16BE(priority, 0);
    data.writeUInt16BE(weight, 2);
    data.writeUInt16BE(port, 4);
    const fixed = Buffer.from([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, data.length]);
    return Buffer.concat([fixed, data]);
  });
  return Buffer.concat([header, question, ...answers]);
}
