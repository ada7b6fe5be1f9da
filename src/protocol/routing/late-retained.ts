/**
 * Retained values that came by synchronisation, not as messages: every later subscriber may see them at once, but the
 * subscribers that are there already get each of them exactly once, and in its place among its origin's events.
 *
 * While the event itself may still come, the value is only stored, and owed: it is shown with the event, or when the
 * event cannot come any more.
 */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Millis } from '../../kernel/core.ts';
import { compareHlc } from '../../kernel/hlc.ts';
import type { Envelope } from './messages.ts';
import type { RetainedEntry, RetainedMap } from './retained-map.ts';

/** Values that wait for their event; the oldest is forgotten beyond it: present subscribers miss it, later ones do not. */
const owedMax = 2048;

/** What it needs and does; called synchronously. */
export interface LateRetainedWorld {
  readonly retained: RetainedMap;
  /** How long a value waits for its event, in ms: as long as its origin may resend. */
  readonly patienceMs: Millis;
  /** Whether the event that wrote this value may still come. */
  isAwaited(entry: RetainedEntry): boolean;
  /** Stores it for later subscribers alone. */
  keep(entry: RetainedEntry): void;
  /** Stores it and delivers it to the present subscribers. */
  show(entry: RetainedEntry): void;
}

/** The keeper of late values. */
export interface LateRetained {
  received(now: Millis, entries: readonly RetainedEntry[]): void;
  /** A retained message is due for delivery. False: its value was shown already, it must not be delivered again. */
  admits(envelope: Envelope): boolean;
  /** Streams have moved or ended: shows what need not wait any longer. */
  review(now: Millis): void;
  deadline(): Millis;
}

interface Owed {
  readonly entry: RetainedEntry;
  readonly until: Millis;
}

/** Builds the keeper of late values. */
export function createLateRetained(world: LateRetainedWorld): LateRetained {
  const { retained } = world;
  const owed = new BoundedMap<string, Owed>(owedMax);
  const shown = new WeakSet<RetainedEntry>();

  function show(entry: RetainedEntry): void {
    shown.add(entry);
    world.show(entry);
  }

  function take(now: Millis, given: RetainedEntry): void {
    const before = retained.get(given.topic);
    const [entry] = retained.merge([given]);
    if (entry === undefined) return;
    owed.delete(entry.topic);
    if (world.isAwaited(entry)) {
      owed.set(entry.topic, { entry, until: now + world.patienceMs });
      world.keep(entry);
      return;
    }
    // The end of a value that nobody here has ever seen is no news.
    const isNews = entry.payload.byteLength > 0 || (before?.payload.byteLength ?? 0) > 0;
    if (isNews) show(entry);
    else world.keep(entry);
  }

  return {
    received(now, entries) {
      for (const entry of entries) take(now, entry);
    },
    admits(envelope) {
      const known = retained.get(envelope.topic);
      if (known === undefined) return true;
      if (known === owed.get(known.topic)?.entry && isWriteOf(known, envelope)) {
        owed.delete(known.topic);
        return true;
      }
      if (!shown.has(known)) return true;
      return !isWriteOf(known, envelope) && !isOutdatedSignal(known, envelope);
    },
    review(now) {
      if (owed.size === 0) return;
      for (const [topic, { entry, until }] of owed) {
        if (until > now && world.isAwaited(entry)) continue;
        owed.delete(topic);
        if (retained.get(topic) === entry) show(entry);
      }
    },
    deadline() {
      // Each waits equally long: the first is the soonest.
      for (const [, { until }] of owed) return until;
      return Infinity;
    },
  };
}

function isWriteOf(entry: RetainedEntry, envelope: Envelope): boolean {
  return entry.origin === envelope.origin && compareHlc(entry.hlc, envelope.hlc) === 0;
}

/** A signal that an already shown, newer one of the same origin has made void: the latest wins. */
function isOutdatedSignal(entry: RetainedEntry, { class: kind, origin, hlc }: Envelope): boolean {
  return kind === 'signal' && entry.origin === origin && compareHlc(entry.hlc, hlc) > 0;
}
