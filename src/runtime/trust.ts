/** Trust at work: the authority log, this node's certificate and the epoch keys, on disk and over the links. */

import { MycelError } from '../kernel/errors.ts';
import type { MeshId, NodeId } from '../kernel/ids.ts';
import { invariant } from '../kernel/invariant.ts';
import type { Random } from '../kernel/random.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import { createAuthorityLog } from '../protocol/trust/authority-log.ts';
import type {
  AuthorityAlert,
  AuthorityLogEffect,
  AuthorityView,
} from '../protocol/trust/authority-log.ts';
import type {
  AuthorityEntry,
  AuthorityStatement,
  Genesis,
  KeyText,
} from '../protocol/trust/messages.ts';
import {
  epochCommitment,
  keyTextOf,
  meshIdOf,
  readAuthorityEntry,
  readGenesis,
  signAuthorityEntry,
} from '../wire/authority-entry.ts';
import { fromHex, isSameBytes, utf8 } from '../wire/bytes.ts';
import { issueCertificate, readCertificate } from '../wire/certificate.ts';
import type { Certificate, Role } from '../wire/certificate.ts';
import type { EpochKeys } from '../wire/datagram-seal.ts';
import { randomBytes } from '../wire/keys.ts';
import type { MeshRecord } from '../wire/mesh-record.ts';
import { decodeTrustMessage, encodeTrustMessage } from '../wire/trust-message.ts';
import type { TrustMessage } from '../wire/trust-message.ts';
import { isRevokedMember, refusalOf } from './admission.ts';
import type { Verdict } from './admission.ts';
import { drive } from './drive.ts';
import { startEpochKeys } from './epoch-keys.ts';
import type { Identity } from './identity.ts';
import { startNews } from './news.ts';

/** Uptime between two epochs when nobody is revoked, in ms: a week (security reference 3.2). */
const rotateEveryMs = 604_800_000;

/** Entries in one message of a proof: even the largest fit one sealed record. */
const proofEntriesMax = 32;

/** What the node around it provides. */
export interface TrustWorld {
  readonly identity: Identity;
  readonly isDev: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  save(record: MeshRecord): Promise<void>;
  /** Sends over the link, or over all of them. */
  send(to: NodeId | 'everyone', bytes: Uint8Array): void;
  /** The log said something new; `fresh` is empty for what the disk held. */
  changed(view: AuthorityView, fresh: readonly AuthorityEntry[]): void;
  /** The key that a linked member proved to hold. */
  xPublicOf(node: NodeId): Uint8Array | undefined;
  /** Other epoch keys are in use. */
  rekeyed(): void;
  /** This node's certificate was replaced. */
  certified(certificate: Certificate): void;
  alert(code: AuthorityAlert, text: string): void;
}

/** A newcomer as the grant needs it. */
export interface Subject {
  readonly edPublic: Uint8Array;
  readonly xPublic: Uint8Array;
  readonly name: string;
}

/** Trust of one node in one mesh. */
export interface Trust {
  readonly meshId: MeshId;
  readonly genesis: Genesis;
  view(): AuthorityView;
  isProvisional(): boolean;
  isAdmin(): boolean;
  certificate(): Certificate;
  record(): MeshRecord;
  /** Judges a peer that proved to hold `xPublic`. */
  admit(certificate: Uint8Array, xPublic: Uint8Array): Verdict;
  /** Messages that show a revoked device the log up to its revocation. */
  proofAgainst(key: KeyText): readonly Uint8Array[];
  /** What a peer sent instead of a link: only the log is believed, because it is signed. */
  refusedBy(node: NodeId, bytes: Uint8Array): void;
  keys(): EpochKeys;
  /** Eight bytes that differ when logs differ; they ride in every ping. */
  rider(): Uint8Array;
  /** A link opened: compare logs, ask for keys. */
  linked(node: NodeId): void;
  /** The linked members, after each change. */
  peers(ids: readonly NodeId[]): void;
  received(from: NodeId, bytes: Uint8Array): void;
  /** A member's rider differs from ours: compare logs with it, when linked. */
  riderSeen(from: NodeId, rider: Uint8Array): void;
  /** Makes a provisional mesh a real one. */
  found(): Promise<void>;
  /**
   * Writes an entry as this admin; resolves when it is on disk. Calls wait for each other.
   * @throws {MycelError} MYCEL_NOT_ADMIN when the chain of this admin takes no more; what writing the disk throws, and
   *   then the entry holds all the same until this node stops.
   */
  author(statement: AuthorityStatement): Promise<void>;
  /** Begins a new epoch with a fresh key. */
  rotate(): Promise<void>;
  /** Issues a certificate as this admin. A later one of the same key needs a higher `certSeq`. */
  certify(subject: Subject, roles: readonly Role[], certSeq: number): Uint8Array;
  stop(): void;
}

