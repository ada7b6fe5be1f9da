/** Rates count what they say: requests as requests, tokens as tokens, by estimate first and by what was used afterwards. */

import { afterEach, describe, expect, test } from 'vitest';

import { createRates } from '../../gateway/policy/rates.ts';
import { chatOf, startGateway } from './live-gateway.ts';
import type { LiveGateway } from './live-gateway.ts';

let live: LiveGateway | undefined;
afterEach(async () => {
  await live?.close();
  live = undefined;
});

interface Told {
  readonly status: number;
  readonly waitMs: number;
  readonly code: string | undefined;
  readonly message: string;
  readonly used: number;
}

async function ask(token: string, body: object): Promise<Told> {
  const response = (await live?.post('/v1/chat/completions', body, {
    authorization: `Bearer ${token}`,
  })) as Response;
  const told = (await response.json()) as {
    readonly error?: { readonly code: string; readonly message: string };
    readonly usage?: { readonly total_tokens: number };
  };
  return {
    status: response.status,
    waitMs: Number(response.headers.get('retry-after-ms') ?? 0),
    code: told.error?.code,
    message: told.error?.message ?? '',
    used: told.usage?.total_tokens ?? 0,
  };
}

const env = { A: 'ta', B: 'tb', C: 'tc' };

describe('a rate of tokens', () => {
  test('is charged what an answer may use, and given back what it did not', async () => {
    // Ten a second, a hundred at once.
    const rate = { tokensPerMinute: 600 };
    live = await startGateway(1, { principals: [{ name: 'a', tokenEnv: 'A', rate }] }, {}, env);
    const first = await ask('ta', chatOf('one', { max_tokens: 60 }));
    // Only what the first one gave back leaves room for this.
    const second = await ask('ta', chatOf('two', { max_tokens: 60 }));
    expect([first.status, second.status]).toEqual([200, 200]);
    const third = await ask('ta', chatOf('three', { max_tokens: 90 }));
    expect([third.status, third.code]).toEqual([429, 'rate_limit_exceeded']);
    expect(third.message).toContain('tokens a minute');
    const missing = first.used + second.used + 95 - 100;
    expect(third.waitMs).toBeGreaterThan(0);
    expect(third.waitMs).toBeLessThanOrEqual(missing * 100 + 200);
    // A small one still fits.
    expect((await ask('ta', chatOf('four', { max_tokens: 20 }))).status).toBe(200);
  });

  test('counts an answer that became longer than was thought', async () => {
    const rate = { tokensPerMinute: 3000 };
    live = await startGateway(1, { principals: [{ name: 'a', tokenEnv: 'A', rate }] }, {}, env);
    const long = await ask('ta', chatOf('1500 words', { temperature: 1 }));
    expect([long.status, long.used > 1400]).toEqual([200, true]);
    const next = await ask('ta', chatOf('next', { max_tokens: 1 }));
    expect(next.status).toBe(429);
    // Fifty a second; what was used above the five hundred of the burst has to come back first.
    expect(next.waitMs).toBeGreaterThan(((long.used - 500) / 50) * 1000 - 3_000);
  });

  test('of a group is shared by its principals, and by nobody else', async () => {
    live = await startGateway(
      1,
      {
        groups: [{ name: 'lab', rate: { tokensPerMinute: 600 } }],
        principals: [
          { name: 'a', tokenEnv: 'A', group: 'lab' },
          { name: 'b', tokenEnv: 'B', group: 'lab' },
          { name: 'c', tokenEnv: 'C' },
        ],
      },
      {},
      env,
    );
    expect((await ask('ta', chatOf('70 words', { max_tokens: 80 }))).status).toBe(200);
    const refused = await ask('tb', chatOf('70 words', { max_tokens: 80 }));
    expect([refused.status, refused.message]).toEqual([
      429,
      expect.stringContaining("The group 'lab'"),
    ]);
    expect((await ask('tc', chatOf('70 words', { max_tokens: 80 }))).status).toBe(200);
  });

  test('of a target leaves the rest to the next one', async () => {
    live = await startGateway(2, {}, { rate: { tokensPerMinute: 600 } });
    const [first, second] = live.providers;
    await ask('', chatOf('80 words', { max_tokens: 90 }));
    await ask('', chatOf('80 words again', { max_tokens: 90 }));
    expect([first?.seen.length, second?.seen.length]).toEqual([1, 1]);
  });
});

test('a rate of requests lets its burst through, and says when the next one may come', async () => {
  const rate = { requestsPerMinute: 12 };
  live = await startGateway(1, { principals: [{ name: 'a', tokenEnv: 'A', rate }] }, {}, env);
  const told = [];
  for (const word of ['a', 'b', 'c']) told.push(await ask('ta', chatOf(word)));
  expect(told.map(({ status }) => status)).toEqual([200, 200, 429]);
  expect(told[2]?.message).toContain('requests a minute');
  expect(told[2]?.waitMs).toBeGreaterThan(1000);
  expect(told[2]?.waitMs).toBeLessThanOrEqual(5000);
});

test('what one rate refuses no other rate is charged for', () => {
  const rates = createRates({ groups: [{ name: 'g', rate: { tokensPerMinute: 60 } }] });
  const principal = { name: 'a', group: 'g', rate: { requestsPerMinute: 6 } } as never;
  expect(() => rates.take(principal, 10)).not.toThrow();
  rates.correct(principal, -5);
  // Refused by the group: the one request of ten seconds was used, and nothing was given twice.
  expect(() => rates.take(principal, 10)).toThrow(/'a' asks for more requests/);
  const other = { name: 'b', group: 'g', rate: { requestsPerMinute: 6 } } as never;
  expect(() => rates.take(other, 10)).toThrow(/group 'g' asks for more tokens/);
  expect(() => rates.take(other, 5)).not.toThrow();
});
