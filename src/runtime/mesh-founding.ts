/** The records a mesh can begin with: a provisional mesh of one, or the open mesh of `--dev`. */

import {
  createGenesis,
  epochCommitment,
  meshIdOf,
  readGenesis,
  signAuthorityEntry,
} from '../wire/authority-entry.ts';
import { policyDefault } from '../wire/authority-entry.ts';
import { utf8 } from '../wire/bytes.ts';
import { encodeCbor } from '../wire/cbor.ts';
import { issueCertificate } from '../wire/certificate.ts';
import { randomBytes, sha256 } from '../wire/keys.ts';
import type { NodeKeys } from '../wire/keys.ts';
import type { MeshRecord } from '../wire/mesh-record.ts';

/** A mesh's name when nobody gave one. */
const meshNameDefault = 'home';

/** A mesh of one, founded by these keys: everything is in place but a second member. */
export function provisionalRecord(keys: NodeKeys, meshName: string | undefined): MeshRecord {
  const name = meshName ?? meshNameDefault;
  const genesis = createGenesis([keys.edPublic], name);
  const meshId = meshIdOf(genesis);
  const epochKey = randomBytes(32);
  const prev = readGenesis(genesis)?.hash ?? '';
  const first = signAuthorityEntry(
    keys,
    { seq: 1, prev, lamport: 1 },
    { kind: 'epoch', number: 1, commitment: epochCommitment(epochKey) },
  );
  const certificate = issueCertificate(keys, {
    meshId,
    edPublic: keys.edPublic,
    xPublic: keys.xPublic,
    name,
    roles: ['node', 'admin'],
    certSeq: 1,
    epoch: 1,
    epochMax: 1 + policyDefault.epochLagMax,
  });
  return {
    name,
    isProvisional: true,
    genesis,
    entries: [first.bytes],
    certificate,
    keys: [{ epoch: 1, key: epochKey }],
  };
}

/**
 * The open mesh of developers: its genesis and its key are known to everybody who has read this line. It keeps meshes
 * apart and keeps nobody out; nodes issue their own certificates.
 */
export function devRecord(keys: NodeKeys): MeshRecord {
  const { autoApprove, epochLagMax } = policyDefault;
  const nobody = sha256(utf8('mycel: the open mesh has no admin'));
  const salt = nobody.slice(0, 16);
  const genesis = encodeCbor([1, [nobody], 1, { autoApprove, epochLagMax }, 'dev', salt]);
  const certificate = issueCertificate(keys, {
    meshId: meshIdOf(genesis),
    edPublic: keys.edPublic,
    xPublic: keys.xPublic,
    name: 'dev',
    roles: ['node'],
    certSeq: 1,
    epoch: 0,
    epochMax: policyDefault.epochLagMax,
  });
  const key = sha256(utf8('mycel: the open mesh has no secret'));
  return {
    name: 'dev',
    isProvisional: false,
    genesis,
    entries: [],
    certificate,
    keys: [{ epoch: 0, key }],
  };
}
