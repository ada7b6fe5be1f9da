/** DNS-SD records of a node and of extra services, and what can be read from the answers of others. */

import { isIPv4, isIPv6 } from 'node:net';

import { MycelError } from '../../kernel/errors.ts';
import { isNodeId } from '../../kernel/ids.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Beacon, BeaconState } from '../../ports/discovery.ts';
import { isLinkLocal } from '../discovery/lan-address.ts';

/** The service type under which nodes are found. */
export const nodeServiceType = '_mycel._tcp.local';

/** The name under which all service types are listed (RFC 6763 9). */
export const servicesName = '_services._dns-sd._udp.local';

/** Life of every record we publish, in seconds: two lost answers to the calm query are forgiven. */
const recordTtlSeconds = 150;

/** Other services one node may publish. */
export const servicesMax = 32;

/** Resource records of one packet that are looked at. */
const recordsPerPacketMax = 128;

/** Hold time of what others publish, in seconds: their TTL within these limits (bonjour-service says 8 hours). */
const holdSecondsLimits = [10, 300] as const;

/** A resource record in the form that the DNS codec takes. */
export interface DnsRecord {
  readonly name: string;
  readonly type: 'PTR' | 'SRV' | 'TXT' | 'A';
  readonly ttl: number;
  /** Cache-flush bit: this replaces what was known under the name (RFC 6762 10.2). */
  readonly flush?: boolean;
  readonly data:
    | string
    | readonly Uint8Array[]
    | { readonly port: number; readonly target: string };
}

/** Another service to publish beside the node itself. */
export interface ServiceSpec {
  /** The RFC 6335 service name without underscore, as `http`. */
  readonly type: string;
  /** @default 'tcp' */
  readonly protocol?: 'tcp' | 'udp';
  /** Instance name, 1 to 63 bytes, without a dot. Must be unique on the LAN. */
  readonly name: string;
  readonly port: number;
  readonly txt?: Readonly<Record<string, string>>;
}

/** What one answer says about a node. */
export interface MdnsHeard {
  readonly node: NodeId;
  readonly meshTag: string;
  readonly state: BeaconState;
  readonly port: number;
  readonly holdMs: number;
  /** Hosts from address records, IPv4 first: hints, for they may be stale or of another LAN. */
  readonly hosts: readonly string[];
}

/** The records of the node on an interface that has these IPv4 addresses. */
export function beaconRecords(beacon: Beacon, hosts: readonly string[]): DnsRecord[] {
  const { node, meshTag, state, port } = beacon;
  const txt = { v: '1', id: node, tag: meshTag, st: state, port: String(port) };
  return [
    ...serviceRecords(node, { type: 'mycel', name: node, port, txt }),
    // No cache-flush here: the same name has other addresses on our other interfaces.
    ...hosts.map((host): DnsRecord => ({
      name: hostName(node),
      type: 'A',
      ttl: recordTtlSeconds,
      data: host,
    })),
  ];
}

/** The records of one service that runs on the node. */
export function serviceRecords(node: NodeId, service: ServiceSpec): DnsRecord[] {
  const type = serviceTypeOf(service);
  const instance = `${service.name}.${type}`;
  const ttl = recordTtlSeconds;
  const txt = Object.entries(service.txt ?? {}).map(([key, value]) =>
    Buffer.from(`${key}=${value}`),
  );
  return [
    { name: type, type: 'PTR', ttl, data: instance },
    {
      name: instance,
      type: 'SRV',
      ttl,
      flush: true,
      data: { port: service.port, target: hostName(node) },
    },
    // RFC 6763 6.1: a TXT record has at least one string, which may be empty.
    { name: instance, type: 'TXT', ttl, flush: true, data: txt.length > 0 ? txt : [Buffer.of()] },
    { name: servicesName, type: 'PTR', ttl, data: type },
  ];
}

/** The DNS-SD type of a service, as `_http._tcp.local`. */
export function serviceTypeOf(service: Pick<ServiceSpec, 'type' | 'protocol'>): string {
  return `_${service.type}._${service.protocol ?? 'tcp'}.local`;
}

/**
 * Refuses a service that DNS cannot carry.
 * @throws {MycelError} MYCEL_BAD_OPTION naming the field.
 */
