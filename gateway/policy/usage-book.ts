/** Who used what: requests, tokens, money, cache hits and times, by principal, agent and model. */

import { LRUCache } from 'lru-cache';

import type { FlightOutcome } from './flight.ts';
import type { OfflineWay } from './offline.ts';

/** Lines of the report; the one longest unused goes. */
export const usageLinesMax = 4096;

/** One line of the report. */
export interface UsageLine {
  readonly principal: string;
  readonly agent: string | undefined;
  readonly model: string;
  requests: number;
  failures: number;
  cacheHits: number;
  coalesced: number;
  /** Answered by a step of the offline chain; the attempt before it counts as a failure. */
  offlineLocal: number;
  offlineStale: number;
  offlineQueued: number;
  inputTokens: number;
  outputTokens: number;
  /** In US dollars; what was unpriced is counted in `unpriced`. */
  usd: number;
  unpriced: number;
  totalMs: number;
  ttftMs: number;
  ttftCount: number;
}

/** Whose line. */
export interface UsageOwner {
  readonly principal: string;
  readonly agent: string | undefined;
  readonly model: string;
}

/** The report of one gateway since it started. */
export interface UsageBook {
  landed(owner: UsageOwner, outcome: FlightOutcome): void;
  spared(owner: UsageOwner, how: 'cacheHits' | 'coalesced'): void;
  offline(owner: UsageOwner, way: OfflineWay): void;
  lines(): readonly UsageLine[];
}

/** Starts empty. */
export function createUsageBook(): UsageBook {
  const lines = new LRUCache<string, UsageLine>({ max: usageLinesMax });

  function lineOf({ principal, agent, model }: UsageOwner): UsageLine {
    const key = JSON.stringify([principal, agent, model]);
    let line = lines.get(key);
    if (line === undefined) {
      const counts = {
        requests: 0,
        failures: 0,
        cacheHits: 0,
        coalesced: 0,
        offlineLocal: 0,
        offlineStale: 0,
        offlineQueued: 0,
        inputTokens: 0,
        outputTokens: 0,
      };
      line = {
        principal,
        agent,
        model,
        ...counts,
        usd: 0,
        unpriced: 0,
        totalMs: 0,
        ttftMs: 0,
        ttftCount: 0,
      };
      lines.set(key, line);
    }
    return line;
  }

  return {
    landed(owner, outcome) {
      const line = lineOf(owner);
      line.requests += 1;
      if (outcome.failure !== undefined) line.failures += 1;
      line.inputTokens += outcome.usage.inputTokens;
      line.outputTokens += outcome.usage.outputTokens;
      if (outcome.cost === undefined) line.unpriced += 1;
      else line.usd += outcome.cost / 1e9;
      line.totalMs += outcome.totalMs;
      if (outcome.ttftMs !== undefined) {
        line.ttftMs += outcome.ttftMs;
        line.ttftCount += 1;
      }
    },
    spared(owner, how) {
      const line = lineOf(owner);
      line.requests += 1;
      line[how] += 1;
    },
    offline(owner, way) {
      const line = lineOf(owner);
      if (way === 'local') line.offlineLocal += 1;
      else if (way === 'queue') line.offlineQueued += 1;
      else line.offlineStale += 1;
    },
    lines: () => [...lines.values()],
  };
}
