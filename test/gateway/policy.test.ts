/** The policy through HTTP: one answer for many, kept answers in any format, budgets that hold, queues that say when. */

import { afterEach, describe, expect, test, vi } from 'vitest';

import { chatOf, plantedKey, startGateway } from './live-gateway.ts';
import type { LiveGateway } from './live-gateway.ts';
import type { Provider, Seen } from './provider.ts';

let live: LiveGateway;
afterEach(() => live.close());

const provider = (): Provider => live.providers[0] as Provider;
const billed = (seen: readonly Seen[]): number =>
  seen.reduce(
    (sum, { billed: one }) =>
      sum + (one === undefined ? 0 : one.prompt_tokens + one.completion_tokens),
    0,
  );

interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly code: string;
    readonly param: string | null;
  };
}

describe('identical requests', () => {
  test('100 at once are one at the target', async () => {
    live = await startGateway();
    const release = provider().hold();
    const asked = Array.from(
      { length: 100 },
      async () =>
        (await live.post('/v1/chat/completions', chatOf('same'))).json() as Promise<{
          choices: unknown;
        }>,
    );
    await vi.waitFor(
      () => expect(live.gateway.engine.usage.lines()[0]?.coalesced).toBe(99),
      20_000,
    );
    release();
    const answers = await Promise.all(asked);
    expect(provider().seen).toHaveLength(1);
    expect(new Set(answers.map(({ choices }) => JSON.stringify(choices))).size).toBe(1);
  });

  test('that ask for chance are not one', async () => {
    live = await startGateway();
    provider().answerMs = 100;
    await Promise.all(
      Array.from({ length: 3 }, () =>
        live.post('/v1/chat/completions', chatOf('same', { temperature: 0.7 })),
      ),
    );
    expect(provider().seen).toHaveLength(3);
  });

  test('are answered again from the cache in whatever format is asked for', async () => {
    live = await startGateway();
    const body = chatOf('keep', { temperature: 0 });
    const first = (await (await live.post('/v1/chat/completions', body)).json()) as {
      choices: { message: { content: string } }[];
      usage: unknown;
    };
    const said = first.choices[0]?.message.content ?? '';
    const again = await live.post('/v1/chat/completions', body);
    expect(again.headers.get('x-mycel-cache')).toBe('hit');
    expect(await again.json()).toMatchObject({ choices: first.choices, usage: first.usage });
    const streamed = await (
      await live.post('/v1/chat/completions', { ...body, stream: true })
    ).text();
    expect(streamed).toContain(JSON.stringify(said).slice(1, -1));
    expect(streamed.trimEnd().endsWith('data: [DONE]')).toBe(true);
    const response = (await (
      await live.post('/v1/responses', { model: 'small', input: 'keep', temperature: 0 })
    ).json()) as { output: { content: { text: string }[] }[] };
    expect(response.output[0]?.content[0]?.text).toBe(said);
    const native = (await (
      await live.post('/api/chat', {
        model: 'small',
        stream: false,
        options: { temperature: 0 },
        messages: [{ role: 'user', content: 'keep' }],
      })
    ).json()) as { message: { content: string } };
    expect(native.message.content).toBe(said);
    expect(provider().seen).toHaveLength(1);
  });

  test('of another principal, model or word are not the same', async () => {
    live = await startGateway(
      1,
      {
        principals: [
          { name: 'a', tokenEnv: 'A' },
          { name: 'b', tokenEnv: 'B' },
        ],
      },
      {},
      { A: 'ta', B: 'tb' },
    );
    const ask = (token: string, body: object): Promise<Response> =>
      live.post('/v1/chat/completions', body, { authorization: `Bearer ${token}` });
    await ask('ta', chatOf('x', { temperature: 0 }));
    await ask('tb', chatOf('x', { temperature: 0 }));
    await ask('ta', chatOf('x', { temperature: 0, model: 'large' }));
    await ask('ta', chatOf('y', { temperature: 0 }));
    await ask('ta', chatOf('x', { temperature: 0, max_tokens: 3 }));
    expect(provider().seen).toHaveLength(5);
  });
});

