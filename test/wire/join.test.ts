import { expect, test } from 'vitest';
import { MycelError } from '../../src/kernel/errors.ts';
import { createGenesis, meshIdOf } from '../../src/wire/authority-entry.ts';
import { utf8 } from '../../src/wire/bytes.ts';
import { issueCertificate } from '../../src/wire/certificate.ts';
import { firstFrameBytesMax } from '../../src/wire/conversation.ts';
import { mintInvite, parseInvite } from '../../src/wire/invite.ts';
import type { ParsedInvite } from '../../src/wire/invite.ts';
import { createInvitedJoiner, createInviter } from '../../src/wire/join.ts';
import type { InvitedRequest, InviterOptions } from '../../src/wire/join.ts';
import type { JoinGrant } from '../../src/wire/join-messages.ts';
import { generateNodeKeys, nodeIdOf, randomBytes } from '../../src/wire/keys.ts';
import { converse } from './converse.ts';

const inviterKeys = generateNodeKeys();
const genesis = createGenesis([inviterKeys.edPublic], 'home');
const meshId = meshIdOf(genesis);
const epochKeys = [{ epoch: 1, key: randomBytes(32) }];
const peers = [{ host: '192.168.1.20', port: 1883 }];
const hosts = peers;

function grantTo(request: InvitedRequest, logEntries: readonly Uint8Array[] = []): JoinGrant {
  const certificate = issueCertificate(inviterKeys, {
    meshId,
    edPublic: request.edPublic,
    xPublic: request.xPublic,
    name: request.name,
    roles: ['node'],
    certSeq: 1,
    epoch: 1,
    epochMax: 1001,
  });
  return { genesis, logEntries, certificate, epochKeys, peers };
}

function scene(over: Partial<InviterOptions> = {}, mesh = meshId) {
  const minted = mintInvite({ meshId: mesh, inviterXPublic: inviterKeys.xPublic, hosts });
  const invite = parseInvite(minted.text);
  const keys = generateNodeKeys();
  const requests: InvitedRequest[] = [];
  const wrong: string[] = [];
  const inviter = createInviter({
    keys: inviterKeys,
    meshId,
    remoteAddress: '192.168.1.77',
    findSecret: (id) => (id === minted.inviteId ? minted.psk : undefined),
    wrongSecret: (id) => wrong.push(id),
    async grant(request) {
      requests.push(request);
      return grantTo(request);
    },
    ...over,
  });
  const joiner = (given: ParsedInvite = invite) =>
    createInvitedJoiner({ keys, invite: given, name: 'garage' });
  return { minted, invite, keys, requests, wrong, inviter, joiner };
}

test('a newcomer with an invite gets all it needs to be a member, and the inviter learns who it is', async () => {
  const { invite, keys, inviter, joiner, requests, minted } = scene();
  const { left, right } = await converse(joiner(invite), inviter);
  expect(left.result).toMatchObject({ meshId, meshName: 'home', genesis, epochKeys, peers });
  expect(right.result).toEqual({
    node: nodeIdOf(keys.edPublic),
    edPublic: keys.edPublic,
    xPublic: keys.xPublic,
    name: 'garage',
  });
  expect(requests[0]).toMatchObject({ inviteId: minted.inviteId });
});

test.each([1, 3, 7, 100])('chunks of %i bytes make no difference', async (chunkBytes) => {
  const { inviter, joiner } = scene();
  const { left } = await converse(joiner(), inviter, { chunkBytes });
  expect(left.result?.meshName).toBe('home');
});

test('an authority log larger than many sealed messages arrives whole', async () => {
  const logEntries = Array.from({ length: 700 }, () => randomBytes(300));
  const { inviter, joiner } = scene({ grant: async (request) => grantTo(request, logEntries) });
  const { left } = await converse(joiner(), inviter, { chunkBytes: 10_000 });
  expect(left.result?.logEntries).toEqual(logEntries);
});

