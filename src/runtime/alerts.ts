/** What needs a person's eye: told once, logged, and shown in `status` while it is fresh. */

import { BoundedMap } from '../kernel/bounded-map.ts';
import type { Millis } from '../kernel/core.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';

/** The same words are told again no sooner than this, in ms. */
const tellEveryMs = 60_000;

/** An alert stays in `status` for so long after it was last raised, in ms. */
const freshMs = 600_000;

/** Alerts remembered; the longest not raised is forgotten. */
const alertsMax = 64;

/** The alerts of one node. */
export interface Alerts {
  raise(code: string, text: string): void;
  /** The texts that are fresh. */
  recent(): readonly string[];
}

/** Builds an empty board; `tell` carries news on. */
export function createAlerts(world: {
  readonly clock: Clock;
  readonly log: Log;
  tell(code: string, text: string): void;
}): Alerts {
  const { clock, log } = world;
  const raised = new BoundedMap<string, { readonly toldAt: Millis; readonly at: Millis }>(
    alertsMax,
  );
  return {
    raise(code, text) {
      const now = clock.now();
      const before = raised.get(text)?.toldAt ?? -Infinity;
      const isNews = now - before >= tellEveryMs;
      raised.set(text, { toldAt: isNews ? now : before, at: now });
      if (!isNews) return;
      log.error({ code }, text);
      world.tell(code, text);
    },
    recent: () =>
      [...raised].filter(([, { at }]) => clock.now() - at < freshMs).map(([text]) => text),
  };
}
