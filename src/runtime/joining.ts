/** How a provisional node gets into a mesh: by an invite until it succeeds or is refused, or by an open window it sees. */

import { isSameAddress } from '../kernel/address.ts';
import type { Address } from '../kernel/address.ts';
import type { MeshId } from '../kernel/ids.ts';
import { MycelError } from '../kernel/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Sighting } from '../ports/discovery.ts';
import type { Log } from '../ports/log.ts';
import { meshTagOf } from '../wire/authority-entry.ts';
import type { Conversation } from '../wire/conversation.ts';
import { parseInvite } from '../wire/invite.ts';
import type { ParsedInvite } from '../wire/invite.ts';
import { createInvitedJoiner } from '../wire/join.ts';
import type { Joined } from '../wire/join-messages.ts';
import { createOpenJoiner } from '../wire/open-join.ts';
import type { MeshRecord } from '../wire/mesh-record.ts';
import type { Ground } from './adapters.ts';
import type { Identity } from './identity.ts';

/** Pauses between attempts with an invite, in ms: the first, doubling to the last. */
const retryMsMin = 500;
const retryMsMax = 15_000;

/** Pause between attempts at open windows, in ms: whoever answers may be a stranger. */
const windowRetryMs = 5_000;

/** How long one attempt may take, in ms: a handshake, a grant, and the disk write in between. */
const attemptMsMax = 5_000;

/** How long `join` keeps trying before it reports that nobody answers, in ms. */
const joinMsMax = 30_000;

/** Boards tried with one invite, besides the addresses it names. */
const placesMax = 16;

/** Refusals that another attempt will not change. */
const finalCodes = new Set([
  'MYCEL_INVITE_EXPIRED',
  'MYCEL_INVITE_USED',
  'MYCEL_INVITE_VOID',
  'MYCEL_INVITE_UNKNOWN',
  'MYCEL_INVITE_FOREIGN',
  'MYCEL_INVITE_MALFORMED',
  'MYCEL_REVOKED',
]);

/** What the node around it provides. */
export interface JoiningWorld {
  readonly identity: Identity;
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly ground: Ground;
  isProvisional(): boolean;
  /** The invite at hand is one to this mesh. */
  invitedTo(mesh: MeshId): void;
  /** This invite will never let the node in, or its text is none. */
  refused(failure: MycelError): void;
  /** Gives up the provisional mesh for this one, some of whose members are at these addresses. */
  adopt(
    record: MeshRecord,
    probationCode: string | undefined,
    peers: readonly Address[],
  ): Promise<void>;
}

/** The joining side of a node. */
export interface Joining {
  /** Joins by invite, in the background, for as long as it takes. A text that is no invite is reported by `trouble`. */
  invited(text: string, recent: readonly Sighting[]): void;
  /** Joins by invite now. @throws {MycelError} what refused, or MYCEL_UNREACHABLE after 30 s */
  join(text: string, recent: readonly Sighting[]): Promise<void>;
  /** Discovery saw a node: perhaps the inviter, perhaps an open window. */
  seen(sighting: Sighting): void;
  /** The network changed: whoever waits to try again need not. */
  hurry(): void;
  /** Why this node is still alone although it was invited; undefined when all is well. */
  trouble(): MycelError | undefined;
  cancel(): void;
}

function has(places: readonly Address[], address: Address): boolean {
  return places.some((one) => isSameAddress(one, address));
}