test.each([
  'MYCEL_INVITE_EXPIRED',
  'MYCEL_INVITE_USED',
  'MYCEL_INVITE_VOID',
  'MYCEL_TOO_MANY_ATTEMPTS',
] as const)('the newcomer is told %s, before and after the handshake', async (code) => {
  const early = scene({ findSecret: () => new MycelError(code) });
  const before = await converse(early.joiner(), early.inviter);
  expect([before.left.failure?.code, before.right.failure?.code]).toEqual([code, code]);
  const late = scene({ grant: () => Promise.reject(new MycelError(code)) });
  const after = await converse(late.joiner(), late.inviter);
  expect([after.left.failure?.code, after.right.failure?.code]).toEqual([code, code]);
});

test('a bug of the host refuses without a word about itself', async () => {
  const { inviter, joiner } = scene({ grant: () => Promise.reject(new Error('/secret/path')) });
  const { left, right } = await converse(joiner(), inviter);
  expect(left.failure?.code).toBe('MYCEL_INTERNAL');
  expect(left.failure?.message).not.toContain('secret');
  expect(right.failure?.cause).toBeInstanceOf(Error);
});

test('a host that did not make the invite says so', async () => {
  const { inviter, joiner } = scene({ findSecret: () => undefined });
  const { left } = await converse(joiner(), inviter);
  expect(left.failure?.code).toBe('MYCEL_INVITE_UNKNOWN');
});

test('a host of another mesh says so', async () => {
  const { inviter, joiner } = scene({}, meshIdOf(createGenesis([inviterKeys.edPublic], 'home')));
  const { left } = await converse(joiner(), inviter);
  expect(left.failure?.code).toBe('MYCEL_INVITE_FOREIGN');
});

test('a fake host that even knows the secret cannot capture a newcomer: its key is not in the invite', async () => {
  const { minted, joiner } = scene();
  let asked = 0;
  const fake = createInviter({
    keys: generateNodeKeys(),
    meshId,
    remoteAddress: '192.168.1.66',
    findSecret: () => minted.psk,
    wrongSecret: () => {},
    async grant(request) {
      asked += 1;
      return grantTo(request);
    },
  });
  const { left } = await converse(joiner(), fake);
  expect(left.failure?.code).toBe('MYCEL_INVITE_FOREIGN');
  expect(asked).toBe(0);
});

test('a newcomer without the secret is found out and counted, and nothing is granted', async () => {
  const { invite, inviter, joiner, requests, wrong, minted } = scene();
  const { left, right } = await converse(joiner({ ...invite, psk: randomBytes(32) }), inviter);
  expect(right.failure?.code).toBe('MYCEL_HANDSHAKE_FAILED');
  expect(left.result).toBeUndefined();
  expect(requests).toEqual([]);
  expect(wrong).toEqual([minted.inviteId]);
});

test('a grant for another mesh or another key is refused by the newcomer', async () => {
  const foreign = scene({
    grant: async (request) => ({
      ...grantTo(request),
      genesis: createGenesis([inviterKeys.edPublic], 'other'),
    }),
  });
  const first = await converse(foreign.joiner(), foreign.inviter);
  expect(first.left.failure?.code).toBe('MYCEL_INVITE_FOREIGN');
  const swapped = scene({
    grant: async (request) => grantTo({ ...request, edPublic: generateNodeKeys().edPublic }),
  });
  const second = await converse(swapped.joiner(), swapped.inviter);
  expect(second.left.failure?.code).toBe('MYCEL_BAD_BYTES');
});

test('an identity that does not own its Noise key is not let in', async () => {
  const { minted, invite, inviter, requests } = scene();
  const eve = { ...generateNodeKeys(), edPublic: generateNodeKeys().edPublic };
  const joiner = createInvitedJoiner({ keys: eve, invite, name: 'eve' });
  const { right } = await converse(joiner, inviter);
  expect(right.failure?.code).toBe('MYCEL_HANDSHAKE_FAILED');
  expect(requests).toEqual([]);
  expect(minted.psk).toHaveLength(32);
});

