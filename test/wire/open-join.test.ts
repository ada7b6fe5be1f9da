import { expect, test } from 'vitest';
import { MycelError } from '../../src/kernel/errors.ts';
import { createGenesis, meshIdOf } from '../../src/wire/authority-entry.ts';
import { concatBytes, utf8 } from '../../src/wire/bytes.ts';
import { issueCertificate, readCertificate } from '../../src/wire/certificate.ts';
import { createMessagePipe, encodeAnswer, readHello } from '../../src/wire/join-messages.ts';
import type { JoinGrant } from '../../src/wire/join-messages.ts';
import { generateNodeKeys, randomBytes } from '../../src/wire/keys.ts';
import type { NodeKeys } from '../../src/wire/keys.ts';
import { createNoise } from '../../src/wire/noise.ts';
import { createOpenHost, createOpenJoiner } from '../../src/wire/open-join.ts';
import type { OpenNewcomer } from '../../src/wire/open-join.ts';
import { converse } from './converse.ts';

const host = generateNodeKeys();

function grantBy(keys: NodeKeys, request: OpenNewcomer): JoinGrant {
  const genesis = createGenesis([keys.edPublic], 'home');
  const { edPublic, xPublic, name } = request;
  const certificate = issueCertificate(keys, {
    meshId: meshIdOf(genesis),
    edPublic,
    xPublic,
    name,
    roles: ['probation'],
    certSeq: 1,
    epoch: 1,
    epochMax: 2,
  });
  const epochKeys = [{ epoch: 1, key: randomBytes(32) }];
  return { genesis, logEntries: [], certificate, epochKeys, peers: [] };
}

function sides(keys = host) {
  return {
    joiner: createOpenJoiner({ keys: generateNodeKeys(), name: 'garage' }),
    open: createOpenHost({ keys, grant: async (request) => grantBy(keys, request) }),
  };
}

test('both people read the same six digits, and the newcomer is on probation', async () => {
  const { joiner, open } = sides();
  const { left, right } = await converse(joiner, open, { chunkBytes: 11 });
  expect(left.result?.code).toMatch(/^\d{6}$/);
  expect(right.result?.code).toBe(left.result?.code);
  expect(readCertificate(left.result?.certificate ?? new Uint8Array())?.roles).toEqual([
    'probation',
  ]);
});

test('the digits are fresh in each conversation', async () => {
  const codes = new Set<string | undefined>();
  for (let run = 0; run < 20; run += 1) {
    const { joiner, open } = sides();
    codes.add((await converse(joiner, open)).left.result?.code);
  }
  expect(codes.size).toBeGreaterThan(18);
});

test('someone in the middle, holding both conversations, shows different digits on the two screens', async () => {
  let equal = 0;
  for (let run = 0; run < 20; run += 1) {
    const towardsJoiner = sides(generateNodeKeys());
    const towardsHost = sides();
    const first = await converse(towardsJoiner.joiner, towardsJoiner.open);
    const second = await converse(towardsHost.joiner, towardsHost.open);
    if (first.left.result?.code === second.right.result?.code) equal += 1;
  }
  expect(equal).toBeLessThan(2);
});

test('a host that picks its nonce after having seen the newcomer’s is found out', async () => {
  const eve = generateNodeKeys();
  const noise = createNoise({
    pattern: 'XX',
    isInitiator: false,
    prologue: utf8('mycel/open-join/1'),
    xSeed: eve.xSeed,
    xPublic: eve.xPublic,
  });
  const frame = (bytes: Uint8Array): Uint8Array => {
    const head = new Uint8Array(4);
    new DataView(head.buffer).setUint32(0, bytes.length);
    return concatBytes(head, bytes);
  };
  const joiner = createOpenJoiner({ keys: generateNodeKeys(), name: 'garage' });
  const [opening = new Uint8Array()] = joiner.start();
  noise.read(opening.subarray(4));
  // A commitment to a nonce that will not be the one shown.
  const answered = await joiner.received(frame(noise.write(randomBytes(32))));
  const { newcomer } = readHello(
    noise.read((answered.send[0] ?? opening).subarray(4)),
    noise.remoteStatic() ?? opening,
  );
  const pipe = createMessagePipe(noise.finish());
  const grant = grantBy(eve, { ...newcomer, code: '' });
  const [piece = opening] = pipe.seal(encodeAnswer(grant, randomBytes(16)));
  const { result, failure } = await joiner.received(frame(piece));
  expect(result).toBeUndefined();
  expect(failure?.message).toContain('changed its mind');
});

test('a closed window is told to the newcomer', async () => {
  const open = createOpenHost({
    keys: host,
    grant: () => Promise.reject(new MycelError('MYCEL_WINDOW_CLOSED')),
  });
  const { left, right } = await converse(sides().joiner, open);
  expect([left.failure?.code, right.failure?.code]).toEqual([
    'MYCEL_WINDOW_CLOSED',
    'MYCEL_WINDOW_CLOSED',
  ]);
});

test('one flipped bit anywhere and nobody joins', async () => {
  for (let victim = 0; victim < 4; victim += 1) {
    for (let flipped = 4; flipped < 36; flipped += 3) {
      const { joiner, open } = sides();
      const { left } = await converse(joiner, open, {
        tap: (bytes, _from, at) =>
          at === victim ? bytes.map((byte, place) => (place === flipped ? byte ^ 1 : byte)) : bytes,
      });
      expect(left.result).toBeUndefined();
    }
  }
});