/** Starts trust from what the disk (or a grant) holds. */
export function startTrust(world: TrustWorld, given: MeshRecord): Trust {
  const { identity, clock, log } = world;
  const genesis = readGenesis(given.genesis);
  invariant(genesis !== undefined, 'the genesis was checked before');
  const meshId = meshIdOf(given.genesis);
  const ownKey = keyTextOf(identity.keys.edPublic);
  const core = createAuthorityLog({ genesis });
  const { name } = given;
  let { isProvisional } = given;
  let certificate = readCertificate(given.certificate);
  invariant(certificate !== undefined, 'the certificate was checked before');
  let cancelRotation = (): void => {};
  let written: Promise<void> = Promise.resolve();
  let authoring: Promise<void> = Promise.resolve();

  function record(): MeshRecord {
    const entries = core.view().entries.map((entry) => entry.bytes);
    return {
      name,
      isProvisional,
      genesis: given.genesis,
      entries,
      certificate: (certificate as Certificate).bytes,
      keys: keys.kept(),
    };
  }

  /** One write at a time, the last picture wins. A disk that refuses is reported and the node goes on in memory. */
  function save(): Promise<void> {
    if (world.isDev) return Promise.resolve();
    written = written.catch(() => {}).then(() => world.save(record()));
    return written;
  }

  function saveQuietly(): void {
    save().catch((error: unknown) => log.error({ error }, 'the mesh record could not be written'));
  }

  function send(to: NodeId | 'everyone', message: TrustMessage): void {
    world.send(to, encodeTrustMessage(message));
  }

  function run(effect: AuthorityLogEffect): void | Promise<void> {
    switch (effect.type) {
      case 'persist':
        return save();
      case 'send':
        if (effect.to === 'everyone') return effect.entries.forEach((entry) => news.tell(entry));
        return send(effect.to, {
          kind: 'entries',
          entries: effect.entries.map((entry) => entry.bytes),
        });
      case 'pull':
        return send(effect.from, {
          kind: 'pull',
          wants: [{ author: effect.author, fromSeq: effect.fromSeq }],
        });
      case 'announce': {
        keys.announced(effect.state.epochs);
        if (effect.fresh.some(({ statement }) => statement.kind === 'epoch')) rotateLater();
        return world.changed(core.view(), effect.fresh);
      }
      case 'alert':
        return world.alert(effect.code, `admin key ${effect.author.slice(0, 16)}: ${effect.code}`);
    }
  }

  function takeCertificate(bytes: Uint8Array): void {
    const fresh = readCertificate(bytes);
    const held = certificate as Certificate;
    if (fresh === undefined || fresh.meshId !== meshId) return;
    if (!isSameBytes(fresh.edPublic, identity.keys.edPublic)) return;
    if (!isSameBytes(fresh.xPublic, identity.keys.xPublic) || fresh.certSeq <= held.certSeq) return;
    if (!core.view().admins.includes(keyTextOf(fresh.issuer))) return;
    certificate = fresh;
    saveQuietly();
    world.certified(fresh);
  }

  const news = startNews({
    clock,
    random: world.random,
    log,
    metrics: world.metrics,
    send,
    heard: (from, entry) => driver.feed({ type: 'received', from, entries: [entry] }),
  });
  const keys = startEpochKeys(
    {
      ownKeys: identity.keys,
      clock,
      log,
      metrics: world.metrics,
      save,
      rekeyed: () => world.rekeyed(),
      want: (epoch) => send('everyone', { kind: 'keys-wanted', epochs: [epoch] }),
    },
    given.keys,
  );
  const driver = drive(core, {
    clock,
    // The log waits for input alone; the first tick of the driver is what the disk holds.
    tick: { type: 'restored', entries: readEntries(given.entries) },
    run,
    failed: (effect, error) => log.error({ effect: effect.type, error }, 'the authority log'),
    overflowed: () => world.metrics.drop('trust', 'inbox full'),
  });

  keys.install(given.keys);

  /** Any admin may; whoever is first spares the others: a fresh epoch begins the wait anew. */
  function rotateLater(): void {
    cancelRotation();
    const spread = 1 + Math.abs(identity.instance % 1000) / 10_000;
    cancelRotation = clock.alarm(clock.now() + rotateEveryMs * spread, () => {
      if (core.view().admins.includes(ownKey) && !isProvisional) {
        rotate().catch((error: unknown) => log.error({ error }, 'the epoch key was not renewed'));
      } else rotateLater();
    });
  }

  /** Entries are signed for the place that the last one left: one at a time, and none while the log waits for the disk. */
  async function write(statement: () => AuthorityStatement): Promise<void> {
    for (let before; before !== written;) {
      before = written;
      await written.catch(() => {});
    }
    const entry = signAuthorityEntry(identity.keys, core.next(ownKey), statement());
    driver.feed({ type: 'authored', entry });
    if (!core.view().heads.some((head) => head.hash === entry.hash)) {
      throw new MycelError('MYCEL_NOT_ADMIN', {
        reason: 'The log takes no more entries of this admin.',
        fix: 'Let another admin do it: "mycel invite --role admin" makes one while there is room.',
      });
    }
    await written;
  }

  /** `statement` is asked when its turn has come. */
  function author(statement: () => AuthorityStatement): Promise<void> {
    const turn = authoring.then(() => write(statement));
    authoring = turn.catch(() => {});
    return turn;
  }

  /** Later entries are none of its business. */
  function proofAgainst(key: KeyText): readonly Uint8Array[] {
    const entries = core.view().entries.toSorted((one, other) => one.lamport - other.lamport);
    const end = entries.findIndex(
      ({ statement }) => statement.kind === 'revoke' && statement.key === key,
    );
    const proof = entries.slice(0, end + 1).map((entry) => entry.bytes);
    const messages: Uint8Array[] = [];
    for (let at = 0; at < proof.length; at += proofEntriesMax) {
      const part = proof.slice(at, at + proofEntriesMax);
      messages.push(encodeTrustMessage({ kind: 'entries', entries: part }));
    }
    return messages;
  }

  async function rotate(): Promise<void> {
    const key = randomBytes(32);
    let number = 0;
    const announced = author(() => {
      number = (core.view().epoch?.number ?? 0) + 1;
      return { kind: 'epoch', number, commitment: epochCommitment(key) };
    });
    // Also when the disk refused the entry: the log in memory has announced the key, and everybody asks for it.
    await announced.finally(() => keys.install([{ epoch: number, key }]));
    await written;
  }

  rotateLater();

  return {
    meshId,
    genesis,
    record,
    author: (statement) => author(() => statement),
    rotate,
    view: () => core.view(),
    isProvisional: () => isProvisional,
    isAdmin: () => core.view().admins.includes(ownKey),
    certificate: () => certificate as Certificate,
    admit(bytes, xPublic) {
      const peer = readCertificate(bytes);
      const judge = { meshId, view: core.view(), isDev: world.isDev };
      const refusal = refusalOf(peer, xPublic, judge);
      if (peer === undefined) return { refusal: refusal ?? 'unreadable' };
      if (refusal === undefined) return { node: peer.node, edPublic: peer.edPublic };
      if (!isRevokedMember(peer, xPublic, judge)) return { refusal };
      return { refusal, proof: proofAgainst(keyTextOf(peer.edPublic)) };
    },
    proofAgainst,
    refusedBy(node, bytes) {
      const message = decodeTrustMessage(bytes);
      if (message?.kind !== 'entries') return world.metrics.drop('trust', 'malformed message');
      driver.feed({ type: 'received', from: node, entries: readEntries(message.entries) });
    },
    keys: () => keys.inUse(),
    rider: () => fromHex(core.view().headsDigest),
    linked(node) {
      send(node, { kind: 'heads', heads: core.view().heads });
    },
    peers: (ids) => news.linked(ids),
    received(from, bytes) {
      const message = decodeTrustMessage(bytes);
      if (message === undefined) return world.metrics.drop('trust', 'malformed message');
      switch (message.kind) {
        case 'heads':
          return driver.feed({ type: 'headsHeard', from, heads: message.heads });
        case 'pull':
          for (const { author: key, fromSeq } of message.wants) {
            driver.feed({ type: 'asked', from, author: key, fromSeq });
          }
          return;
        case 'entries':
          return driver.feed({ type: 'received', from, entries: readEntries(message.entries) });
        case 'keys-wanted': {
          const xPublic = world.xPublicOf(from);
          if (xPublic === undefined) return;
          const sealed = keys.sealedFor(message.epochs, xPublic);
          return sealed.length === 0 ? undefined : send(from, { kind: 'keys', keys: sealed });
        }
        case 'keys':
          return keys.installSealed(message.keys);
        case 'rumour': {
          const entry = readAuthorityEntry(message.entry);
          if (entry === undefined) return world.metrics.drop('trust', 'malformed rumour');
          return news.received(from, entry);
        }
        case 'heard':
          return news.answered(from, message.hash, message.wasNew);
        case 'certificate':
          return takeCertificate(message.certificate);
      }
    },
    riderSeen(from, rider) {
      if (isSameBytes(rider, fromHex(core.view().headsDigest))) return;
      send(from, { kind: 'heads', heads: core.view().heads });
    },
    async found() {
      if (!isProvisional) return;
      isProvisional = false;
      await save();
    },
    certify(subject, roles, certSeq) {
      const { epoch, policy } = core.view();
      const number = epoch?.number ?? 0;
      return issueCertificate(identity.keys, {
        meshId,
        ...subject,
        roles,
        certSeq,
        epoch: number,
        epochMax: number + policy.epochLagMax,
      });
    },
    stop() {
      cancelRotation();
      news.stop();
      driver.stop();
      keys.stop();
    },
  };
}

function readEntries(bytes: readonly Uint8Array[]): AuthorityEntry[] {
  return bytes.map(readAuthorityEntry).filter((entry) => entry !== undefined);
}

/** What a handshake binds to this mesh, so that members of two meshes never complete one. */
export function linkPrologue(meshId: MeshId): Uint8Array {
  return utf8(`mycel/link/1 ${meshId}`);
}
