/** Every kind of budget holds for whom it is meant, in each unit, and says what to change when it is used up. */

import { afterEach, describe, expect, test } from 'vitest';

import type { BudgetConfig, ConfigFile } from '../../gateway/config/schema.ts';
import { chatOf, startGateway } from './live-gateway.ts';
import type { LiveGateway } from './live-gateway.ts';

let live: LiveGateway;
afterEach(() => live.close());

/** Room for one answer of 12 words, not for two. */
const budgets: readonly (readonly [string, BudgetConfig, string])[] = [
  ['tokens a day', { tokens: { day: 24 } }, '24 tokens a day'],
  ['tokens a minute', { tokens: { minute: 24 } }, '24 tokens a minute'],
  ['money a month', { usd: { month: 0.000_03 } }, '0.00003 USD a month'],
  ['money in all', { usd: { total: 0.000_03 } }, '0.00003 USD in all'],
  ['requests in all', { requests: { total: 1 } }, '1 requests in all'],
  ['requests a day', { requests: { day: 1 } }, '1 requests a day'],
];

/** Who has it, who shares it with the one that uses it up, and who does not. */
const owners: readonly (readonly [
  string,
  (budget: BudgetConfig) => Partial<ConfigFile>,
  string,
  readonly string[],
  readonly string[],
])[] = [
  ['a principal', (budget) => withPrincipals({ a: { budget } }), "'a'", ['ta'], ['tb', 'tc']],
  [
    'a group',
    (budget) => ({
      ...withPrincipals({ a: { group: 'g' }, b: { group: 'g' } }),
      groups: [{ name: 'g', budget }],
    }),
    "group 'g'",
    ['ta', 'tb'],
    ['tc'],
  ],
  [
    'everybody together',
    (budget) => ({ ...withPrincipals({}), budget }),
    'everybody together',
    ['ta', 'tb', 'tc'],
    [],
  ],
];

function withPrincipals(more: Readonly<Record<string, object>>): Partial<ConfigFile> {
  return {
    prices: { small: { input: 1, output: 2 } },
    principals: ['a', 'b', 'c'].map((name) => ({
      name,
      tokenEnv: name.toUpperCase(),
      ...more[name],
    })),
  };
}

async function ask(token: string, text: string): Promise<{ status: number; message: string }> {
  const response = await live.post('/v1/chat/completions', chatOf(text, { max_tokens: 12 }), {
    authorization: `Bearer ${token}`,
  });
  const body = (await response.json()) as { readonly error?: { readonly message: string } };
  return { status: response.status, message: body.error?.message ?? '' };
}

describe.each(owners)('a budget of %s', (_, config, whose, inside, outside) => {
  test.each(budgets)('in %s', async (_unit, budget, said) => {
    live = await startGateway(1, config(budget), {}, { A: 'ta', B: 'tb', C: 'tc' });
    expect((await ask('ta', 'first')).status).toBe(200);
    for (const token of inside) {
      const { status, message } = await ask(token, `again ${token}`);
      expect([status, message]).toEqual([402, expect.stringContaining(whose)]);
      expect(message).toContain(said);
      expect(message).toContain("raise the budget in the gateway's configuration");
      expect(message.includes('max_tokens')).toBe(budget.requests === undefined);
      expect(message.includes('wait for the next')).toBe(!said.endsWith('in all'));
    }
    for (const token of outside) expect((await ask(token, `other ${token}`)).status).toBe(200);
    expect(live.providers[0]?.seen).toHaveLength(1 + outside.length);
  });
});

test('usage that cannot be is counted instead, in a stream and in one piece', async () => {
  live = await startGateway();
  const [provider] = live.providers;
  provider?.always({ kind: 'wrong-usage' });
  // Three ways of being wrong, one after the other: by the tokens of the prompt.
  for (const isStream of [true, false]) {
    for (const prompt of ['say 40 words', 'please say 40 words', 'please do say 40 words']) {
      const answer = await live.post('/v1/chat/completions', chatOf(prompt, { stream: isStream }));
      expect((await answer.text()).length).toBeGreaterThan(400);
    }
  }
  const [line] = live.gateway.engine.usage.lines();
  // 40 words each: a token a piece in a stream; by its characters what comes in one piece, never less than its words.
  expect(line?.requests).toBe(6);
  expect(line?.outputTokens).toBeGreaterThanOrEqual(240);
  expect(line?.outputTokens).toBeLessThan(240 * 4);
  const asked = provider?.seen.map(({ billed }) => billed?.prompt_tokens ?? 0) ?? [];
  expect(new Set(asked.map((tokens) => tokens % 3)).size).toBe(3);
  expect(line?.inputTokens).toBeGreaterThanOrEqual(asked.reduce((sum, one) => sum + one, 0));
});
