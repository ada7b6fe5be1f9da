/** The records a mesh can begin with: a provisional mesh of one, or the open mesh of `--dev`. */

import type { Log } from '../ports/log.ts';
import type { Store } from '../ports/store.ts';
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
import { decodeMeshRecord, encodeMeshRecord } from '../wire/mesh-record.ts';
import type { MeshRecord } from '../wire/mesh-record.ts';

/** A mesh's name when nobody gave one. */
const meshNameDefault = 'home';

/** The mesh that the disk holds; a provisional one, written down, when it holds none that can be read. */
export async function loadRecord(
  store: Store,
  keys: NodeKeys,
  meshName: string | undefined,
  log: Log,
): Promise<MeshRecord> {
  const bytes = await store.read('mesh');
  const record = bytes === undefined ? undefined : decodeMeshRecord(bytes);
  if (record !== undefined) return record;
  if (bytes !== undefined) {
    log.error({}, 'the mesh record cannot be read; this node starts as a provisional mesh of one');
  }
  const fresh = provisionalRecord(keys, meshName);
  await store.write('mesh', encodeMeshRecord(fresh));
  return fresh;
}

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
