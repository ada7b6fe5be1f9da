/** What an answer uses as it grows: counted while nobody tells, and as reported once the target does. */

import type { Batch, LlmEvent, Usage } from '../events.ts';
import type { Ask } from './ask.ts';
import { countedUsage, textTokens } from './estimate.ts';

/** The bill of a flight as it grows. */
export interface Meter {
  outputTokens: number;
  inputTokens: number;
  reported: Usage | undefined;
  /** Attempts before this one, that were paid for in vain. */
  lost: Usage;
  isDispatched: boolean;
}

/** A piece of a stream that is longer holds more than one token, in characters. */
const tokenLengthMax = 32;

/** Counts what came: a token for each piece of a stream, by its characters what came in one piece. */
export function measure(meter: Meter, batch: Batch, { isStream }: Ask): void {
  for (const event of batch) {
    if (event.type === 'usage') meter.reported = event.usage;
    const text = outputOf(event);
    if (text === undefined || text === '') continue;
    meter.outputTokens += isStream && text.length <= tokenLengthMax ? 1 : textTokens(text);
  }
}

/** What a model wrote for a step; undefined: nothing. */
function outputOf(event: LlmEvent): string | undefined {
  if (event.type === 'text' || event.type === 'think') return event.text;
  return event.type === 'tool' ? `${event.name ?? ''} ${event.input ?? ''}`.trim() : undefined;
}

/** What the target reports; where it says that nothing was used although something came, what was counted. */
function believed(reported: Usage | undefined, counted: Usage): Usage {
  if (reported === undefined) return counted;
  return {
    ...reported,
    inputTokens: reported.inputTokens || counted.inputTokens,
    outputTokens: reported.outputTokens || counted.outputTokens,
  };
}

/** Input and output together. */
export function tokensOf({ inputTokens, outputTokens }: Usage): number {
  return inputTokens + outputTokens;
}

/** Adds what the attempt used to what is lost or billed, and starts the next one at nothing; gives what it used. */
export function charge(meter: Meter, ask: Ask): Usage {
  const { lost } = meter;
  const counted = meter.isDispatched
    ? countedUsage(ask, meter.inputTokens, meter.outputTokens)
    : countedUsage(ask, 0, 0);
  const part = believed(meter.reported, counted);
  meter.lost = {
    inputTokens: lost.inputTokens + part.inputTokens,
    outputTokens: lost.outputTokens + part.outputTokens,
    cachedTokens: lost.cachedTokens + part.cachedTokens,
    reasoningTokens: lost.reasoningTokens + part.reasoningTokens,
  };
  meter.reported = undefined;
  meter.outputTokens = 0;
  meter.isDispatched = false;
  return part;
}
