/**
 * Measures whether control waits behind data on one connection: from the moment a control frame is handed over until the
 * kernel has taken it, where data was ahead of it.
 */

import { headOfLineMs } from '../../ports/link.ts';
import type { Lane } from '../../ports/link.ts';
import type { Metrics } from '../../ports/metrics.ts';
import type { GatheringStream } from '../mqtt/gathering-stream.ts';

/** Control frames of one connection that are timed at once; more wait behind these anyway. */
const timedMax = 256;

/** The longest such waits of all connections of a process, for the gauge. */
const longest = new WeakMap<Metrics, number>();

/** A watch over one connection. */
export interface LineWatch {
  /** A frame is handed over; call what it gives when the stream has it. */
  handed(lane: Lane, bytes: number): () => void;
  /** The kernel may have taken something. */
  look(): void;
  /** The connection is over: what waits has waited until now. */
  end(): void;
}

/** Builds one. `link.control_waits` counts the frames timed, `link.head_of_line` those above `headOfLineMs`. */
export function createLineWatch(
  stream: Pick<GatheringStream, 'writtenBytes' | 'takenBytes'>,
  metrics: Metrics,
): LineWatch {
  let waits: { readonly since: number; readonly until: number }[] = [];
  let unwrittenDataBytes = 0;
  let dataUntil = 0;

  function waited(ms: number): void {
    metrics.count('link.control_waits');
    if (ms > headOfLineMs) metrics.count('link.head_of_line');
    if (ms <= (longest.get(metrics) ?? 0)) return;
    longest.set(metrics, ms);
    metrics.gauge('link.control_wait_max_ms', ms);
  }

  return {
    handed(lane, bytes) {
      if (lane === 'data') {
        unwrittenDataBytes += bytes;
        return () => {
          unwrittenDataBytes -= bytes;
          dataUntil = stream.writtenBytes();
        };
      }
      const isBehindData = unwrittenDataBytes > 0 || dataUntil > stream.takenBytes();
      if (!isBehindData || waits.length >= timedMax) return () => {};
      const since = performance.now();
      return () => void waits.push({ since, until: stream.writtenBytes() });
    },
    look() {
      if (waits.length === 0) return;
      const taken = stream.takenBytes();
      const now = performance.now();
      let count = 0;
      for (const { since, until } of waits) {
        if (until > taken) break;
        waited(now - since);
        count += 1;
      }
      if (count > 0) waits = waits.slice(count);
    },
    end() {
      for (const { since } of waits) waited(performance.now() - since);
      waits = [];
    },
  };
}
