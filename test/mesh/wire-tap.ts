/** What a stranger records on the LAN: datagrams and TCP streams out of a capture, and a search for secrets in it. */

import { readFileSync } from 'node:fs';

/** One UDP datagram. */
export interface TappedDatagram {
  readonly from: string;
  readonly to: string;
  readonly toPort: number;
  readonly fromPort: number;
  readonly payload: Buffer;
}

/** What one end of a TCP connection sent, put in order. */
export interface TappedStream {
  readonly from: string;
  readonly to: string;
  readonly toPort: number;
  readonly bytes: Buffer;
}

/** What was on the wire. */
export interface Tap {
  readonly datagrams: readonly TappedDatagram[];
  readonly streams: readonly TappedStream[];
  /** Every byte of every frame, headers included. */
  readonly raw: Buffer;
}

/** Reads a capture of tcpdump (microseconds, Ethernet). @throws when it is none */
export function readTap(file: string): Tap {
  const pcap = readFileSync(file);
  if (pcap.length < 24 || pcap.readUInt32LE(0) !== 0xa1b2c3d4) {
    throw new Error(`${file} is no capture`);
  }
  const datagrams: TappedDatagram[] = [];
  const segments = new Map<string, Map<number, Buffer>>();
  const frames: Buffer[] = [];
  for (let at = 24; at + 16 <= pcap.length;) {
    const length = pcap.readUInt32LE(at + 8);
    const frame = pcap.subarray(at + 16, at + 16 + length);
    frames.push(frame);
    at += 16 + length;
    const packet = readIpv4(frame);
    if (packet?.protocol === 17) datagrams.push(readUdp(packet));
    if (packet?.protocol === 6) keepSegment(segments, packet);
  }
  const streams = [...segments].map(([name, parts]) => toStream(name, parts));
  return { datagrams, streams, raw: Buffer.concat(frames) };
}

interface Ipv4 {
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  readonly body: Buffer;
}

function readIpv4(frame: Buffer): Ipv4 | undefined {
  if (frame.length < 34 || frame.readUInt16BE(12) !== 0x0800) return undefined;
  const packet = frame.subarray(14);
  const headBytes = (packet.readUInt8(0) & 15) * 4;
  return {
    from: [...packet.subarray(12, 16)].join('.'),
    to: [...packet.subarray(16, 20)].join('.'),
    protocol: packet.readUInt8(9),
    body: packet.subarray(headBytes, packet.readUInt16BE(2)),
  };
}

function readUdp({ from, to, body }: Ipv4): TappedDatagram {
  const [fromPort, toPort] = [body.readUInt16BE(0), body.readUInt16BE(2)];
  return { from, to, fromPort, toPort, payload: Buffer.from(body.subarray(8)) };
}

function keepSegment(segments: Map<string, Map<number, Buffer>>, { from, to, body }: Ipv4): void {
  const payload = body.subarray((body.readUInt8(12) >> 4) * 4);
  if (payload.length === 0) return;
  const name = `${from}:${body.readUInt16BE(0)}>${to}:${body.readUInt16BE(2)}`;
  const parts = segments.get(name) ?? new Map<number, Buffer>();
  const seq = body.readUInt32BE(4);
  if ((parts.get(seq)?.length ?? 0) < payload.length) parts.set(seq, Buffer.from(payload));
  segments.set(name, parts);
}

function toStream(name: string, parts: ReadonlyMap<number, Buffer>): TappedStream {
  const [source = '', target = ''] = name.split('>');
  const first = [...parts.keys()][0] ?? 0;
  const ordered = [...parts].sort(([one], [other]) => ((one - first) | 0) - ((other - first) | 0));
  const bytes: Buffer[] = [];
  let next = ordered[0]?.[0] ?? 0;
  for (const [seq, part] of ordered) {
    const known = (next - seq) >>> 0;
    if (known < part.length) bytes.push(part.subarray(known));
    if (known <= part.length) next = (seq + part.length) >>> 0;
  }
  return {
    from: source.split(':')[0] ?? '',
    to: target.split(':')[0] ?? '',
    toPort: Number(target.split(':')[1]),
    bytes: Buffer.concat(bytes),
  };
}

/** How `secret` may hide in other bytes: plain, in hex of either case, and in base64 at each of its three offsets. */
export function disguisesOf(secret: Uint8Array): readonly Buffer[] {
  const hex = Buffer.from(secret).toString('hex');
  const base64 = [0, 1, 2].flatMap((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), secret]).toString('base64');
    // The ends also depend on the neighbours.
    const core = text.slice(offset === 0 ? 0 : 4, text.endsWith('=') ? -4 : undefined);
    return [core, core.replaceAll('+', '-').replaceAll('/', '_')];
  });
  return [
    Buffer.from(secret),
    ...[hex, hex.toUpperCase(), ...base64].map((text) => Buffer.from(text)),
  ];
}

/** Names of the secrets that can be found in these bytes. */
export function leaksIn(
  bytes: Buffer,
  secrets: Readonly<Record<string, string | Uint8Array>>,
): readonly string[] {
  return Object.entries(secrets)
    .filter(([, secret]) => disguisesOf(Buffer.from(secret)).some((one) => bytes.includes(one)))
    .map(([name]) => name);
}
