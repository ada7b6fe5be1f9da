import { expect, test } from 'vitest';
import type { AuthorityStatement } from '../../src/protocol/trust/messages.ts';
import {
  createGenesis,
  epochCommitment,
  keyTextOf,
  meshIdOf,
  policyDefault,
  readAuthorityEntry,
  readGenesis,
  signAuthorityEntry,
} from '../../src/wire/authority-entry.ts';
import { generateNodeKeys, nodeIdOf, randomBytes } from '../../src/wire/keys.ts';

const admin = generateNodeKeys();
const ann = generateNodeKeys();
const subject = { node: nodeIdOf(ann.edPublic), key: keyTextOf(ann.edPublic) };
const genesis = createGenesis([admin.edPublic], 'home');
const link = { seq: 1, prev: readGenesis(genesis)?.hash ?? '', lamport: 1 };

const statements: AuthorityStatement[] = [
  { kind: 'add-admin', ...subject },
  { kind: 'remove-admin', ...subject, chainLength: 4 },
  { kind: 'revoke', ...subject, chainLength: 0 },
  { kind: 'epoch', number: 7, commitment: epochCommitment(randomBytes(32)) },
  { kind: 'window', openForMs: 600_000 },
  { kind: 'policy', autoApprove: true, epochLagMax: 30 },
  { kind: 'approve', ...subject },
  { kind: 'gateway', ...subject, isGranted: true },
];

test.each(statements.map((said) => [said.kind, said] as const))(
  'an entry of kind %s survives the wire with its hash and bytes',
  (_kind, said) => {
    const entry = signAuthorityEntry(admin, link, said);
    expect(entry).toMatchObject({ author: keyTextOf(admin.edPublic), ...link, statement: said });
    expect(readAuthorityEntry(Buffer.from(entry.bytes))).toEqual(entry);
  },
);

test('no bit of an entry can change', () => {
  const { bytes } = signAuthorityEntry(admin, link, { kind: 'revoke', ...subject, chainLength: 2 });
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = bytes.slice();
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(readAuthorityEntry(changed)).toBeUndefined();
  }
});

test('an entry whose node id is not that of its key is refused', () => {
  const wrong = { node: nodeIdOf(admin.edPublic), key: subject.key };
  expect(() => signAuthorityEntry(admin, link, { kind: 'approve', ...wrong })).toThrow(/bounds/);
});

test('the mesh id is the hash of the genesis, and no two meshes of one name share it', () => {
  expect(meshIdOf(genesis)).toBe(readGenesis(genesis)?.hash.slice(0, 32));
  expect(meshIdOf(createGenesis([admin.edPublic], 'home'))).not.toBe(meshIdOf(genesis));
});

test('a genesis says its roots, policy and name; any changed bit is another mesh or none', () => {
  expect(readGenesis(genesis)).toMatchObject({
    roots: [keyTextOf(admin.edPublic)],
    policy: policyDefault,
    meshName: 'home',
  });
  for (let at = 0; at < genesis.length; at += 1) {
    const changed = genesis.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    const read = readGenesis(changed);
    expect(read === undefined || meshIdOf(changed) !== meshIdOf(genesis)).toBe(true);
  }
});
