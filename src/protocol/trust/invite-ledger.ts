/** The open invites of a node: who may try, how often, for how long. It knows ids, never secrets; a restart voids all. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Core, Millis } from '../../kernel/core.ts';
import type { KeyText } from './messages.ts';

/** Open invites at a time; minting more is refused. */
export const openInvitesMax = 256;

/** Finished invites whose fate is remembered, so that a latecomer is told it; the oldest is forgotten. */
export const finishedInvitesMax = 256;

/** Addresses whose last attempt is remembered; the oldest is forgotten and may try at once. */
export const attemptAddressesMax = 1024;

/** Wrong secrets before an invite is void. */
export const inviteFailuresMax = 5;

/** Shortest time between attempts from one address, in ms. */
export const attemptEveryMs = 1000;

/** Why an attempt is refused; the codes of `MycelError`. */
export type InviteRefusal =
  | 'MYCEL_INVITE_EXPIRED'
  | 'MYCEL_INVITE_USED'
  | 'MYCEL_INVITE_VOID'
  | 'MYCEL_INVITE_UNKNOWN'
  | 'MYCEL_TOO_MANY_ATTEMPTS'
  | 'MYCEL_TOO_MANY_INVITES';

/** A use that is on disk. */
export interface InviteUse {
  readonly inviteId: string;
  readonly key: KeyText;
}

/** Facts for the ledger. */
export type InviteLedgerInput =
  /** Uses that the disk holds from earlier runs; their invites are not open any more. */
  | { readonly type: 'restored'; readonly uses: readonly InviteUse[] }
  | {
      readonly type: 'minted';
      readonly inviteId: string;
      readonly uses: number;
      readonly ttlMs: Millis;
    }
  /** Someone names an invite, not yet proved to know its secret. */
  | { readonly type: 'attempted'; readonly inviteId: string; readonly address: string }
  /** Whoever attempted did not know the secret. */
  | { readonly type: 'failed'; readonly inviteId: string }
  /** A newcomer proved to know the secret. */
  | { readonly type: 'proved'; readonly inviteId: string; readonly key: KeyText }
  | { readonly type: 'withdrawn'; readonly inviteId: string }
  | { readonly type: 'tick' };

/** Orders of the ledger. */
export type InviteLedgerEffect =
  /** Go on with the handshake. */
  | { readonly type: 'admit'; readonly inviteId: string }
  | { readonly type: 'refuse'; readonly inviteId: string; readonly code: InviteRefusal }
  /** A barrier: the grant after it waits until the use is on disk. */
  | { readonly type: 'persist'; readonly uses: readonly InviteUse[] }
  | { readonly type: 'grant'; readonly inviteId: string; readonly key: KeyText }
  /** Forget the secret: the invite is expired, void or withdrawn. A used-up one is kept till then, see `proved`. */
  | { readonly type: 'forget'; readonly inviteId: string; readonly reason: InviteRefusal };

/** Open until its time is over, also when no use is left: whoever used it may fetch a lost grant again. */
interface OpenInvite {
  usesLeft: number;
  failures: number;
  readonly expiresAt: Millis;
}

/** A picture of the ledger. */
export interface InviteLedgerView {
  readonly open: readonly {
    readonly inviteId: string;
    readonly usesLeft: number;
    readonly expiresAt: Millis;
  }[];
  readonly uses: readonly InviteUse[];
}

/** Builds an empty ledger. */
export function createInviteLedger(): Core<
  InviteLedgerInput,
  InviteLedgerEffect,
  InviteLedgerView
