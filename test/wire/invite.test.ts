import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseMeshId } from '../../src/kernel/ids.ts';
import { inviteHostsMax, mintInvite, parseInvite } from '../../src/wire/invite.ts';
import { generateNodeKeys } from '../../src/wire/keys.ts';

const { xPublic } = generateNodeKeys();
const meshId = parseMeshId('00112233445566778899aabbccddeeff');
const hosts = [
  { host: '192.168.1.20', port: 1883 },
  { host: 'fe80::1', port: 65_535 },
  { host: 'kitchen.local', port: 1 },
];

function mint(given: typeof hosts = hosts): ReturnType<typeof mintInvite> {
  return mintInvite({ meshId, inviterXPublic: xPublic, hosts: given });
}

test('the newcomer reads what the inviter made, and both derive the same id and key', () => {
  const { text, inviteId, psk } = mint();
  expect(parseInvite(text)).toEqual({ meshId, inviterXPublic: xPublic, hosts, inviteId, psk });
});

test('an invite with one IPv4 address has 128 bits of secret in less than 140 characters', () => {
  const { text, psk } = mint(hosts.slice(0, 1));
  expect(text.length).toBeLessThan(140);
  expect(psk).toHaveLength(32);
});

test('case, blanks and line breaks do not matter, so that it can be dictated, wrapped and put into a QR code', () => {
  const { text } = mint();
  const wrapped = ` ${text.toUpperCase().replaceAll(/(.{20})/g, '$1\n  ')}\r\n`;
  expect(parseInvite(wrapped)).toEqual(parseInvite(text));
  expect(/^[A-Z0-9:]+$/.test(text.toUpperCase())).toBe(true);
});

test('any single wrong, missing or doubled character is noticed', () => {
  const { text } = mint();
  for (let at = 0; at < text.length; at += 1) {
    const other = text[at] === 'q' ? 'r' : 'q';
    for (const wrong of [
      text.slice(0, at) + other + text.slice(at + 1),
      text.slice(0, at) + text.slice(at + 1),
      text.slice(0, at + 1) + text.slice(at),
    ]) {
      if (wrong !== text) expect(() => parseInvite(wrong)).toThrow(/whole invite/);
    }
  }
});

test('two neighbours swapped are noticed', () => {
  const { text } = mint();
  for (let at = 8; at < text.length - 1; at += 1) {
    const [left = '', right = ''] = [text[at], text[at + 1]];
    if (left === right) continue;
    const wrong = text.slice(0, at) + right + left + text.slice(at + 2);
    expect(() => parseInvite(wrong)).toThrow(/whole invite/);
  }
});

test('any other text is refused as not a whole invite', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((end) => `mycel:1:${end}`),
      ),
      (text) => {
        expect(() => parseInvite(text)).toThrow(/MYCEL_INVITE_MALFORMED/);
      },
    ),
  );
  expect(() => parseInvite('mycel:1:' + 'a'.repeat(10_000_000))).toThrow(/MYCEL_INVITE_MALFORMED/);
});

test('no more hosts are carried than the limit', () => {
  const many = Array.from({ length: 9 }, (_, at) => ({ host: `10.0.0.${at}`, port: 1883 }));
  expect(parseInvite(mint(many).text).hosts).toEqual(many.slice(0, inviteHostsMax));
});

test('no two invites share id or key', () => {
  const invites = Array.from({ length: 50 }, () => mint());
  expect(new Set(invites.map(({ inviteId }) => inviteId)).size).toBe(50);
  expect(new Set(invites.map(({ psk }) => Buffer.from(psk).toString('hex'))).size).toBe(50);
});
