/** Hostile bytes for what a member, or somebody with its key, can send, and for what a damaged disk gives back. */

import nodeCrypto from 'node:crypto';
import { expect, test } from 'vitest';
import {
  createStallCodec,
  stallAsk,
  stallPacketBytes,
} from '../../src/adapters/dgram/stall-codec.ts';
import type { SwimMessage } from '../../src/protocol/membership/messages.ts';
import { createGenesis, meshIdOf } from '../../src/wire/authority-entry.ts';
import { issueCertificate } from '../../src/wire/certificate.ts';
import { decodeHello, encodeHello } from '../../src/wire/hello.ts';
import {
  generateNodeKeys,
  nodeIdOf,
  randomBytes,
  signBytes,
  verifyBytes,
} from '../../src/wire/keys.ts';
import { createMembershipCodec } from '../../src/wire/membership-codec.ts';
import { decodeMeshRecord, encodeMeshRecord } from '../../src/wire/mesh-record.ts';
import { decodeTrustMessage, encodeTrustMessage } from '../../src/wire/trust-message.ts';
import { fuzz, timeout } from './fuzz.ts';

const keys = generateNodeKeys();
const self = nodeIdOf(keys.edPublic);
const genesis = createGenesis([keys.edPublic], 'home');
const certificate = issueCertificate(keys, {
  meshId: meshIdOf(genesis),
  edPublic: keys.edPublic,
  xPublic: keys.xPublic,
  name: 'kitchen',
  roles: ['node'],
  certSeq: 1,
  epoch: 1,
  epochMax: 10,
});

test('membership messages', { timeout }, async () => {
  const codec = createMembershipCodec({
    self,
    sign: (bytes) => signBytes(keys.edSeed, bytes),
    verify: verifyBytes,
    edPublicOf: () => keys.edPublic,
    nodeIdOf,
  });
  const proof = new Uint8Array(0);
  const incarnation = { boot: 3, n: 1 };
  const meta = { name: 'k', version: '1', roles: ['node'], labels: { a: 'b' }, capabilities: [] };
  const addresses = [{ host: '192.168.1.4', port: 1883 }];
  const word = { node: self, incarnation, from: self, proof, instance: 7, addresses, meta };
  const life = { boot: 3, instance: 7 };
  const messages: readonly SwimMessage[] = [
    { kind: 'gossip', from: self, updates: [{ kind: 'alive', ...word, edPublic: keys.edPublic }] },
    { kind: 'ping', from: self, seq: 9, target: self, life, rider: randomBytes(8), updates: [] },
    { kind: 'nack', from: self, seq: 9 },
    { kind: 'digest', from: self, count: 3, digest: randomBytes(8), updates: [] },
  ];
  const samples = messages.map((message) => codec.encode(message));
  await fuzz(samples, (bytes) => codec.decode(bytes));
});

test('trust messages', { timeout }, async () => {
  const hex = Buffer.from(keys.edPublic).toString('hex');
  const samples = [
    encodeTrustMessage({
      kind: 'heads',
      heads: [{ author: hex, seq: 3, hash: hex, isFrozen: false }],
    }),
    encodeTrustMessage({ kind: 'pull', wants: [{ author: hex, fromSeq: 2 }] }),
    encodeTrustMessage({ kind: 'certificate', certificate }),
    encodeTrustMessage({ kind: 'keys-wanted', epochs: [1, 2] }),
    encodeTrustMessage({ kind: 'rumour', entry: randomBytes(300) }),
  ];
  await fuzz(samples, (bytes) => decodeTrustMessage(bytes));
});

test('hellos of strangers', { timeout }, async () => {
  const hello = {
    node: self,
    meshTag: '0123456789abcdef',
    state: 'open',
    port: 1883,
    nonce: 5,
    isGoodbye: false,
    isAnswer: true,
  } as const;
  await fuzz([encodeHello(hello)], (bytes) => {
    const read = decodeHello(bytes);
    if (read !== undefined) expect(encodeHello(read)).toEqual(bytes);
    return read;
  });
});

test('mesh records of a damaged disk', { timeout }, async () => {
  const record = {
    name: 'home',
    isProvisional: false,
    genesis,
    entries: [randomBytes(200)],
    certificate,
    keys: [{ epoch: 1, key: randomBytes(32) }],
  };
  await fuzz([encodeMeshRecord(record)], (bytes) => decodeMeshRecord(bytes));
});

test('stall questions', { timeout }, async () => {
  const codec = createStallCodec(nodeCrypto, 'fuzz');
  const key = randomBytes(32);
  const sample = codec.seal(stallAsk, 1, key, randomBytes(8), Buffer.alloc(16, 1));
  await fuzz([sample], (bytes) => {
    const opened = codec.open(stallAsk, 1, key, Buffer.from(bytes));
    if (opened !== undefined) expect(bytes.length).toBe(stallPacketBytes);
    return opened;
  });
});
