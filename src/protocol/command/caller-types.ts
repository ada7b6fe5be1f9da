/** What goes into a caller and what comes out of it. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { ToCaller, ToResponder } from './messages.ts';

/** Knobs of a caller. */
export interface CallerConfig {
  /** The life of this node. */
  readonly boot: number;
}

/** Why a call failed without an answer. */
export type CallFailure = 'deadline' | 'unreachable' | 'lost' | 'busy' | 'too-large';

/** Facts for a caller. `call` is the wiring's number for a call, never used twice. */
export type CallerInput =
  | { readonly type: 'tick' }
  | {
      readonly type: 'called';
      readonly call: number;
      readonly to: NodeId;
      readonly method: string;
      readonly key: string | undefined;
      readonly deadlineMs: Millis;
      readonly isStream: boolean;
      readonly body: Uint8Array;
    }
  | { readonly type: 'received'; readonly from: NodeId; readonly message: ToCaller }
  /** The reader of a stream took an item. */
  | { readonly type: 'read'; readonly call: number }
  | { readonly type: 'cancelled'; readonly call: number }
  | { readonly type: 'peerDown'; readonly peer: NodeId }
  /** A way to the peer opened: what waits for it need not wait longer. */
  | { readonly type: 'peerLinked'; readonly peer: NodeId };

/** Orders of a caller. `answer` of an unary call and `end` or `fail` are the last of a call. */
export type CallerEffect =
  | { readonly type: 'send'; readonly to: NodeId; readonly message: ToResponder }
  | { readonly type: 'answer'; readonly call: number; readonly body: Uint8Array }
  | { readonly type: 'item'; readonly call: number; readonly body: Uint8Array }
  | { readonly type: 'end'; readonly call: number }
  /** The handler failed; the body says how. */
  | { readonly type: 'error'; readonly call: number; readonly body: Uint8Array }
  | { readonly type: 'fail'; readonly call: number; readonly reason: CallFailure };

/** What a caller waits for. */
export interface CallerView {
  readonly openCount: number;
  readonly peerCount: number;
  readonly resentCount: number;
}
