/** The common shape of overlays: which peers a node keeps a link with. Full mesh is one, others fill the same shape. */

import type { Address } from '../../kernel/address.ts';
import type { Core } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { OverlayMessage } from './messages.ts';

/** Names of the overlays. */
export const overlayNames = ['full-mesh', 'hyparview', 'client-server', 'pub-sub'] as const;

/** One of them. */
export type OverlayName = (typeof overlayNames)[number];

/** What a member is fit for, by its labels: `hub`, to relay for others; `leaf`, to be left alone (it runs on a battery). */
export type OverlayRole = 'hub' | 'leaf' | 'any';

/** One connection, numbered by the runtime; never reused while the node runs. */
export type SessionId = number;

/** Why a member is none any more. `dead` may come back, the others do not. */
export type OverlayGoneReason = 'dead' | 'left' | 'evicted';

/** What an overlay is told. */
export type OverlayInput =
  /** Discovery, or a peer, knows addresses of a node of this mesh. Without `node`: a bare seed, whoever answers there. */
  | {
      readonly type: 'sighted';
      readonly node: NodeId | undefined;
      readonly addresses: readonly Address[];
    }
  | {
      readonly type: 'memberUp';
      readonly node: NodeId;
      readonly addresses: readonly Address[];
      /** @default 'any' */
      readonly role?: OverlayRole;
    }
  | { readonly type: 'memberGone'; readonly node: NodeId; readonly reason: OverlayGoneReason }
  /** The member sleeps on purpose and answers nobody until it is up again. */
  | { readonly type: 'memberSlept'; readonly node: NodeId }
  /** A connection is authenticated and the peer's hello was read. */
  | {
      readonly type: 'linkOpened';
      readonly node: NodeId;
      /** Boot counter in the peer's hello: a later life of a peer beats a connection left over from an earlier one. */
      readonly boot: number;
      /** Whether this node dialled. */
      readonly isDialler: boolean;
      readonly session: SessionId;
      /** The key of the seed that was dialled, when it was a bare one. */
      readonly seed: string | undefined;
      /** What the peer runs: a full mesh takes every session for a link, the others bargain first. */
      readonly overlay: OverlayName;
      /** Whom the peer was linked with when it said hello. */
      readonly neighbours: readonly NodeId[];
    }
  | {
      readonly type: 'linkClosed';
      readonly node: NodeId;
      readonly session: SessionId;
      readonly reason: string;
    }
  /** A dial came to nothing. `answeredBySelf`: the address is this node's own, it is not dialled again. */
  | {
      readonly type: 'dialFailed';
      readonly target: DialTarget;
      readonly answeredBySelf: boolean;
    }
  | {
      readonly type: 'neighboursHeard';
      readonly node: NodeId;
      readonly neighbours: readonly NodeId[];
    }
  /** The peer has answered nothing for longer than a heartbeat, or does so again. */
  | {
      readonly type: 'linkQuiet';
      readonly node: NodeId;
      readonly session: SessionId;
      readonly isQuiet: boolean;
    }
  /** The overlay at the other end of a session says something. */
  | {
      readonly type: 'received';
      readonly node: NodeId;
      readonly session: SessionId;
      readonly message: OverlayMessage;
    }
  /** Where this node can be reached. */
  | { readonly type: 'selfMoved'; readonly addresses: readonly Address[] }
  /** This node has something to say to that member alone: it needs a link with it, for once. */
  | { readonly type: 'wanted'; readonly node: NodeId }
  /** Links do not lead to this member, though it is alive: the overlay is in pieces. */
  | { readonly type: 'torn'; readonly towards: NodeId }
  | { readonly type: 'tick' };

/** Whom a dial is for. */
export type DialTarget =
  | { readonly kind: 'node'; readonly node: NodeId }
  | { readonly kind: 'seed'; readonly seed: string };

/** What an overlay orders. */
export type OverlayEffect =
  | {
      readonly type: 'dial';
      readonly target: DialTarget;
      readonly addresses: readonly Address[];
      /** From 1, counted since the last link that lasted. */
      readonly attempt: number;
    }
  | { readonly type: 'hangUp'; readonly session: SessionId; readonly reason: string }
  /** Says something to the overlay at the other end of a session. */
  | { readonly type: 'send'; readonly session: SessionId; readonly message: OverlayMessage }
  /** Once per peer until it is down again. Frames go to this session. */
  | {
      readonly type: 'announce';
      readonly what: 'neighbourUp';
      readonly node: NodeId;
      readonly session: SessionId;
    }
  /** Frames go to this session from now on; the old one is still read for a moment. */
  | {
      readonly type: 'announce';
      readonly what: 'neighbourMoved';
      readonly node: NodeId;
      readonly session: SessionId;
    }
  | {
      readonly type: 'announce';
      readonly what: 'neighbourDown';
      readonly node: NodeId;
      readonly reason: string;
    }
  | {
      readonly type: 'note';
      readonly code: OverlayNote;
      readonly node: NodeId | undefined;
    };

/** What is counted. */
export type OverlayNote =
  | 'overlay.doubleDial'
  | 'overlay.candidatesFull'
  | 'overlay.dialLost'
  | 'overlay.refused'
  | 'overlay.wasRefused'
  | 'overlay.dropped'
  | 'overlay.rejoin'
  | 'overlay.torn'
  | 'overlay.rolledBack';

/** What people and metrics see of an overlay. */
export interface OverlayView {
  readonly neighbours: readonly { readonly node: NodeId; readonly session: SessionId }[];
  readonly candidates: readonly {
    readonly node: NodeId;
    readonly phase: 'waiting' | 'dialling' | 'linked';
    readonly attempts: number;
    readonly isMember: boolean;
  }[];
  /** Members known by address and left without a link on purpose; none in a full mesh. */
  readonly passive: readonly NodeId[];
  readonly seeds: readonly { readonly seed: string; readonly isAnswered: boolean }[];
}

/** An overlay. */
export type Overlay = Core<OverlayInput, OverlayEffect, OverlayView>;

/** The key of a bare seed: its addresses. */
export function seedKey(addresses: readonly Address[]): string {
  return addresses.map(({ host, port }) => `${host} ${port}`).join(',');
}