/** Builds the joining side. */
export function createJoining(world: JoiningWorld): Joining {
  const { identity, clock, log } = world;
  const { keys } = identity;
  let invite: ParsedInvite | undefined;
  /** Each is one board's addresses; they race each other, the boards are asked in turn. */
  let places: (readonly Address[])[] = [];
  let trouble: MycelError | undefined;
  let attempt: AbortController | undefined;
  let isAsking = false;
  let waitMs = retryMsMin;
  let windowTriedAt = -Infinity;
  let cancelRetry = (): void => {};
  let settle: { resolve(): void; reject(error: unknown): void } | undefined;

  /** The newest is asked first, after the addresses that the invite itself names. */
  function place(addresses: readonly Address[]): boolean {
    const isKnown = places.some((known) => addresses.every((one) => has(known, one)));
    if (isKnown) return false;
    const [named = [], ...others] = places;
    places = [named, addresses, ...others].slice(0, placesMax + 1);
    return true;
  }

  function isInviters(sighting: Sighting): boolean {
    if (invite === undefined) return false;
    return sighting.node === undefined || sighting.meshTag === meshTagOf(invite.meshId);
  }

  function begin(text: string, recent: readonly Sighting[]): void {
    invite = parseInvite(text);
    trouble = undefined;
    waitMs = retryMsMin;
    places = [invite.hosts];
    world.invitedTo(invite.meshId);
    for (const sighting of recent) if (isInviters(sighting)) place(sighting.addresses);
    tryInvite();
  }

  function retryLater(): void {
    cancelRetry();
    cancelRetry = clock.alarm(clock.now() + waitMs, tryInvite);
    waitMs = Math.min(retryMsMax, waitMs * 2);
  }

  function tryInvite(): void {
    const current = invite;
    if (current === undefined || isAsking || !world.isProvisional()) return;
    isAsking = true;
    ask(current)
      .then((joined) => (joined === undefined ? retryLater() : adopt(joined, undefined)), fail)
      .finally(() => (isAsking = false));
  }

  /** Only the board that wrote the invite can answer it: the others hang up or know nothing of it, and the next is asked. */
  async function ask(current: ParsedInvite): Promise<Joined | undefined> {
    let hint: MycelError | undefined;
    for (const [at, addresses] of places.entries()) {
      if (addresses.length === 0) continue;
      if (invite !== current || !world.isProvisional()) return undefined;
      try {
        return await knock('invite', addresses, () =>
          createInvitedJoiner({ keys, invite: current, name: world.name }),
        );
      } catch (error) {
        const failure = MycelError.is(error) ? error : new MycelError('MYCEL_UNREACHABLE');
        // What the inviter itself said outweighs the silence of others.
        if (trouble === undefined || failure.code !== 'MYCEL_UNREACHABLE') trouble = failure;
        log.info({ code: failure.code, reason: failure.message }, 'an attempt to join failed');
        if (!finalCodes.has(failure.code)) continue;
        // Anybody on the LAN can say no in the clear. Only at the address in the invite is that taken for the inviter.
        if (at > 0 && failure.details['isProved'] !== true) {
          hint ??= failure;
          continue;
        }
        world.refused(failure);
        throw failure;
      }
    }
    // A person who waits is told what was heard; in the background the search for the inviter goes on.
    if (hint !== undefined && settle !== undefined) throw hint;
    return undefined;
  }

  async function knock<Result>(
    kind: 'invite' | 'open',
    addresses: readonly Address[],
    start: () => Conversation<Result>,
  ): Promise<Result> {
    const own = new AbortController();
    attempt = own;
    const limit = AbortSignal.any([own.signal, AbortSignal.timeout(attemptMsMax)]);
    try {
      return (await world.ground.knock(kind, addresses, start, limit)).result;
    } finally {
      if (attempt === own) attempt = undefined;
    }
  }

  async function adopt(joined: Joined, code: string | undefined): Promise<void> {
    const { meshName, genesis, logEntries, certificate, epochKeys } = joined;
    const record: MeshRecord = {
      name: meshName,
      isProvisional: false,
      genesis,
      entries: logEntries,
      certificate,
      keys: epochKeys,
    };
    try {
      await world.adopt(record, code, joined.peers);
    } catch (error) {
      log.error({ error }, 'the mesh that was joined could not be entered');
      return fail(error);
    }
    log.info({ mesh: meshName }, 'joined');
    invite = undefined;
    settle?.resolve();
    settle = undefined;
  }

  function fail(error: unknown): void {
    invite = undefined;
    cancelRetry();
    settle?.reject(error);
    settle = undefined;
  }

  function tryWindow(addresses: readonly Address[]): void {
    const now = clock.now();
    if (attempt !== undefined || now - windowTriedAt < windowRetryMs) return;
    windowTriedAt = now;
    const start = () => createOpenJoiner({ keys, name: world.name });
    knock('open', addresses, start).then(
      (joined) => adopt(joined, joined.code),
      (error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        log.info({ reason }, 'an open join window did not let this node in');
      },
    );
  }

  return {
    invited(text, recent) {
      try {
        begin(text, recent);
      } catch (error) {
        if (!MycelError.is(error)) throw error;
        trouble = error;
        world.refused(error);
      }
    },
    join(text, recent) {
      return new Promise((resolve, reject) => {
        settle?.reject(new MycelError('MYCEL_UNREACHABLE', { reason: 'Another join began.' }));
        const cancel = clock.alarm(clock.now() + joinMsMax, () => {
          fail(trouble ?? new MycelError('MYCEL_UNREACHABLE'));
        });
        settle = {
          resolve() {
            cancel();
            resolve();
          },
          reject(error) {
            cancel();
            reject(error as Error);
          },
        };
        try {
          begin(text, recent);
        } catch (error) {
          fail(error);
        }
      });
    },
    seen(sighting) {
      if (!world.isProvisional()) return;
      if (invite !== undefined) {
        if (isInviters(sighting) && place(sighting.addresses)) {
          cancelRetry();
          tryInvite();
        }
        return;
      }
      // An invite that failed for good still says which mesh its owner meant: no window is taken instead.
      if (sighting.state === 'open' && trouble === undefined) tryWindow(sighting.addresses);
    },
    hurry() {
      if (invite === undefined) return;
      cancelRetry();
      waitMs = retryMsMin;
      tryInvite();
    },
    trouble: () => trouble,
    cancel() {
      invite = undefined;
      cancelRetry();
      attempt?.abort();
    },
  };
}