test('one flipped bit anywhere in the conversation and nobody joins', async () => {
  const sizes: number[] = [];
  const good = scene();
  await converse(good.joiner(), good.inviter, {
    tap: (bytes) => {
      sizes.push(bytes.length);
      return bytes;
    },
  });
  expect(sizes).toHaveLength(4);
  for (const [victim, size] of sizes.entries()) {
    // Byte 4 on: a changed length only makes the other side wait.
    for (let flipped = 4; flipped < size; flipped += victim === 3 ? 13 : 5) {
      const { joiner, inviter, requests } = scene();
      const { left } = await converse(joiner(), inviter, {
        tap: (bytes, _from, at) =>
          at === victim ? bytes.map((byte, place) => (place === flipped ? byte ^ 1 : byte)) : bytes,
      });
      expect(left.result).toBeUndefined();
      expect(requests.length).toBe(victim === 3 ? 1 : 0);
    }
  }
});

test('someone in the middle sees neither secret, name, key of an epoch nor certificate', async () => {
  const { joiner, inviter, minted, keys } = scene();
  const seen: Uint8Array[] = [];
  const { left } = await converse(joiner(), inviter, {
    tap: (bytes) => {
      seen.push(bytes);
      return bytes;
    },
  });
  const wire = Buffer.concat(seen);
  const certificate = left.result?.certificate ?? new Uint8Array();
  expect(certificate.length).toBeGreaterThan(0);
  for (const secret of [
    utf8('garage'),
    utf8('home'),
    minted.psk,
    keys.edPublic,
    keys.xPublic,
    epochKeys[0]?.key ?? certificate,
    certificate,
    genesis,
    Buffer.from(meshId, 'hex'),
  ]) {
    expect(wire.includes(Buffer.from(secret))).toBe(false);
  }
});

test('a recorded join, replayed to the inviter, gets nothing', async () => {
  const recorded: Uint8Array[] = [];
  const grants: string[] = [];
  const secrets = mintInvite({ meshId, inviterXPublic: inviterKeys.xPublic, hosts });
  const host = () =>
    createInviter({
      keys: inviterKeys,
      meshId,
      remoteAddress: '192.168.1.77',
      findSecret: () => secrets.psk,
      wrongSecret: () => {},
      async grant(request) {
        grants.push(request.name);
        return grantTo(request);
      },
    });
  const joiner = createInvitedJoiner({
    keys: generateNodeKeys(),
    invite: parseInvite(secrets.text),
    name: 'garage',
  });
  await converse(joiner, host(), {
    tap: (bytes, from) => {
      if (from === 'left') recorded.push(bytes);
      return bytes;
    },
  });
  expect(grants).toEqual(['garage']);
  const again = host();
  const outcomes = [];
  for (const bytes of recorded) outcomes.push(await again.received(bytes));
  expect(outcomes.at(-1)?.failure?.code).toBe('MYCEL_HANDSHAKE_FAILED');
  expect(grants).toEqual(['garage']);
});

test('a first frame above the limit ends the conversation before it is buffered', async () => {
  const { inviter } = scene();
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, firstFrameBytesMax + 1);
  expect((await inviter.received(head)).failure?.code).toBe('MYCEL_BAD_BYTES');
  expect(await inviter.received(head)).toEqual({ send: [] });
});

test('calls that overlap are answered in order', async () => {
  const { inviter, joiner } = scene();
  const left = joiner();
  const opening = Buffer.concat(left.start());
  const steps = await Promise.all([
    inviter.received(opening.subarray(0, 9)),
    inviter.received(opening.subarray(9)),
  ]);
  expect(steps.map(({ send }) => send.length)).toEqual([0, 1]);
});
