/** Pieces of an answer on their way to a device: the first word at once, then few frames, whatever the pace. */

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';

import type { LlmEvent } from '../../src/ports/language-model.ts';
import { frameGaps, frameGrowth, frames } from '../../src/runtime/llm/serving.ts';
import type { FrameGaps } from '../../src/runtime/llm/serving.ts';
import { decodeLlmFrame } from '../../src/wire/llm-codec.ts';

/** A model that says who it is, and then so many words, one after the other. */
async function* words(
  count: number,
  ms: number,
): AsyncGenerator<{ events: LlmEvent[]; next: number }> {
  yield { events: [{ type: 'start', target: 't', model: 'm' }], next: 1 };
  for (let at = 0; at < count; at += 1) {
    if (at > 0) await sleep(ms);
    yield { events: [{ type: 'text', text: `${at} ` }], next: at + 2 };
  }
  yield { events: [{ type: 'finish', reason: 'stop' }], next: count + 2 };
}

async function carried(count: number, ms: number, gaps: FrameGaps) {
  const got: { at: number; next: number; events: readonly LlmEvent[] }[] = [];
  const from = performance.now();
  for await (const bytes of frames({ run: 'r', batches: words(count, ms) }, gaps)) {
    got.push({ at: performance.now() - from, ...decodeLlmFrame<LlmEvent>(bytes) });
  }
  return got;
}

test('the first word comes with who says it, and a hundred in half a second come in a handful of frames', async () => {
  const got = await carried(100, 5, frameGaps[1]);
  expect(got[0]?.events).toEqual([
    { type: 'start', target: 't', model: 'm' },
    { type: 'text', text: '0 ' },
  ]);
  const text = got
    .flatMap(({ events }) => events)
    .map((one) => (one.type === 'text' ? one.text : ''));
  expect(text.join('')).toBe(Array.from({ length: 100 }, (_, at) => `${at} `).join(''));
  expect(got.at(-1)).toMatchObject({
    next: 102,
    events: expect.arrayContaining([{ type: 'finish', reason: 'stop' }]),
  });
  // As many as fit into the time that it took.
  const { first, most: longest } = frameGaps[1];
  let gap = first;
  let most = 2;
  for (let at = gap; at < (got.at(-1)?.at ?? 0); at += gap) {
    most += 1;
    gap = Math.min(longest, gap * frameGrowth);
  }
  expect(got.length).toBeLessThanOrEqual(most);
});

test('a slow model is not held back: what comes after the gap leaves at once', async () => {
  const got = await carried(3, 150, frameGaps[0]);
  expect(got.filter(({ events }) => events.some(({ type }) => type === 'text'))).toHaveLength(3);
});

test('what came before a failure is told before it', async () => {
  async function* broken(): AsyncGenerator<{ events: LlmEvent[]; next: number }> {
    yield { events: [{ type: 'start', target: 't', model: 'm' }], next: 1 };
    throw new Error('gone');
  }
  const got: unknown[] = [];
  await expect(async () => {
    for await (const bytes of frames({ run: 'r', batches: broken() }, frameGaps[0]))
      got.push(bytes);
  }).rejects.toThrow('gone');
  expect(got).toHaveLength(1);
});