describe('a budget', () => {
  const bounded = (budget: object): Promise<LiveGateway> =>
    startGateway(
      1,
      { principals: [{ name: 'bench', tokenEnv: 'TOKEN', budget }] },
      {},
      { TOKEN: 't' },
    );
  const ask = (body: object): Promise<Response> =>
    live.post('/v1/chat/completions', body, { authorization: 'Bearer t' });

  test('of 1000 tokens is never overspent by 50 at once, and used up to its last answers', async () => {
    live = await bounded({ tokens: { day: 1000 } });
    provider().answerMs = 20;
    const statuses: number[] = [];
    await Promise.all(
      Array.from({ length: 50 }, async (_, client) => {
        for (let turn = 0; turn < 3; turn += 1) {
          const isStream = (client + turn) % 2 === 0;
          const response = await ask(
            chatOf(`client ${client} turn ${turn} says 20 words`, {
              stream: isStream,
              temperature: 1,
            }),
          );
          statuses.push(response.status);
          await response.text();
        }
      }),
    );
    expect(billed(provider().seen)).toBeLessThanOrEqual(1000);
    expect(billed(provider().seen)).toBeGreaterThan(900);
    expect(new Set(statuses)).toEqual(new Set([200, 402]));
    const [line] = live.gateway.engine.accounts.lines({ name: 'bench' } as never);
    expect([line?.spent, line?.reserved]).toEqual([billed(provider().seen), 0]);
  }, 60_000);

  test('that is used up says so with 402, and what to change', async () => {
    live = await bounded({ tokens: { day: 30 } });
    expect((await ask(chatOf('first'))).status).toBe(200);
    const refused = await ask(chatOf('second', { max_tokens: 100 }));
    expect([refused.status, refused.headers.get('x-should-retry')]).toEqual([402, 'false']);
    const { error } = (await refused.json()) as ErrorBody;
    expect([error.code, error.message]).toEqual([
      'insufficient_quota',
      expect.stringContaining('30 tokens a day'),
    ]);
    expect(provider().seen).toHaveLength(1);
  });

  test('in money refuses a model whose price nobody knows, and counts what it knows', async () => {
    live = await startGateway(
      1,
      {
        principals: [{ name: 'bench', tokenEnv: 'TOKEN', budget: { usd: { day: 1 } } }],
        prices: { small: { input: 1000, output: 2000 } },
      },
      {},
      { TOKEN: 't' },
    );
    await (await ask(chatOf('x'))).text();
    const [line] = live.gateway.engine.accounts.lines({ name: 'bench' } as never);
    const [seen] = provider().seen;
    expect(line?.spent).toBe(
      ((seen?.billed?.prompt_tokens ?? 0) * 1000 + (seen?.billed?.completion_tokens ?? 0) * 2000) *
        1000,
    );
    const far = await startGateway(
      0,
      {
        principals: [{ name: 'bench', tokenEnv: 'TOKEN', budget: { usd: { day: 1 } } }],
        targets: [
          {
            name: 'far',
            kind: 'openai',
            url: 'https://models.example/v1',
            models: ['nobody-knows'],
          },
        ],
      },
      {},
      { TOKEN: 't' },
    );
    const refused = await far.post('/v1/chat/completions', chatOf('x', { model: 'nobody-knows' }), {
      authorization: 'Bearer t',
    });
    expect([refused.status, ((await refused.json()) as ErrorBody).error.code]).toEqual([
      402,
      'price_unknown',
    ]);
    await far.close();
  });

  test('in requests', async () => {
    live = await bounded({ requests: { day: 2 } });
    const statuses = [];
    for (const word of ['a', 'b', 'c']) statuses.push((await ask(chatOf(word))).status);
    expect(statuses).toEqual([200, 200, 402]);
  });

  test('counts streams that were aborted by what came of them, as the target does', async () => {
    live = await bounded({ tokens: { day: 1_000_000 } });
    provider().pieceMs = 3;
    for (let turn = 0; turn < 8; turn += 1) {
      const controller = new AbortController();
      const response = await fetch(`${live.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: 'Bearer t' },
        body: JSON.stringify(chatOf(`${turn}: 60 words`, { stream: true })),
        signal: controller.signal,
      });
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      for (let piece = 0; piece < turn; piece += 1) await reader.read();
      controller.abort();
    }
    await vi.waitFor(() => expect(live.gateway.engine.inflight()).toBe(0), 20_000);
    await vi.waitFor(
      () => expect(provider().seen.every(({ isAborted }) => isAborted)).toBe(true),
      20_000,
    );
    const [line] = live.gateway.engine.accounts.lines({ name: 'bench' } as never);
    // Nobody reports on an aborted stream: what was counted may be off by what was on its way.
    expect(line?.spent).toBeGreaterThan(0);
    expect(line?.reserved).toBe(0);
  });
});

describe('a queue', () => {
  test('that is full says so with 429 and a time', async () => {
    live = await startGateway(1, { queue: { max: 2 } }, { maxInflight: 1 });
    const release = provider().hold();
    const statuses: number[] = [];
    const full: Response[] = [];
    const asked = Array.from({ length: 6 }, async (_, at) => {
      const response = await live.post('/v1/chat/completions', chatOf(`n ${at}`));
      statuses.push(response.status);
      if (response.status === 429) full.push(response);
    });
    await vi.waitFor(() => expect(full).toHaveLength(3), 20_000);
    release();
    await Promise.all(asked);
    expect(statuses).toEqual([429, 429, 429, 200, 200, 200]);
    for (const response of full) {
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(((await response.json()) as ErrorBody).error.code).toBe('queue_full');
    }
  });

  test('gives up what its client will not wait for', async () => {
    live = await startGateway(1, {}, { maxInflight: 1 });
    const release = provider().hold();
    const first = live.post('/v1/chat/completions', chatOf('first'));
    await vi.waitFor(() => expect(provider().seen).toHaveLength(1), 20_000);
    const second = await live.post('/v1/chat/completions', chatOf('second'), {
      'x-mycel-ttl-ms': '200',
    });
    expect(second.status).toBe(504);
    release();
    expect((await first).status).toBe(200);
    expect(provider().seen).toHaveLength(1);
  });

  test('lets the urgent go first', async () => {
    live = await startGateway(1, {}, { maxInflight: 1 });
    const release = provider().hold();
    const ask = (text: string, urgency: string): Promise<Response> =>
      live.post('/v1/chat/completions', chatOf(text), { 'x-mycel-class': urgency });
    const first = ask('first', 'normal');
    await vi.waitFor(() => expect(provider().seen).toHaveLength(1), 20_000);
    const batch = ask('batch', 'batch');
    await vi.waitFor(() => expect(live.gateway.engine.desks[0]?.view().waiting[2]).toBe(1), 20_000);
    const urgent = ask('urgent', 'interactive');
    await vi.waitFor(() => expect(live.gateway.engine.desks[0]?.view().waiting[0]).toBe(1), 20_000);
    release();
    await Promise.all([first, batch, urgent]);
    const order = provider().seen.map(
      ({ body }) => (body['messages'] as { content: string }[])[0]?.content,
    );
    expect(order.slice(0, 2).concat(order.slice(-1))).toEqual(['first', 'urgent', 'batch']);
  });
});

describe('a client that goes away', () => {
  test('in the middle of a stream stops the target', async () => {
    live = await startGateway();
    provider().pieceMs = 20;
    const controller = new AbortController();
    const response = await fetch(`${live.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify(chatOf('500 words', { stream: true })),
      signal: controller.signal,
    });
    await (response.body as ReadableStream<Uint8Array>).getReader().read();
    controller.abort();
    await vi.waitFor(() => expect(provider().seen[0]?.isAborted).toBe(true), 20_000);
  });

  test('before it was told anything, and asks again at once, finds its answer under way', async () => {
    live = await startGateway();
    const release = provider().hold();
    const controller = new AbortController();
    const lost = fetch(`${live.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify(chatOf('again')),
      signal: controller.signal,
    }).catch(() => undefined);
    await vi.waitFor(() => expect(provider().seen).toHaveLength(1), 20_000);
    controller.abort();
    await lost;
    const again = live.post('/v1/chat/completions', chatOf('again'));
    await vi.waitFor(() => expect(live.gateway.engine.usage.lines()[0]?.coalesced).toBe(1), 2_500);
    release();
    expect([(await again).status, (await again).headers.get('x-mycel-cache')]).toEqual([
      200,
      'coalesced',
    ]);
    expect(provider().seen).toHaveLength(1);
  });
});

describe('/v1/responses keeps nothing', () => {
  test.each([
    ['previous_response_id', 'resp_1'],
    ['conversation', 'conv_1'],
    ['background', true],
    ['store', true],
  ])('%s is refused with what to do instead', async (field, value) => {
    live = await startGateway();
    const response = await live.post('/v1/responses', {
      model: 'small',
      input: 'x',
      [field]: value,
    });
    const { error } = (await response.json()) as ErrorBody;
    expect([response.status, error.param, error.code]).toEqual([
      400,
      field,
      'unsupported_parameter',
    ]);
  });
});

test('the native facade lists and shows models, and tells errors as Ollama does', async () => {
  live = await startGateway();
  expect(await (await fetch(`${live.url}/`)).text()).toBe('Ollama is running');
  expect(await (await fetch(`${live.url}/api/version`)).json()).toHaveProperty('version');
  expect(await (await fetch(`${live.url}/api/tags`)).json()).toMatchObject({
    models: [{ name: 'small' }, { name: 'large' }],
  });
  expect(await (await live.post('/api/show', { model: 'small:latest' })).json()).toMatchObject({
    capabilities: ['completion', 'tools', 'vision'],
  });
  const missing = await live.post('/api/chat', {
    model: 'nope',
    messages: [{ role: 'user', content: 'x' }],
  });
  expect([missing.status, await missing.json()]).toEqual([
    404,
    { error: expect.stringContaining("no model 'nope'") },
  ]);
});

test('the planted key is in no answer, list, metric or usage report', async () => {
  live = await startGateway();
  provider().script({
    kind: 'status',
    status: 401,
    body: { error: { message: `Incorrect API key provided: ${plantedKey}.` } },
  });
  const texts = [await (await live.post('/v1/chat/completions', chatOf('x'))).text()];
  for (const path of ['/v1/models', '/metrics', '/mycel/targets', '/mycel/usage', '/health'])
    texts.push(await (await fetch(live.url + path)).text());
  texts.push(
    JSON.stringify(live.gateway.engine.desks.map(({ config }) => config)),
    live.reports.join('\n'),
  );
  expect(texts.join('\n')).not.toContain(plantedKey);
});
