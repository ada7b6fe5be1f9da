/** Hostile bytes for every parser of src/wire that a stranger can reach. FUZZ_RUNS sets the inputs per parser. */

import { expect, test } from 'vitest';
import { MycelError } from '../../src/kernel/errors.ts';
import {
  createGenesis,
  meshIdOf,
  readAuthorityEntry,
  readGenesis,
  signAuthorityEntry,
} from '../../src/wire/authority-entry.ts';
import { decodeCbor, encodeCbor } from '../../src/wire/cbor.ts';
import { issueCertificate, readCertificate } from '../../src/wire/certificate.ts';
import { createDatagramSeal } from '../../src/wire/datagram-seal.ts';
import { mintInvite, parseInvite } from '../../src/wire/invite.ts';
import { createInvitedJoiner, createInviter } from '../../src/wire/join.ts';
import { generateNodeKeys, nodeIdOf, randomBytes } from '../../src/wire/keys.ts';
import { createNoise } from '../../src/wire/noise.ts';
import { createOpenHost, createOpenJoiner } from '../../src/wire/open-join.ts';
import { fuzz, timeout } from './fuzz.ts';

const keys = generateNodeKeys();
const subject = { node: nodeIdOf(keys.edPublic), key: Buffer.from(keys.edPublic).toString('hex') };
const genesis = createGenesis([keys.edPublic], 'home');
const meshId = meshIdOf(genesis);
const certificate = issueCertificate(keys, {
  meshId,
  edPublic: keys.edPublic,
  xPublic: keys.xPublic,
  name: 'kitchen',
  roles: ['node', 'admin'],
  certSeq: 1,
  epoch: 1,
  epochMax: 100,
});
const link = { seq: 1, prev: readGenesis(genesis)?.hash ?? '', lamport: 1 };
const entry = signAuthorityEntry(keys, link, { kind: 'revoke', ...subject, chainLength: 3 });
const epochKeys = { current: { epoch: 1, key: randomBytes(32) }, others: [] };
const sender = createDatagramSeal({ node: subject.node, bootCounter: 1, keys: () => epochKeys });
const hosts = [{ host: '192.168.1.20', port: 1883 }];
const minted = mintInvite({ meshId, inviterXPublic: keys.xPublic, hosts });

test('CBOR', { timeout }, async () => {
  const value = { a: [1, -1, 2.5, 2n ** 60n, null, true], ü: { b: new Uint8Array(9) }, c: 'text' };
  await fuzz([encodeCbor(value), genesis, certificate.slice(0, -64)], (bytes) => {
    decodeCbor(bytes);
    return true;
  });
});

test('certificates', { timeout }, async () => {
  await fuzz([certificate], (bytes) => {
    const read = readCertificate(bytes);
    // Only the sample itself, restored by two changes that cancel out.
    if (read !== undefined) expect(bytes).toEqual(certificate);
    return read;
  });
});

test('log entries and genesis', { timeout }, async () => {
  await fuzz([entry.bytes, genesis], (bytes) => {
    readGenesis(bytes);
    const read = readAuthorityEntry(bytes);
    if (read !== undefined) expect(bytes).toEqual(entry.bytes);
    return read;
  });
});

test('invites', { timeout }, async () => {
  const text = new TextEncoder().encode(minted.text);
  await fuzz([text], (bytes) => {
    const { inviteId } = parseInvite(Buffer.from(bytes).toString('latin1'));
    expect(inviteId).toBe(minted.inviteId);
    return true;
  });
});

test('datagrams', { timeout }, async () => {
  const receiver = createDatagramSeal({
    node: nodeIdOf(generateNodeKeys().edPublic),
    bootCounter: 1,
    keys: () => epochKeys,
  });
  const samples = Array.from({ length: 20 }, (_, at) => sender.seal(randomBytes(at * 10)));
  for (const sample of samples) receiver.open(sample);
  // Each sample was opened before: whatever is accepted now is a forgery.
  await fuzz(samples, (bytes) => {
    const outcome = receiver.open(bytes);
    expect('plain' in outcome).toBe(false);
  });
});

test('handshake messages', { timeout }, async () => {
  const psk = randomBytes(32);
  const side = (isInitiator: boolean, pattern: 'XX' | 'XXpsk3') =>
    createNoise({
      pattern,
      isInitiator,
      prologue: new Uint8Array(),
      xSeed: keys.xSeed,
      xPublic: keys.xPublic,
      psk,
      ephemeral: keys.edSeed,
    });
  const first = side(true, 'XX').write(randomBytes(20));
  const responder = side(false, 'XX');
  responder.read(first);
  const second = responder.write(randomBytes(40));
  let turn = 0;
  await fuzz([first, second], (bytes) => {
    turn += 1;
    if (turn % 2 === 0) return side(false, turn % 4 === 0 ? 'XX' : 'XXpsk3').read(bytes);
    const initiator = side(true, 'XX');
    initiator.write();
    initiator.read(bytes);
    return false;
  });
});

test('join conversations', { timeout }, async () => {
  const never = (): Promise<never> => Promise.reject(new MycelError('MYCEL_WINDOW_CLOSED'));
  const inviter = () =>
    createInviter({
      keys,
      meshId,
      remoteAddress: '192.168.1.66',
      findSecret: () => minted.psk,
      wrongSecret: () => {},
      grant: never,
    });
  const joiner = () => createInvitedJoiner({ keys, invite: parseInvite(minted.text), name: 'x' });
  const greeting = Buffer.concat(joiner().start());
  const answer = Buffer.concat((await inviter().received(greeting)).send);
  const openGreeting = Buffer.concat(createOpenJoiner({ keys, name: 'x' }).start());
  const openAnswer = Buffer.concat(
    (await createOpenHost({ keys, grant: never }).received(openGreeting)).send,
  );
  const sides = [
    inviter,
    joiner,
    () => createOpenHost({ keys, grant: never }),
    () => createOpenJoiner({ keys, name: 'x' }),
  ];
  let turn = 0;
  await fuzz([greeting, answer, openGreeting, openAnswer], async (bytes) => {
    turn += 1;
    const side = sides[turn % sides.length]?.();
    side?.start();
    const step = await side?.received(bytes);
    expect(step?.result).toBeUndefined();
    return step?.failure === undefined;
  });
});
