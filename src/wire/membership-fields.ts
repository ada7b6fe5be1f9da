/** Strict readers for the fields of membership messages: what is not exactly as agreed reads as undefined. */

import type { Address } from '../kernel/address.ts';
import { nodeIdBytes, nodeIdFromHash } from '../kernel/ids.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Incarnation } from '../protocol/membership/incarnation.ts';
import type * as messages from '../protocol/membership/messages.ts';
import type { MemberMeta } from '../protocol/membership/messages.ts';
import { encodeCbor } from './cbor.ts';

/** Encoded size of a member's metadata, in bytes. */
export const metaBytesMax = 512;

/** Bounds of the parts of a member's metadata. Lengths in UTF-16 units. */
const metaLimits = {
  nameLength: 64,
  versionLength: 32,
  roleCount: 16,
  roleLength: 32,
  labelCount: 16,
  labelKeyLength: 32,
  labelValueLength: 64,
  capabilityCount: 32,
  capabilityLength: 64,
} as const;

// The core's bound, which the compiler keeps equal.
const memberAddressesMax: typeof messages.memberAddressesMax = 8;
const bootMax = 2 ** 48;
const refutationsMax = 2 ** 48;
const durationMsMax = 31 * 86_400_000;
const hostLengthMax = 253;

/** A whole number in [0, max]. */
export function readWhole(value: unknown, max: number): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max
    ? value
    : undefined;
}

/** A duration in whole ms, at most 31 days. */
export function readDuration(value: unknown): number | undefined {
  return readWhole(value, durationMsMax);
}

/** The unsigned 32-bit numbers: sequence numbers, instances, ranges. */
export function readWord(value: unknown): number | undefined {
  return readWhole(value, 0xffff_ffff);
}

export function readBytes(value: unknown, lengthMax: number): Uint8Array | undefined {
  return value instanceof Uint8Array && value.length <= lengthMax ? value : undefined;
}

export function readNodeId(value: unknown): NodeId | undefined {
  return value instanceof Uint8Array && value.length === nodeIdBytes
    ? nodeIdFromHash(value)
    : undefined;
}

export function readIncarnation(boot: unknown, n: unknown): Incarnation | undefined {
  const bootRead = readWhole(boot, bootMax);
  const nRead = readWhole(n, refutationsMax);
  return bootRead === undefined || nRead === undefined ? undefined : { boot: bootRead, n: nRead };
}

/** A flat list host, port, host, port … */
export function readAddresses(value: unknown): Address[] | undefined {
  if (!Array.isArray(value) || value.length % 2 !== 0) return undefined;
  if (value.length > 2 * memberAddressesMax) return undefined;
  const addresses: Address[] = [];
  for (let at = 0; at < value.length; at += 2) {
    const host: unknown = value[at];
    const port = readWhole(value[at + 1], 65_535);
    if (port === undefined || port === 0 || !isText(host, hostLengthMax)) return undefined;
    if (host.length === 0 || /\s/.test(host)) return undefined;
    addresses.push({ host, port });
  }
  return addresses;
}

/** The flat list that `readAddresses` reads. */
export function writeAddresses(addresses: readonly Address[]): unknown[] {
  return addresses.flatMap(({ host, port }) => [host, port]);
}

/** The list that `readMeta` reads. A missing responder is port 0. */
export function writeMeta(meta: MemberMeta): unknown[] {
  const { name, version, roles, labels, capabilities, responderPort } = meta;
  return [name, version, [...roles], { ...labels }, [...capabilities], responderPort ?? 0];
}

/** Says in words why metadata cannot be sent, or undefined when it can. */
export function metaTrouble(meta: MemberMeta): string | undefined {
  const bytes = encodeCbor(writeMeta(meta)).length;
  if (bytes > metaBytesMax) {
    return `Name, roles, labels and capabilities take ${bytes} bytes together, ${metaBytesMax} are allowed.`;
  }
  return readMeta(writeMeta(meta)) === undefined
    ? 'A name, role, label or capability is too long, too many, or holds control characters.'
    : undefined;
}

/** Metadata within all its bounds. */
export function readMeta(value: unknown): MemberMeta | undefined {
  const meta = readMetaFields(value);
  const isFitting = meta !== undefined && encodeCbor(writeMeta(meta)).length <= metaBytesMax;
  return isFitting ? meta : undefined;
}

function readMetaFields(value: unknown): MemberMeta | undefined {
  if (!Array.isArray(value) || value.length !== 6) return undefined;
  const [name, version, roles, labels, capabilities, responder] = value as unknown[];
  const limits = metaLimits;
  const port = readWhole(responder, 65_535);
  if (port === undefined) return undefined;
  if (!isText(name, limits.nameLength) || !isText(version, limits.versionLength)) return undefined;
  if (!isTexts(roles, limits.roleCount, limits.roleLength)) return undefined;
  if (!isTexts(capabilities, limits.capabilityCount, limits.capabilityLength)) return undefined;
  if (!isLabels(labels)) return undefined;
  const common = { name, version, roles, labels, capabilities };
  return port === 0 ? common : { ...common, responderPort: port };
}

function isLabels(value: unknown): value is Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  if (value instanceof Uint8Array) return false;
  const entries = Object.entries(value);
  return (
    entries.length <= metaLimits.labelCount &&
    entries.every(
      ([key, text]) =>
        isText(key, metaLimits.labelKeyLength) && isText(text, metaLimits.labelValueLength),
    )
  );
}

function isTexts(value: unknown, countMax: number, lengthMax: number): value is string[] {
  return (
    Array.isArray(value) &&
    value.length <= countMax &&
    value.every((text) => isText(text, lengthMax))
  );
}

/** Text without control characters: it ends up on terminals and in logs. */
function isText(value: unknown, lengthMax: number): value is string {
  if (typeof value !== 'string' || value.length > lengthMax) return false;
  for (let at = 0; at < value.length; at += 1) {
    const unit = value.charCodeAt(at);
    if (unit < 0x20 || (unit >= 0x7f && unit <= 0x9f)) return false;
  }
  return true;
}
