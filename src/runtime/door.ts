/** The door for newcomers: invites and the join window of an admin node. Everybody else keeps it shut. */

import type { Address } from '../kernel/address.ts';
import { MycelError } from '../kernel/errors.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import { createInviteLedger } from '../protocol/trust/invite-ledger.ts';
import type { InviteLedgerInput, InviteUse } from '../protocol/trust/invite-ledger.ts';
import { createJoinWindow } from '../protocol/trust/join-window.ts';
import type { JoinWindowInput } from '../protocol/trust/join-window.ts';
import { keyTextOf } from '../wire/authority-entry.ts';
import type { Role } from '../wire/certificate.ts';
import type { Conversation } from '../wire/conversation.ts';
import { inviteHostsMax, mintInvite } from '../wire/invite.ts';
import { createInviter } from '../wire/join.ts';
import type { JoinGrant, Newcomer } from '../wire/join-messages.ts';
import { createOpenHost } from '../wire/open-join.ts';
import { invitable } from './reach.ts';
import type { Identity } from './identity.ts';
import type { Invite, InviteOptions, PendingMember } from './mesh-node.ts';
import type { Trust } from './trust.ts';

/** An invite's lifetime when nobody says otherwise, in ms. */
const inviteTtlMs = 900_000;

/** Uses one invite may have. */
const inviteUsesMax = 1000;

/** What the node around it provides. */
export interface DoorWorld {
  readonly identity: Identity;
  readonly trust: Trust;
  readonly clock: Clock;
  readonly log: Log;
  saveUses(uses: readonly InviteUse[]): Promise<void>;
  /** Addresses of members that a newcomer may dial. */
  peers(): readonly Address[];
  /** Hands an approved newcomer its full certificate, if it is linked. */
  approved(node: NodeId): void;
  pending(newcomer: PendingMember): void;
  windowChanged(): void;
}

/** The door of one node in one mesh. */
export interface Door {
  invite(options: InviteOptions, hosts: readonly Address[]): Invite;
  /** Applies what the log says: the window is open for so long from now on. */
  window(openForMs: number): void;
  /** ms of uptime left of an open window; 0 when closed. */
  windowMs(): number;
  pending(): readonly PendingMember[];
  approve(node: NodeId): Promise<void>;
  /** The conversation to have with someone who knocks, or undefined to hang up. */
  knocked(kind: 'invite' | 'open', remote: Address): Conversation<unknown> | undefined;
  stop(): void;
}