export function checkService(service: ServiceSpec): void {
  const txt = Object.entries(service.txt ?? {});
  const entryLengths = txt.map(([key, value]) => Buffer.byteLength(`${key}=${value}`));
  const checks: readonly (readonly [string, boolean, string])[] = [
    ['type', /^[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?$/.test(service.type), 'is no service name'],
    ['name', isLabel(service.name), 'must be 1 to 63 bytes without dots'],
    ['port', isPort(service.port), 'must be 1 to 65535'],
    ['txt', entryLengths.every((length) => length <= 255), 'has an entry of more than 255 bytes'],
    ['txt', entryLengths.reduce((sum, length) => sum + length, 0) <= 1_000, 'is over 1000 bytes'],
    ['txt', txt.every(([key]) => /^[\x20-\x3c\x3e-\x7e]{1,64}$/.test(key)), 'has a bad key'],
  ];
  for (const [field, isGood, words] of checks) {
    if (!isGood)
      throw new MycelError('MYCEL_BAD_OPTION', { field, reason: `'${field}' ${words}.` });
  }
}

/**
 * Reads the nodes and the goodbyes out of a decoded packet. Total: whatever the packet holds, nothing is thrown, and
 * a record set without TXT says nothing.
 */
export function readAnswers(packet: unknown): { heard: MdnsHeard[]; goodbyes: NodeId[] } {
  const heard: MdnsHeard[] = [];
  const goodbyes: NodeId[] = [];
  const records = [...listOf(packet, 'answers'), ...listOf(packet, 'additionals')];
  for (const record of records.slice(0, recordsPerPacketMax)) {
    const type = fieldOf(record, 'type');
    const name = fieldOf(record, 'name');
    const ttl = fieldOf(record, 'ttl');
    const data = fieldOf(record, 'data');
    if (typeof name !== 'string' || typeof ttl !== 'number') continue;
    if (type === 'PTR' && ttl === 0 && name.toLowerCase() === nodeServiceType) {
      const node = typeof data === 'string' ? nodeOf(data) : undefined;
      if (node !== undefined) goodbyes.push(node);
    }
    const node = type === 'TXT' && ttl > 0 ? nodeOf(name) : undefined;
    const said = node === undefined ? undefined : readTxt(data, node);
    if (said === undefined) continue;
    const [least, most] = holdSecondsLimits;
    const holdMs = Math.min(Math.max(ttl, least), most) * 1000;
    heard.push({ ...said, holdMs, hosts: hostsOf(records, said.node) });
  }
  return { heard, goodbyes };
}

/** The questions of a decoded packet, bounded. */
export function readQuestions(packet: unknown): { name: string; type: string }[] {
  const questions: { name: string; type: string }[] = [];
  for (const question of listOf(packet, 'questions').slice(0, 16)) {
    const name = fieldOf(question, 'name');
    const type = fieldOf(question, 'type');
    if (typeof name === 'string' && typeof type === 'string') {
      questions.push({ name: name.toLowerCase(), type });
    }
  }
  return questions;
}

/** Names of PTR targets that the asker knows already and that will live on (RFC 6762 7.1). */
export function readKnownAnswers(packet: unknown): ReadonlySet<string> {
  const known = new Set<string>();
  for (const record of listOf(packet, 'answers').slice(0, recordsPerPacketMax)) {
    const ttl = fieldOf(record, 'ttl');
    const data = fieldOf(record, 'data');
    const isFresh = typeof ttl === 'number' && ttl >= recordTtlSeconds / 2;
    if (fieldOf(record, 'type') === 'PTR' && isFresh && typeof data === 'string') {
      known.add(data.toLowerCase());
    }
  }
  return known;
}

function hostName(node: NodeId): string {
  return `${node}.local`;
}

function isLabel(text: string): boolean {
  const bytes = Buffer.byteLength(text);
  return bytes >= 1 && bytes <= 63 && !/[.\p{Cc}]/u.test(text);
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}

function nodeOf(instance: string): NodeId | undefined {
  const text = instance.toLowerCase();
  if (!text.endsWith(`.${nodeServiceType}`)) return undefined;
  const label = text.slice(0, -nodeServiceType.length - 1);
  return isNodeId(label) ? label : undefined;
}

function readTxt(
  data: unknown,
  node: NodeId,
): Pick<MdnsHeard, 'node' | 'meshTag' | 'state' | 'port'> | undefined {
  if (!Array.isArray(data)) return undefined;
  const fields = new Map<string, string>();
  for (const entry of data.slice(0, 16)) {
    if (!(entry instanceof Uint8Array)) continue;
    const text = Buffer.from(entry).toString('latin1');
    const at = text.indexOf('=');
    if (at > 0) fields.set(text.slice(0, at), text.slice(at + 1));
  }
  const meshTag = fields.get('tag') ?? '';
  const state = fields.get('st');
  const port = Number(fields.get('port'));
  if (fields.get('v') !== '1' || fields.get('id') !== node) return undefined;
  if (!/^[0-9a-f]{16}$/.test(meshTag) || !isPort(port)) return undefined;
  if (state !== 'member' && state !== 'unclaimed' && state !== 'open') return undefined;
  return { node, meshTag, state, port };
}

function hostsOf(records: readonly unknown[], node: NodeId): string[] {
  const v4: string[] = [];
  const v6: string[] = [];
  for (const record of records.slice(0, recordsPerPacketMax)) {
    const name = fieldOf(record, 'name');
    const host = fieldOf(record, 'data');
    if (typeof name !== 'string' || name.toLowerCase() !== hostName(node)) continue;
    if (typeof host !== 'string' || fieldOf(record, 'ttl') === 0) continue;
    if (fieldOf(record, 'type') === 'A' && isIPv4(host)) v4.push(host);
    // A link-local address without its zone cannot be dialled.
    if (fieldOf(record, 'type') === 'AAAA' && isIPv6(host) && !isLinkLocal(host)) v6.push(host);
  }
  return [...v4.slice(0, 4), ...v6.slice(0, 2)];
}

function listOf(packet: unknown, field: string): readonly unknown[] {
  const list = fieldOf(packet, field);
  return Array.isArray(list) ? list : [];
}

function fieldOf(value: unknown, field: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.hasOwn(value, field) ? (value as Record<string, unknown>)[field] : undefined;
}
