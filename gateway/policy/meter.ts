/** What an answer uses as it grows: counted while nobody tells, and as reported once the target does. */

import type { Batch, Usage } from '../events.ts';
import type { Ask } from './ask.ts';
import { countedUsage } from './estimate.ts';

/** The bill of a flight as it grows. */
export interface Meter {
  pieces: number;
  inputTokens: number;
  reported: Usage | undefined;
  /** Attempts before this one, that were paid for in vain. */
  lost: Usage;
  isDispatched: boolean;
}

/** Counts what came. */
export function measure(meter: Meter, batch: Batch): void {
  for (const event of batch) {
    if (event.type === 'usage') meter.reported = event.usage;
    else if (event.type === 'text' || event.type === 'think' || event.type === 'tool')
      meter.pieces += 1;
  }
}

/** Input and output together. */
export function tokensOf({ inputTokens, outputTokens }: Usage): number {
  return inputTokens + outputTokens;
}

/** Adds what the attempt used to what is lost or billed, and starts the next one at nothing; gives what it used. */
export function charge(meter: Meter, ask: Ask): Usage {
  const { lost } = meter;
  const part =
    meter.reported ??
    (meter.isDispatched
      ? countedUsage(ask, meter.inputTokens, meter.pieces)
      : countedUsage(ask, 0, 0));
  meter.lost = {
    inputTokens: lost.inputTokens + part.inputTokens,
    outputTokens: lost.outputTokens + part.outputTokens,
    cachedTokens: lost.cachedTokens + part.cachedTokens,
    reasoningTokens: lost.reasoningTokens + part.reasoningTokens,
  };
  meter.reported = undefined;
  meter.pieces = 0;
  meter.isDispatched = false;
  return part;
}