> {
  const open = new Map<string, OpenInvite>();
  const finished = new BoundedMap<string, InviteRefusal>(finishedInvitesMax);
  const uses = new BoundedMap<string, InviteUse>(finishedInvitesMax);
  const attempts = new BoundedMap<string, Millis>(attemptAddressesMax);

  const useName = ({ inviteId, key }: InviteUse): string => `${inviteId} ${key}`;

  function finish(inviteId: string, reason: InviteRefusal): InviteLedgerEffect {
    open.delete(inviteId);
    finished.set(inviteId, reason);
    return { type: 'forget', inviteId, reason };
  }

  function refuse(inviteId: string, code?: InviteRefusal): InviteLedgerEffect[] {
    const reason = code ?? finished.get(inviteId) ?? 'MYCEL_INVITE_UNKNOWN';
    return [{ type: 'refuse', inviteId, code: reason }];
  }

  function minted(
    now: Millis,
    inviteId: string,
    count: number,
    ttlMs: Millis,
  ): InviteLedgerEffect[] {
    // Negated, so that a NaN is refused too.
    if (!(ttlMs > 0) || !(count >= 1)) return [finish(inviteId, 'MYCEL_INVITE_EXPIRED')];
    const effects: InviteLedgerEffect[] = [];
    if (open.size >= openInvitesMax) {
      const spent = [...open].find(([, { usesLeft }]) => usesLeft === 0)?.[0];
      if (spent === undefined) return refuse(inviteId, 'MYCEL_TOO_MANY_INVITES');
      effects.push(finish(spent, 'MYCEL_INVITE_USED'));
    }
    open.set(inviteId, { usesLeft: Math.floor(count), failures: 0, expiresAt: now + ttlMs });
    return effects;
  }

  function attempted(now: Millis, inviteId: string, address: string): InviteLedgerEffect[] {
    const last = attempts.get(address);
    if (last !== undefined && now - last < attemptEveryMs) {
      return refuse(inviteId, 'MYCEL_TOO_MANY_ATTEMPTS');
    }
    attempts.set(address, now);
    return open.has(inviteId) ? [{ type: 'admit', inviteId }] : refuse(inviteId);
  }

  function failed(inviteId: string): InviteLedgerEffect[] {
    const invite = open.get(inviteId);
    if (invite === undefined) return [];
    invite.failures += 1;
    return invite.failures < inviteFailuresMax ? [] : [finish(inviteId, 'MYCEL_INVITE_VOID')];
  }

  function proved(use: InviteUse): InviteLedgerEffect[] {
    const { inviteId, key } = use;
    const grant = { type: 'grant', inviteId, key } as const;
    const invite = open.get(inviteId);
    if (invite === undefined) return refuse(inviteId);
    // The grant got lost on its way: the same device may fetch it again, and it counts once.
    if (uses.has(useName(use))) return [grant];
    if (invite.usesLeft === 0) return refuse(inviteId, 'MYCEL_INVITE_USED');
    invite.usesLeft -= 1;
    uses.set(useName(use), { inviteId, key });
    return [{ type: 'persist', uses: [...uses.values()] }, grant];
  }

  function answer(now: Millis, input: InviteLedgerInput): InviteLedgerEffect[] {
    switch (input.type) {
      case 'restored':
        for (const use of input.uses.slice(-finishedInvitesMax)) {
          uses.set(useName(use), use);
          finished.set(use.inviteId, 'MYCEL_INVITE_USED');
        }
        return [];
      case 'minted':
        return minted(now, input.inviteId, input.uses, input.ttlMs);
      case 'attempted':
        return attempted(now, input.inviteId, input.address);
      case 'failed':
        return failed(input.inviteId);
      case 'proved':
        return proved({ inviteId: input.inviteId, key: input.key });
      case 'withdrawn':
        return open.has(input.inviteId) ? [finish(input.inviteId, 'MYCEL_INVITE_VOID')] : [];
      case 'tick':
        return [];
    }
  }

  return {
    step(now, input) {
      const expired = [...open].filter(([, { expiresAt }]) => expiresAt <= now);
      const effects = expired.map(([inviteId, { usesLeft }]) =>
        finish(inviteId, usesLeft === 0 ? 'MYCEL_INVITE_USED' : 'MYCEL_INVITE_EXPIRED'),
      );
      return [...effects, ...answer(now, input)];
    },
    deadline: () => Math.min(Infinity, ...[...open.values()].map(({ expiresAt }) => expiresAt)),
    view: () => ({
      open: [...open]
        .filter(([, { usesLeft }]) => usesLeft > 0)
        .map(([inviteId, { usesLeft, expiresAt }]) => ({
          inviteId,
          usesLeft,
          expiresAt,
        })),
      uses: [...uses.values()],
    }),
  };
}