/** Builds the door; `uses` are the invites used in earlier runs. */
export function createDoor(world: DoorWorld, uses: readonly InviteUse[]): Door {
  const { identity, trust, clock, log } = world;
  const ledger = createInviteLedger();
  const gate = createJoinWindow();
  const secrets = new Map<string, { psk: Uint8Array; role: 'node' | 'admin' }>();
  let cancelAlarm = (): void => {};

  function rearm(): void {
    cancelAlarm();
    const at = Math.min(ledger.deadline(), gate.deadline());
    if (at === Infinity) return;
    cancelAlarm = clock.alarm(at, () => {
      askLedger({ type: 'tick' });
      askGate({ type: 'tick' });
    });
  }

  /** One fact for the ledger; answers what it says of the invite in question. */
  function askLedger(input: InviteLedgerInput): {
    readonly refusal: ErrorCode | undefined;
    readonly isGranted: boolean;
    readonly persist: readonly InviteUse[] | undefined;
  } {
    let refusal: ErrorCode | undefined;
    let isGranted = false;
    let persist: readonly InviteUse[] | undefined;
    for (const effect of ledger.step(clock.now(), input)) {
      if (effect.type === 'forget') secrets.delete(effect.inviteId);
      else if (effect.type === 'refuse') refusal = effect.code;
      else if (effect.type === 'persist') persist = effect.uses;
      else if (effect.type === 'grant') isGranted = true;
    }
    rearm();
    return { refusal, isGranted, persist };
  }

  function askGate(input: JoinWindowInput): {
    readonly isIn: boolean;
    readonly approve: readonly NodeId[];
  } {
    let isIn = false;
    const approve: NodeId[] = [];
    for (const effect of gate.step(clock.now(), input)) {
      if (effect.type === 'admit') isIn = true;
      else if (effect.type === 'approve') approve.push(effect.node);
      else if (effect.type === 'announce') world.windowChanged();
      else if (effect.type === 'unknown') throw new MycelError('MYCEL_UNKNOWN_MEMBER');
    }
    rearm();
    return { isIn, approve };
  }

  function checkNotRevoked(newcomer: Newcomer): void {
    if (trust.view().revoked.has(keyTextOf(newcomer.edPublic))) {
      throw new MycelError('MYCEL_REVOKED');
    }
  }

  function grantTo(newcomer: Newcomer, roles: readonly Role[]): JoinGrant {
    const { current, others } = trust.keys();
    const { edPublic, xPublic, name } = newcomer;
    const { genesis, entries } = trust.record();
    return {
      genesis,
      logEntries: entries,
      certificate: trust.certify({ edPublic, xPublic, name }, roles, 1),
      epochKeys: [current, ...others],
      peers: world.peers(),
    };
  }

  /** Used first, granted after: a power cut in between costs the newcomer a new invite, never a second device. */
  async function grantInvited(inviteId: string, newcomer: Newcomer): Promise<JoinGrant> {
    checkNotRevoked(newcomer);
    const role = secrets.get(inviteId)?.role ?? 'node';
    const key = keyTextOf(newcomer.edPublic);
    const answer = askLedger({ type: 'proved', inviteId, key });
    if (answer.persist !== undefined) await world.saveUses(answer.persist);
    if (!answer.isGranted) throw new MycelError(answer.refusal ?? 'MYCEL_INVITE_UNKNOWN');
    if (role === 'admin') await trust.author({ kind: 'add-admin', node: newcomer.node, key });
    log.info({ node: newcomer.node, name: newcomer.name, role }, 'a newcomer joined by invite');
    return grantTo(newcomer, role === 'admin' ? ['node', 'admin'] : ['node']);
  }

  async function grantOpen(newcomer: Newcomer & { readonly code: string }): Promise<JoinGrant> {
    checkNotRevoked(newcomer);
    const { node, name, code } = newcomer;
    const key = keyTextOf(newcomer.edPublic);
    const { isIn, approve } = askGate({ type: 'knocked', node, key, name, code });
    if (!isIn) throw new MycelError('MYCEL_WINDOW_CLOSED');
    if (approve.length > 0) {
      await trust.author({ kind: 'approve', node, key });
      return grantTo(newcomer, ['node']);
    }
    world.pending({ id: node, name, code });
    return grantTo(newcomer, ['probation']);
  }

  askLedger({ type: 'restored', uses });
  askGate({ type: 'policyChanged', autoApprove: trust.view().policy.autoApprove });

  return {
    invite(options, hosts) {
      const uses_ = options.uses ?? 1;
      const ttlMs = options.ttlMs ?? inviteTtlMs;
      if (!(uses_ >= 1 && uses_ <= inviteUsesMax) || !Number.isInteger(uses_)) {
        throw new MycelError('MYCEL_BAD_OPTION', {
          reason: `'uses' must be a whole number from 1 to ${inviteUsesMax}.`,
        });
      }
      const minted = mintInvite({
        meshId: trust.meshId,
        inviterXPublic: identity.keys.xPublic,
        hosts: invitable(hosts, inviteHostsMax),
      });
      const { inviteId, psk } = minted;
      const { refusal } = askLedger({ type: 'minted', inviteId, uses: uses_, ttlMs });
      if (refusal !== undefined) throw new MycelError(refusal);
      secrets.set(inviteId, { psk, role: options.role ?? 'node' });
      return { invite: minted.text, expiresInMs: ttlMs, uses: uses_ };
    },
    window(openForMs) {
      askGate({ type: 'opened', forMs: openForMs });
      world.windowChanged();
    },
    windowMs: () => Math.max(0, (gate.view().closesAt ?? 0) - clock.now()),
    pending: () => gate.view().pending.map(({ node, name, code }) => ({ id: node, name, code })),
    async approve(node) {
      const newcomer = gate.view().pending.find((one) => one.node === node);
      if (newcomer === undefined) throw new MycelError('MYCEL_UNKNOWN_MEMBER');
      askGate({ type: 'confirmed', node });
      await trust.author({ kind: 'approve', node, key: newcomer.key });
      world.approved(node);
    },
    knocked(kind, remote) {
      if (!trust.isAdmin() || trust.isProvisional()) return undefined;
      const { keys } = identity;
      if (kind === 'open') {
        if (gate.view().closesAt === undefined) return undefined;
        return createOpenHost({ keys, grant: grantOpen });
      }
      return createInviter({
        keys,
        meshId: trust.meshId,
        remoteAddress: remote.host,
        findSecret(inviteId, address) {
          const { refusal } = askLedger({ type: 'attempted', inviteId, address });
          return refusal === undefined ? secrets.get(inviteId)?.psk : new MycelError(refusal);
        },
        wrongSecret: (inviteId) => void askLedger({ type: 'failed', inviteId }),
        grant: (request) => grantInvited(request.inviteId, request),
      });
    },
    stop: () => cancelAlarm(),
  };
}
