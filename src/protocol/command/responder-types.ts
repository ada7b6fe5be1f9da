/** What goes into a responder and what comes out of it. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { ToCaller, ToResponder } from './messages.ts';

/** Knobs of a responder. */
export interface ResponderConfig {
  /** The life of this node. */
  readonly boot: number;
  /** How long the reply to a call with a key of its own is kept, in ms. @default 300_000 */
  readonly keepMs?: Millis;
}

/** Facts for a responder. */
export type ResponderInput =
  | { readonly type: 'tick' }
  | { readonly type: 'received'; readonly from: NodeId; readonly message: ToResponder }
  /** The handler answered, or failed: the last of an unary run, and of a stream (whose answer has no body). */
  | {
      readonly type: 'finished';
      readonly run: number;
      readonly isError: boolean;
      readonly body: Uint8Array;
    }
  /** The handler of a stream has an item; the next one may come after `more`. */
  | { readonly type: 'yielded'; readonly run: number; readonly body: Uint8Array }
  | { readonly type: 'peerDown'; readonly peer: NodeId };

/** Orders of a responder. */
export type ResponderEffect =
  | { readonly type: 'send'; readonly to: NodeId; readonly message: ToCaller }
  | {
      readonly type: 'perform';
      readonly run: number;
      readonly from: NodeId;
      readonly method: string;
      readonly key: string;
      readonly deadlineMs: Millis;
      readonly isStream: boolean;
      readonly body: Uint8Array;
    }
  /** Nobody waits for this run any more. */
  | { readonly type: 'abort'; readonly run: number }
  /** There is room for the next item of a stream. */
  | { readonly type: 'more'; readonly run: number };

/** What a responder does and keeps. */
export interface ResponderView {
  readonly runningCount: number;
  readonly keptCount: number;
  readonly keptBytes: number;
  readonly joinedCount: number;
  readonly refusedCount: number;
}
