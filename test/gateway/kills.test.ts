/** One of two gateways is killed while it answers: every stream ends whole, nobody pays twice without its being counted, and no key is told. */

import { afterAll, beforeAll, expect, test } from 'vitest';

import type { LlmEvent } from '../../src/ports/language-model.ts';
import { createRandom } from '../../src/kernel/random.ts';
import { plantedKey } from './live-gateway.ts';
import { startGateways } from './gateway-processes.ts';
import type { GatewayProcess, GatewayProcesses } from './gateway-processes.ts';

/** Kills; `GATEWAY_KILLS=1000` for a long run, `GATEWAY_KILL_SEED` to see one again. */
const kills = Number(process.env['GATEWAY_KILLS'] ?? 2);
const seed = Number(process.env['GATEWAY_KILL_SEED'] ?? Date.now() % 1_000_000);

/** Streams under way at each kill. */
const streamsPerKill = 3;

/** Between two words of the stand-in, in ms. */
const wordMs = 4;

const words = 60;

let stage: GatewayProcesses;
beforeAll(async () => {
  stage = await startGateways(2);
  stage.provider.pieceMs = wordMs;
}, 90_000);
afterAll(() => stage.stop());

/** What is left of a stream when every reset is minded. */
async function read(events: AsyncIterable<LlmEvent>): Promise<{ text: string; resets: number }> {
  let text = '';
  let resets = 0;
  for await (const event of events) {
    if (event.type === 'text') text += event.text;
    if (event.type !== 'reset') continue;
    text = '';
    resets += 1;
  }
  return { text, resets };
}

const promptOf = (kill: number, stream: number): string => `run ${kill}.${stream} ${words} words`;
const answerTo = (prompt: string): string => {
  const source = prompt.split(' ');
  return Array.from({ length: words }, (_, at) => `${source[at % source.length]}-${at}`).join(' ');
};

test(
  `${kills} kills of one of two gateways with streams under way`,
  async () => {
    console.info(`seed ${seed}`);
    const random = createRandom(seed);
    const sums = { streams: 0, resets: 0, billedTwice: 0, counted: 0, slowestMs: 0 };
    const began = performance.now();
    for (let kill = 0; kill < kills; kill += 1) {
      stage.provider.seen.length = 0;
      const before = await stage.possibleDoubleBills();
      const prompts = Array.from({ length: streamsPerKill }, (_, at) => promptOf(kill, at));
      const asked = prompts.map((prompt) =>
        read(stage.device.llm.stream(prompt, { ttlMs: 60_000 })),
      );
      const askedAt = performance.now();
      const killed = random.below(2);
      const victim = stage.gateways[killed] as GatewayProcess;
      const survivor = stage.gateways[1 - killed] as GatewayProcess;
      // From before the first word to after the last one.
      const untilKill = random.below(words * wordMs * 1.6);
      await expect
        .poll(() => performance.now() - askedAt >= untilKill, { interval: 1, timeout: 10_000 })
        .toBe(true);
      await victim.kill();
      const answers = await Promise.all(asked);
      sums.slowestMs = Math.max(sums.slowestMs, performance.now() - askedAt);
      for (const [at, answer] of answers.entries()) {
        expect(answer.text, `seed ${seed}, kill ${kill}`).toBe(answerTo(prompts[at] ?? ''));
        sums.resets += answer.resets;
      }
      const after = await stage.possibleDoubleBills();
      const counted = (after.get(survivor.name) ?? 0) - (before.get(survivor.name) ?? 0);
      const bills = prompts.map(
        (prompt) =>
          stage.provider.seen.filter(
            ({ body, billed }) =>
              billed !== undefined && JSON.stringify(body).includes(`${prompt}"`),
          ).length,
      );
      const twice = bills.filter((count) => count > 1).length;
      expect(Math.max(...bills), `seed ${seed}, kill ${kill}: ${bills.join()}`).toBeLessThanOrEqual(
        2,
      );
      expect(twice, `seed ${seed}, kill ${kill}: ${bills.join()}`).toBeLessThanOrEqual(counted);
      sums.streams += prompts.length;
      sums.billedTwice += twice;
      sums.counted += counted;
      await victim.start();
      await stage.whole();
      if (kill % 50 === 49 || kill + 1 === kills) {
        console.info(JSON.stringify({ kills: kill + 1, ...sums, ms: performance.now() - began }));
      }
    }
  },
  60_000 + kills * 20_000,
);

test('the planted key is in nothing that the gateways told anybody', async () => {
  // The worst that a provider can do.
  const { provider, device } = stage;
  const body = { error: { message: `Incorrect API key provided: ${plantedKey}.` } };
  provider.always({ kind: 'status', status: 400, body });
  await expect(device.llm.chat('refused', { ttlMs: 20_000 })).rejects.toMatchObject({
    code: 'MYCEL_LLM_FAILED',
  });
  await device.llm.usage();
  const said = await stage.said();
  // Adverts, claims, answers, errors and gossip went this way.
  const words = [
    'of-g0',
    'of-g1',
    'possibleDoubleBills',
    'llm.claim',
    'run-0',
    '***',
    'llm-gateway',
  ];
  expect(words.filter((word) => !said.includes(word))).toEqual([]);
  const shown = (['utf8', 'base64', 'base64url', 'hex'] as const).filter((form) =>
    said.includes(Buffer.from(plantedKey).toString(form).slice(0, 24)),
  );
  expect(shown).toEqual([]);
}, 60_000);
