/**
 * Invites as text: `mycel:1:` and base32 of mesh id 16 B ‖ inviter's Noise key 32 B ‖ secret 16 B ‖ hosts ‖ checksum 4 B.
 *
 * The text is a secret until it is used. Inviter and newcomer both derive from it an id, by which the newcomer asks,
 * and a key, which both must know to finish the handshake; the inviter forgets the secret itself.
 */

import { formatAddress, parseAddress } from '../kernel/address.ts';
import type { Address } from '../kernel/address.ts';
import { MycelError } from '../kernel/errors.ts';
import { base32, base32Alphabet, parseMeshId } from '../kernel/ids.ts';
import type { MeshId } from '../kernel/ids.ts';
import { concatBytes, fromHex, isSameBytes, toHex, utf8 } from './bytes.ts';
import { hkdf, randomBytes, sha256 } from './keys.ts';

/** Most addresses an invite carries; more are left out. */
export const inviteHostsMax = 3;

/** Longest text that is looked at, in UTF-16 units. */
export const inviteTextMax = 2048;

/** What the inviter keeps: enough to recognise the invite, not to write it again. */
export interface InviteSecrets {
  /** 32 hex digits by which the newcomer names the invite. */
  readonly inviteId: string;
  /** 32 bytes that only holders of the invite know. */
  readonly psk: Uint8Array;
}

/** An invite as the newcomer reads it. */
export interface ParsedInvite extends InviteSecrets {
  readonly meshId: MeshId;
  /** Only the holder of this key may answer. */
  readonly inviterXPublic: Uint8Array;
  /** Where the inviter was when it made the invite; may be empty or outdated. */
  readonly hosts: readonly Address[];
}

const prefix = 'mycel:1:';
const checksumBytes = 4;
const fixedBytes = 16 + 32 + 16;
const checksumLabel = utf8('mycel/invite/1');

/** Makes an invite. Give `text` to the newcomer and keep the rest in memory only. */
export function mintInvite(options: {
  readonly meshId: MeshId;
  readonly inviterXPublic: Uint8Array;
  readonly hosts: readonly Address[];
}): InviteSecrets & { readonly text: string } {
  const secret = randomBytes(16);
  const hosts = options.hosts.slice(0, inviteHostsMax).map(encodeHost);
  const body = concatBytes(fromHex(options.meshId), options.inviterXPublic, secret, ...hosts);
  const text = prefix + base32(concatBytes(body, checksum(body)));
  return { text, ...secretsOf(secret, options.meshId) };
}

/**
 * Reads an invite; case, white space and line breaks do not matter.
 * @throws {MycelError} MYCEL_INVITE_MALFORMED when a character is missing or wrong.
 */
export function parseInvite(text: string): ParsedInvite {
  const squeezed = text
    .slice(0, inviteTextMax + 1)
    .replaceAll(/\s/g, '')
    .toLowerCase();
  if (squeezed.length > inviteTextMax) throw malformed();
  if (!squeezed.startsWith(prefix)) throw malformed();
  const bytes = fromBase32(squeezed.slice(prefix.length));
  if (bytes === undefined || bytes.byteLength < fixedBytes + checksumBytes) throw malformed();
  const body = bytes.slice(0, -checksumBytes);
  if (!isSameBytes(bytes.subarray(body.byteLength), checksum(body))) throw malformed();
  const meshId = parseMeshId(toHex(body.subarray(0, 16)));
  return {
    meshId,
    inviterXPublic: body.slice(16, 48),
    hosts: decodeHosts(body.subarray(fixedBytes)),
    ...secretsOf(body.subarray(48, fixedBytes), meshId),
  };
}

function secretsOf(secret: Uint8Array, meshId: MeshId): InviteSecrets {
  return {
    inviteId: toHex(hkdf(secret, `invite-id${meshId}`, 16)),
    psk: hkdf(secret, `join${meshId}`),
  };
}

/** One byte of length, then `host:port`; four bytes of IPv4 and two of port when the length byte is 0. */
function encodeHost(address: Address): Uint8Array {
  const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/
    .exec(address.host)
    ?.slice(1)
    .map(Number);
  if (octets !== undefined && octets.every((octet) => octet <= 255)) {
    return new Uint8Array([0, ...octets, address.port >> 8, address.port & 0xff]);
  }
  const text = utf8(formatAddress(address));
  return text.byteLength > 255
    ? new Uint8Array()
    : concatBytes(new Uint8Array([text.byteLength]), text);
}

function decodeHosts(bytes: Uint8Array): Address[] {
  const hosts: Address[] = [];
  let at = 0;
  while (at < bytes.byteLength) {
    const length = bytes[at] ?? 0;
    const part = bytes.subarray(at + 1, at + 1 + (length === 0 ? 6 : length));
    at += 1 + part.byteLength;
    const address = length === 0 ? decodeIpv4(part) : parseAddress(Buffer.from(part).toString(), 0);
    if (address === undefined || hosts.length === inviteHostsMax) throw malformed();
    hosts.push(address);
  }
  return hosts;
}

function decodeIpv4(part: Uint8Array): Address | undefined {
  const port = (part[4] ?? 0) * 256 + (part[5] ?? 0);
  return part.byteLength === 6 && port > 0
    ? { host: part.subarray(0, 4).join('.'), port }
    : undefined;
}

/** The bytes behind base32; undefined for a foreign character or bits left over that are not zero. */
function fromBase32(text: string): Uint8Array | undefined {
  const bytes: number[] = [];
  let buffer = 0;
  let bits = 0;
  for (const character of text) {
    const value = base32Alphabet.indexOf(character);
    if (value < 0) return undefined;
    buffer = ((buffer << 5) | value) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((buffer >> bits) & 0xff);
  }
  const isCanonical = bits < 5 && (buffer & ((1 << bits) - 1)) === 0;
  return isCanonical ? new Uint8Array(bytes) : undefined;
}

function checksum(body: Uint8Array): Uint8Array {
  return sha256(checksumLabel, body).subarray(0, checksumBytes);
}

function malformed(): MycelError {
  return new MycelError('MYCEL_INVITE_MALFORMED');
}
