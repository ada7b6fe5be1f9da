/** What callers and responders of calls say to each other (docs/protocols/command.md). */

import type { Millis } from '../../kernel/core.ts';

/** The names of one call: the life of its caller, and the caller's number for it. */
interface Named {
  readonly callerBoot: number;
  readonly id: number;
}

/** A piece of a body, or of a stream of bodies. */
export interface Piece {
  readonly seq: number;
  readonly bytes: Uint8Array;
  /** The body is whole with this piece. */
  readonly isItemEnd: boolean;
  /** Nothing follows. */
  readonly isEnd: boolean;
  /** The body says why the call failed; only with `isEnd`. */
  readonly isError: boolean;
}

/**
 * How far a flow of pieces came: all below `next` arrived, all below `upTo` may be sent. With `isAsking` it says that
 * something is missing, or that nothing was heard for long: what is on its way is to be sent again.
 */
export interface Credit {
  readonly next: number;
  readonly upTo: number;
}

/** From a caller to a responder. */
export type ToResponder =
  /** Which life do you lead? */
  | { readonly kind: 'who'; readonly callerBoot: number }
  | (Named & {
      readonly kind: 'request';
      /** The life of the responder that this is for: another one does not know what the last one did. */
      readonly boot: number;
      readonly method: string;
      /** Undefined: this call is its own key. */
      readonly key: string | undefined;
      /** What is left of the caller's patience, in ms. */
      readonly deadlineMs: Millis;
      readonly isStream: boolean;
      readonly piece: Piece;
      /** Calls whose answers came: the responder need not keep them. */
      readonly confirmed: readonly number[];
    })
  /** More of a request's body. */
  | (Named & { readonly kind: 'feed'; readonly piece: Piece })
  /** How far the answer came. */
  | (Named & { readonly kind: 'accept'; readonly credit: Credit; readonly isAsking: boolean })
  | (Named & { readonly kind: 'cancel' })
  | {
      readonly kind: 'confirm';
      readonly callerBoot: number;
      readonly confirmed: readonly number[];
    };

/** Why a responder does not carry a request out. */
export type RefusalReason =
  /** The responder leads another life, `boot`. */
  | 'boot'
  /** It was carried out, or begun, and its answer is not kept any more. */
  | 'lost'
  | 'busy'
  | 'too-large';

/** From a responder to a caller. */
export type ToCaller =
  | { readonly kind: 'here'; readonly callerBoot: number; readonly boot: number }
  | (Named & { readonly kind: 'reply'; readonly piece: Piece })
  /** How far the body of the request came. */
  | (Named & { readonly kind: 'grant'; readonly credit: Credit; readonly isAsking: boolean })
  /** Known, whole, and not answered yet. */
  | (Named & { readonly kind: 'working' })
  | (Named & { readonly kind: 'refused'; readonly reason: RefusalReason; readonly boot: number });

/** Everything that is said. */
export type CommandMessage = ToResponder | ToCaller;

const responderKinds = new Set(['who', 'request', 'feed', 'accept', 'cancel', 'confirm']);

/** Whom a message is for. */
export function isToResponder(message: CommandMessage): message is ToResponder {
  return responderKinds.has(message.kind);
}
