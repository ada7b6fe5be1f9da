import { expect, test } from 'vitest';
import { MycelError } from '../../src/kernel/errors.ts';
import { createGenesis, meshIdOf } from '../../src/wire/authority-entry.ts';
import { issueCertificate, readCertificate } from '../../src/wire/certificate.ts';
import type { JoinGrant } from '../../src/wire/join-messages.ts';
import { generateNodeKeys, randomBytes } from '../../src/wire/keys.ts';
import type { NodeKeys } from '../../src/wire/keys.ts';
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
