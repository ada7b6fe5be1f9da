/** What becomes of the messages of this node, noted from wherever it shows. */

import type { Hlc } from '../../kernel/hlc.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Millis } from '../../kernel/core.ts';
import type { RouterTrace } from '../../protocol/routing/router-trace.ts';
import { createTrace } from '../../protocol/routing/trace.ts';
import type { DropCause, Fate, Note, Trace } from '../../protocol/routing/trace.ts';
import {
  envelopeCount,
  envelopeOrigin,
  envelopeTopic,
  envelopeWallMs,
} from '../../wire/envelope.ts';

/** The time stamp of what was refused before it had one. */
const unstamped: Hlc = { wallMs: 0, count: 0 };

/** The book of one life. */
export interface MessageTrace extends RouterTrace {
  readonly ring: Trace;
  /** Of a message of this node. `hlc` undefined: it was refused before it was stamped. */
  own(
    fate: Fate,
    topic: string,
    hlc: Hlc | undefined,
    cause: DropCause | undefined,
    detail: string,
  ): void;
}

/** Builds an empty book. */
export function createMessageTrace(self: NodeId, clock: { wallMs(): Millis }): MessageTrace {
  const ring = createTrace();
  // One for all steps: noting is on the way of every message.
  const scratch: { -readonly [Field in keyof Note]: Note[Field] } = {
    at: 0,
    fate: 'sent',
    origin: self,
    wallMs: 0,
    count: 0,
    topic: '',
    peer: undefined,
    cause: undefined,
    detail: '',
  };

  function put(
    fate: Fate,
    peer: NodeId | undefined,
    cause: DropCause | undefined,
    detail: string,
  ): void {
    scratch.at = clock.wallMs();
    scratch.fate = fate;
    scratch.peer = peer;
    scratch.cause = cause;
    scratch.detail = detail;
    ring.note(scratch);
  }

  function about(origin: NodeId, { wallMs, count }: Hlc, topic: string): void {
    scratch.origin = origin;
    scratch.wallMs = wallMs;
    scratch.count = count;
    scratch.topic = topic;
  }

  return {
    ring,
    own(fate, topic, hlc, cause, detail) {
      about(self, hlc ?? unstamped, topic);
      put(fate, undefined, cause, detail);
    },
    step(fate, { origin, hlc, topic }, peer, cause, detail) {
      about(origin, hlc, topic);
      put(fate, peer, cause, detail);
    },
    raw(fate, raw, peer, cause, detail) {
      scratch.origin = envelopeOrigin(raw);
      scratch.wallMs = envelopeWallMs(raw);
      scratch.count = envelopeCount(raw);
      // The topic of what goes on is known from the step before; looking it up costs more than the rest.
      scratch.topic = fate === 'dropped' ? envelopeTopic(raw) : '';
      put(fate, peer, cause, detail);
    },
  };
}
