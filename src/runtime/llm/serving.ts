/** A gateway's side of the mesh: answers members in frames, few of them however small the pieces come. */

import type { Calls } from '../../ports/calls.ts';
import type {
  LlmClaim,
  LlmEvent,
  LlmLoanWish,
  LlmProvider,
  LlmReading,
} from '../../ports/language-model.ts';
import {
  decodeLlmAsk,
  decodeLlmFacts,
  encodeLlmFacts,
  encodeLlmFrame,
} from '../../wire/llm-codec.ts';
import { advertMethod, askMethod, claimMethod, lendMethod, usageMethod } from './methods.ts';

/** Time between frames, in ms. */
export interface FrameGaps {
  /** Between the first frame and the second. */
  readonly first: number;
  /** The most it becomes. */
  readonly most: number;
}

/** By the class of the request: interactive, normal, batch. Somebody watches the first kind. */
export const frameGaps: readonly [FrameGaps, FrameGaps, FrameGaps] = [
  { first: 40, most: 100 },
  { first: 100, most: 250 },
  { first: 100, most: 1_000 },
];

/** How much it grows with each frame. */
export const frameGrowth = 2.5;

/** Frames of several answers to one member go at the same instants, in ms: it wakes once for all of them. */
const frameGridMs = 20;

/** Characters of text from which on a frame goes at once. */
export const frameLengthMin = 1024;

/** Serves a provider; returns the function that stops it. */
export function serveLlm(calls: Calls, provider: LlmProvider): () => void {
  const stops = [
    calls.serveStream(askMethod, (bytes, { from, deadlineMs, signal }) => {
      const ask = decodeLlmAsk(bytes);
      return answering(provider.ask(ask, from, deadlineMs, signal), frameGaps[ask.class]);
    }),
    calls.serve(advertMethod, async () => encodeLlmFacts(provider.advert())),
    calls.serve(usageMethod, async () => encodeLlmFacts(provider.usage())),
    calls.serve(claimMethod, async (bytes, { from }) => {
      const claim = decodeLlmFacts(bytes) as LlmClaim | null;
      return encodeLlmFacts(
        typeof claim?.id === 'string' ? provider.claimed(claim, from) : 'nothing',
      );
    }),
    calls.serve(lendMethod, async (bytes, { from }) => {
      const wish = decodeLlmFacts(bytes) as LlmLoanWish | null;
      const isWish = typeof wish === 'object' && wish !== null;
      return encodeLlmFacts((isWish ? await provider.lend(wish, from) : undefined) ?? null);
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

async function* answering(
  reading: Promise<LlmReading>,
  gaps: FrameGaps,
): AsyncGenerator<Uint8Array> {
  yield* frames(await reading, gaps);
}

/**
 * Packs the pieces of an answer into frames: the first at once, later ones when there is enough or it is time. A radio
 * and a small processor pay by the frame, not by the byte, so the time between two grows: whoever reads
 * along sees a short answer word by word, and a long one in lines.
 */
export async function* frames(
  { run, batches }: LlmReading,
  gaps: FrameGaps,
): AsyncGenerator<Uint8Array> {
  const source = batches[Symbol.asyncIterator]();
  const pieces: Pieces = { source, pending: source.next() };
  let isFirst = true;
  let gapMs = gaps.first;
  let sentAt = 0;
  try {
    for (;;) {
      const first = await pieces.pending;
      if (first.done === true) return;
      const frame = { events: [...first.value.events], next: first.value.next };
      pieces.pending = source.next();
      if (isFirst) await begin(pieces, frame);
      else {
        const dueAt = Math.ceil((sentAt + gapMs) / frameGridMs) * frameGridMs;
        await gather(pieces, frame, dueAt - performance.now());
        gapMs = Math.min(gaps.most, gapMs * frameGrowth);
      }
      // Somebody waits on it only at the next turn.
      pieces.pending.catch(() => undefined);
      isFirst = isFirst && !frame.events.some(({ type }) => type === 'text' || type === 'tool');
      sentAt = performance.now();
      yield encodeLlmFrame({ run, next: frame.next, events: joined(frame.events) });
    }
  } finally {
    void source.return?.();
  }
}

type Piece = LlmReading['batches'] extends AsyncIterable<infer One> ? One : never;

interface Pieces {
  readonly source: AsyncIterator<Piece>;
  pending: Promise<IteratorResult<Piece>>;
}

/** Waits for the first word: who answers is no news by itself. */
async function begin(pieces: Pieces, frame: { events: LlmEvent[]; next: number }): Promise<void> {
  while (frame.events.every(({ type }) => type === 'start')) {
    const more = await pieces.pending.catch(() => undefined);
    if (more === undefined || more.done === true) break;
    add(pieces, frame, more.value);
  }
}

function add(pieces: Pieces, frame: { events: LlmEvent[]; next: number }, piece: Piece): void {
  frame.events.push(...piece.events);
  frame.next = piece.next;
  pieces.pending = pieces.source.next();
}

/** Adds what comes until there is enough or it is time. A failure is kept for the next turn: what came before goes out first. */
async function gather(
  pieces: Pieces,
  frame: { events: LlmEvent[]; next: number },
  waitMs: number,
): Promise<void> {
  // What is there already joins it, however late it is.
  const alarm = alarmIn(Math.max(1, waitMs));
  while (lengthOf(frame.events) < frameLengthMin && frame.events.at(-1)?.type !== 'finish') {
    const more = await Promise.race([pieces.pending.catch(() => undefined), alarm.due]);
    if (more === undefined || more.done === true) break;
    add(pieces, frame, more.value);
  }
  alarm.cancel();
}

function alarmIn(ms: number): { readonly due: Promise<undefined>; cancel(): void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const due = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  return { due, cancel: () => clearTimeout(timer) };
}

function lengthOf(events: readonly LlmEvent[]): number {
  let length = 0;
  for (const event of events) {
    if (event.type === 'text' || event.type === 'think') length += event.text.length;
    if (event.type === 'tool') length += event.input?.length ?? 0;
  }
  return length;
}

/** Pieces of one text, and of one call, as one. */
export function joined(events: readonly LlmEvent[]): readonly LlmEvent[] {
  const result: LlmEvent[] = [];
  for (const event of events) {
    const last = result.at(-1);
    if (event.type === 'text' && last?.type === 'text' && event.extra === undefined) {
      result[result.length - 1] = { ...last, text: last.text + event.text };
    } else if (event.type === 'think' && last?.type === 'think') {
      result[result.length - 1] = { type: 'think', text: last.text + event.text };
    } else if (
      event.type === 'tool' &&
      last?.type === 'tool' &&
      event.index === last.index &&
      event.id === undefined
    ) {
      result[result.length - 1] = { ...last, input: (last.input ?? '') + (event.input ?? '') };
    } else result.push(event);
  }
  return result;
}
