/** Writes mDNS packets by hand, also wrong ones. */

import type { Beacon } from '../../../src/ports/discovery.ts';

/** A record with its data as bytes. */
interface RawRecord {
  readonly name: string;
  /** 1 A, 12 PTR, 16 TXT, 33 SRV. */
  readonly type: number;
  readonly ttl: number;
  readonly data: Buffer;
}

const mycel = '_mycel._tcp.local';

/** A name as DNS writes it, uncompressed. */
export function nameBytes(name: string): Buffer {
  const labels = name.split('.').map((label) => {
    const bytes = Buffer.from(label);
    return Buffer.concat([Buffer.of(bytes.length), bytes]);
  });
  return Buffer.concat([...labels, Buffer.of(0)]);
}

/** A response with these answers. */
function responsePacket(records: readonly RawRecord[]): Buffer {
  const answers = records.map((record) => {
    const fixed = Buffer.alloc(10);
    fixed.writeUInt16BE(record.type, 0);
    fixed.writeUInt16BE(1, 2);
    fixed.writeUInt32BE(record.ttl, 4);
    fixed.writeUInt16BE(record.data.length, 8);
    return Buffer.concat([nameBytes(record.name), fixed, record.data]);
  });
  return Buffer.concat([header(0x8400, 0, records.length), ...answers]);
}

/** A query that asks this PTR question so many times. */
export function queryPacket(name: string, count = 1): Buffer {
  const question = Buffer.concat([nameBytes(name), Buffer.from([0, 12, 0, 1])]);
  return Buffer.concat([header(0, count, 0), ...Array.from({ length: count }, () => question)]);
}

/** What a node of this beacon would tell, with or without its TXT record. */
export function beaconPacket(beacon: Beacon, ttl: number, hasTxt = true): Buffer {
  const instance = `${beacon.node}.${mycel}`;
  const srv = Buffer.alloc(6);
  srv.writeUInt16BE(beacon.port, 4);
  const txt = {
    v: '1',
    id: beacon.node,
    tag: beacon.meshTag,
    st: beacon.state,
    port: String(beacon.port),
  };
  const strings = Object.entries(txt).map(([key, value]) => {
    const bytes = Buffer.from(`${key}=${value}`);
    return Buffer.concat([Buffer.of(bytes.length), bytes]);
  });
  return responsePacket([
    { name: mycel, type: 12, ttl, data: nameBytes(instance) },
    {
      name: instance,
      type: 33,
      ttl,
      data: Buffer.concat([srv, nameBytes(`${beacon.node}.local`)]),
    },
    ...(hasTxt ? [{ name: instance, type: 16, ttl, data: Buffer.concat(strings) }] : []),
  ]);
}

function header(flags: number, questions: number, answers: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16BE(flags, 2);
  bytes.writeUInt16BE(questions, 4);
  bytes.writeUInt16BE(answers, 6);
  return bytes;
}
