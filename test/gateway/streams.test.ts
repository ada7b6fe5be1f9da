/** Thousands of random streams, many of them aborted: what is settled is what the stand-in reported, and nothing stays reserved. */

import { afterEach, expect, test, vi } from 'vitest';

import { createRandom } from '../../src/kernel/random.ts';
import type { FlightOutcome } from '../../gateway/policy/flight.ts';
import { chatOf, startGateway } from './live-gateway.ts';
import type { LiveGateway } from './live-gateway.ts';

/** Streams; `GATEWAY_STREAMS=10000` for a long run, `GATEWAY_STREAM_SEED` to see one again. */
const streams = Number(process.env['GATEWAY_STREAMS'] ?? 400);
const seed = Number(process.env['GATEWAY_STREAM_SEED'] ?? Date.now() % 1_000_000);

const clients = 20;

let live: LiveGateway;
afterEach(() => live.close());

test(
  `${streams} random streams with aborts are settled as they were reported`,
  async () => {
    console.info(`seed ${seed}`);
    const random = createRandom(seed);
    live = await startGateway(
      1,
      {
        principals: [
          { name: 'bench', tokenEnv: 'TOKEN', budget: { tokens: { total: 1_000_000_000 } } },
        ],
      },
      {},
      { TOKEN: 't' },
    );
    const { engine } = live.gateway;
    const [provider] = live.providers;
    const landed = new Map<string, FlightOutcome>();
    engine.onLanded(({ ask, outcome }) => {
      if (outcome !== undefined) landed.set(ask.id, outcome);
    });
    const promptOf = new Map<string, string>();
    let next = 0;

    async function ask(): Promise<void> {
      const id = `s${next}`;
      next += 1;
      const words = 1 + random.below(60);
      const pieces = random.below(3) === 0 ? Infinity : random.below(words + 2);
      const prompt = `${id} says ${words} words`;
      promptOf.set(id, prompt);
      const controller = new AbortController();
      const response = await fetch(`${live.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: 'Bearer t', 'idempotency-key': id },
        body: JSON.stringify(chatOf(prompt, { stream: true, temperature: 1 })),
        signal: controller.signal,
      });
      expect(response.status).toBe(200);
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      for (let piece = 0; piece < pieces; piece += 1) if ((await reader.read()).done) return;
      controller.abort();
    }

    if (provider !== undefined) provider.pieceMs = 1;
    await Promise.all(
      Array.from({ length: clients }, async () => {
        while (next < streams) await ask();
      }),
    );
    await vi.waitFor(() => expect(landed.size).toBe(streams), 30_000);
    await vi.waitFor(() => expect(engine.inflight()).toBe(0), 30_000);
    await vi.waitFor(
      () => expect(provider?.seen.every((one) => one.isComplete || one.isAborted)).toBe(true),
      30_000,
    );

    const seenOf = new Map(
      provider?.seen.map((one) => [
        (one.body['messages'] as readonly { readonly content: string }[])[0]?.content,
        one,
      ]),
    );
    const sums = { whole: 0, settled: 0, reported: 0, cut: 0, cutOutput: 0, cutSent: 0 };
    const input = { settled: 0, billed: 0 };
    let all = 0;
    for (const [id, { usage, failure }] of landed) {
      const seen = seenOf.get(promptOf.get(id));
      all += usage.inputTokens + usage.outputTokens;
      if (failure === undefined) {
        sums.whole += 1;
        sums.settled += usage.inputTokens + usage.outputTokens;
        sums.reported +=
          (seen?.billed?.prompt_tokens ?? 0) + (seen?.billed?.completion_tokens ?? 0);
      } else {
        expect(failure.kind, id).toBe('cancelled');
        sums.cut += 1;
        sums.cutOutput += usage.outputTokens;
        sums.cutSent += seen?.sent ?? 0;
        // Nobody reports on these: what came is counted, also what was on its way when the client left.
        expect(usage.outputTokens, id).toBe(seen?.sent ?? 0);
        // The prompt is estimated, never too low.
        input.settled += usage.inputTokens;
        input.billed += seen?.billed?.prompt_tokens ?? 0;
        expect(usage.inputTokens, id).toBeGreaterThanOrEqual(seen?.billed?.prompt_tokens ?? 0);
      }
    }
    console.info(JSON.stringify({ ...sums, input }));
    expect(sums.whole).toBeGreaterThan(streams / 10);
    expect(sums.cut).toBeGreaterThan(streams / 10);
    expect(sums.settled).toBe(sums.reported);
    expect(provider?.seen).toHaveLength(streams);
    const [line] = engine.accounts.lines({ name: 'bench' } as never);
    expect([line?.spent, line?.reserved]).toEqual([all, 0]);
  },
  60_000 + streams * 100,
);
