/** Chat over HTTP: whole and streamed, tools, errors in one shape, and no truncated answer that looks complete. */

import { once } from 'node:events';
import { connect } from 'node:net';

import { afterEach, describe, expect, test } from 'vitest';

import { chatOf, plantedKey, startGateway } from './live-gateway.ts';
import type { LiveGateway } from './live-gateway.ts';
import type { Fault } from './provider.ts';

let live: LiveGateway;
afterEach(() => live.close());

interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly code: string;
    readonly param: string | null;
  };
}

async function eventsOf(response: Response): Promise<string[]> {
  return (await response.text())
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice(6));
}

describe('an answer', () => {
  test('comes whole, with usage, under the name that was asked for', async () => {
    live = await startGateway();
    const response = await live.post('/v1/chat/completions', chatOf('say it'));
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      object: 'chat.completion',
      model: 'small',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: expect.stringContaining('say-0') },
          finish_reason: 'stop',
        },
      ],
      usage: { completion_tokens: 12 },
    });
    expect(live.providers[0]?.seen[0]?.authorization).toBe(`Bearer ${plantedKey}`);
  });

  test('comes as a stream: a role first, a finish, usage only when asked for, and an end', async () => {
    live = await startGateway();
    const events = await eventsOf(
      await live.post('/v1/chat/completions', chatOf('tell', { stream: true })),
    );
    expect(events.at(-1)).toBe('[DONE]');
    const chunks = events.slice(0, -1).map(
      (event) =>
        JSON.parse(event) as {
          choices: { delta: { role?: string; content?: string }; finish_reason: string | null }[];
          usage?: unknown;
        },
    );
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant');
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toContain(
      'tell-0 tell-1',
    );
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('stop');
    expect(chunks.some((chunk) => chunk.usage !== undefined)).toBe(false);
    const asked = await eventsOf(
      await live.post(
        '/v1/chat/completions',
        chatOf('tell', { stream: true, stream_options: { include_usage: true } }),
      ),
    );
    expect(JSON.parse(asked.at(-2) ?? '')).toMatchObject({
      choices: [],
      usage: { completion_tokens: 12 },
    });
  });

  test.each<Fault['kind']>(['no-index', 'no-id', 'index-zero', 'stop-with-tools'])(
    'mends tool calls: %s',
    async (kind) => {
      live = await startGateway();
      live.providers[0]?.always({ kind } as Fault);
      const tools = ['weather', 'clock'].map((name) => ({
        type: 'function',
        function: {
          name,
          parameters: { type: 'object', properties: { city: { type: 'string' } } },
        },
      }));
      const events = await eventsOf(
        await live.post(
          '/v1/chat/completions',
          chatOf('weather and clock in Rome', { tools, stream: true }),
        ),
      );
      const calls: { id: string; name: string; input: string }[] = [];
      let finish: string | null = null;
      for (const event of events.slice(0, -1)) {
        const [choice] = (
          JSON.parse(event) as {
            choices: {
              delta: {
                tool_calls?: {
                  index: number;
                  id?: string;
                  function: { name?: string; arguments: string };
                }[];
              };
              finish_reason: string | null;
            }[];
          }
        ).choices;
        finish = choice?.finish_reason ?? finish;
        for (const call of choice?.delta.tool_calls ?? []) {
          const entry = (calls[call.index] ??= { id: '', name: '', input: '' });
          entry.id += call.id ?? '';
          entry.name += call.function.name ?? '';
          entry.input += call.function.arguments;
        }
      }
      expect(calls.map(({ name, input }) => [name, input])).toEqual([
        ['weather', '{"city":"Rome"}'],
        ['clock', '{"city":"Rome"}'],
      ]);
      expect(new Set(calls.map(({ id }) => id)).size).toBe(2);
      expect(calls.every(({ id }) => id !== '')).toBe(true);
      expect(finish).toBe('tool_calls');
    },
  );

  test.each<Fault['kind']>([
    'crlf',
    'bytes',
    'comments',
    'no-done',
    'double-done',
    'no-usage',
    'huge',
    'http-1.0',
    'split-utf8',
    'wrong-usage',
  ])('survives what is odd but whole: %s', async (kind) => {
    live = await startGateway();
    live.providers[0]?.always({ kind } as Fault);
    const events = await eventsOf(
      await live.post('/v1/chat/completions', chatOf('grüß €', { stream: true })),
    );
    expect(events.at(-1)).toBe('[DONE]');
    expect(events.join('')).toContain('grüß-0');
  });

  test('keeps fields that it does not know', async () => {
    live = await startGateway();
    live.providers[0]?.script({
      kind: 'status',
      status: 200,
      body: {
        id: 'x',
        system_fingerprint: 'fp',
        choices: [
          {
            index: 0,
            finish_reason: 'stop',
            logprobs: { content: [] },
            message: { role: 'assistant', content: 'hi', annotations: [1] },
          },
        ],
      },
    });
    expect(await (await live.post('/v1/chat/completions', chatOf('x'))).json()).toMatchObject({
      system_fingerprint: 'fp',
      choices: [{ logprobs: { content: [] }, message: { content: 'hi', annotations: [1] } }],
    });
  });
});

describe('a failure', () => {
  test.each<Fault['kind']>([
    'stall',
    'cut',
    'clean-end',
    'malformed',
    'error-event',
    'finish-error',
  ])('in the middle of a stream is told in it, without an end mark: %s', async (kind) => {
    live = await startGateway();
    live.providers[0]?.always({ kind } as Fault);
    const events = await eventsOf(
      await live.post('/v1/chat/completions', chatOf('go on', { stream: true })),
    );
    expect(events).not.toContain('[DONE]');
    expect((JSON.parse(events.at(-1) ?? '{}') as ErrorBody).error.message).toContain('stand-in-0');
    expect(events.join('')).not.toContain('"finish_reason":"stop"');
  });

  test.each<Fault['kind']>(['stall', 'cut', 'clean-end', 'malformed', 'error-event', 'reset'])(
    'of a whole answer is a status: %s',
    async (kind) => {
      live = await startGateway(1, {}, { answerMs: 1_500 });
      live.providers[0]?.always({ kind } as Fault);
      const response = await live.post('/v1/chat/completions', chatOf('go on'));
      expect(response.status).toBeGreaterThanOrEqual(500);
      expect(response.headers.get('x-should-retry')).toBe('false');
      expect(((await response.json()) as ErrorBody).error.type).toBe('upstream_error');
    },
  );

  test.each<Fault['kind']>(['stall', 'cut', 'clean-end', 'malformed', 'error-event', 'reset'])(
    'of one target is made good by another: %s',
    async (kind) => {
      live = await startGateway(2, {}, { answerMs: 1_500 });
      live.providers[0]?.always({ kind } as Fault);
      const response = await live.post('/v1/chat/completions', chatOf('go on'));
      expect(response.status).toBe(200);
      expect(live.providers[1]?.seen).toHaveLength(1);
    },
  );

  test.each([
    [402, {}, 402, 'upstream_funds'],
    [401, {}, 502, 'upstream_auth'],
    [429, { 'retry-after': '7' }, 429, 'rate_limit_exceeded'],
    [529, {}, 503, 'upstream_overloaded'],
    [503, {}, 503, 'upstream_overloaded'],
    [500, {}, 503, 'upstream_overloaded'],
  ])('with status %i %j is told as %i', async (status, headers, told, code) => {
    live = await startGateway();
    live.providers[0]?.always({
      kind: 'status',
      status,
      headers,
      body: status === 500 ? '<html>oops' : { error: { message: `bad ${plantedKey}` } },
    });
    const response = await live.post('/v1/chat/completions', chatOf('x'));
    expect(response.status).toBe(told);
    const text = await response.text();
    expect((JSON.parse(text) as ErrorBody).error.code).toBe(code);
    expect(text).not.toContain(plantedKey);
    if (told === 429) expect(response.headers.get('retry-after')).toBe('7');
  });

  test('a 429 without a time, or with a short one, is waited for', async () => {
    live = await startGateway();
    live.providers[0]?.script(
      { kind: 'status', status: 429 },
      { kind: 'status', status: 429, headers: { 'retry-after-ms': '50' } },
    );
    expect((await live.post('/v1/chat/completions', chatOf('x'))).status).toBe(200);
    expect(live.providers[0]?.seen).toHaveLength(3);
  });
});

describe('bad input', () => {
  const tool = (parameters: unknown): unknown => [
    { type: 'function', function: { name: 'weather', parameters } },
  ];
  test.each([
    ['no model', { messages: [{ role: 'user', content: 'x' }] }, 400, 'model'],
    ['an unknown model', chatOf('x', { model: 'nope' }), 404, 'model'],
    ['no messages', { model: 'small' }, 400, 'messages'],
    ['an empty list of messages', { model: 'small', messages: [] }, 400, 'messages'],
    [
      'a strange role',
      { model: 'small', messages: [{ role: 'boss', content: 'x' }] },
      400,
      'messages[0].role',
    ],
    [
      'a bad tool name',
      chatOf('x', { tools: [{ type: 'function', function: { name: 'a b' } }] }),
      400,
      'tools[0].function.name',
    ],
    [
      'a schema that is no object',
      chatOf('x', { tools: tool('string') }),
      400,
      'tools[0].function.parameters',
    ],
    [
      'a schema of an unknown type',
      chatOf('x', { tools: tool({ type: 'object', properties: { a: { type: 'text' } } }) }),
      400,
      'tools[0].function.parameters.properties.a.type',
    ],
    ['more than one choice', chatOf('x', { n: 2 }), 400, 'n'],
    ['no JSON', '{"model":', 400, null],
    ['a list', '[]', 400, null],
  ])('%s is refused with what to change', async (_, body, status, param) => {
    live = await startGateway();
    const response = await live.post('/v1/chat/completions', body);
    const { error } = (await response.json()) as ErrorBody;
    expect([response.status, error.param, error.type]).toEqual([
      status,
      param,
      'invalid_request_error',
    ]);
    expect(response.headers.get('x-should-retry')).toBe('false');
    expect(live.providers[0]?.seen).toEqual([]);
  });

  test('a context that is too long keeps its code, whatever the target calls it', async () => {
    live = await startGateway(2);
    live.providers[0]?.always({
      kind: 'status',
      status: 400,
      body: { error: { message: "This model's maximum context length is 10 tokens.", type: 'x' } },
    });
    const response = await live.post('/v1/chat/completions', chatOf('x'));
    expect([response.status, ((await response.json()) as ErrorBody).error.code]).toEqual([
      400,
      'context_length_exceeded',
    ]);
    expect(live.providers[1]?.seen).toEqual([]);
  });

  test('a context known to be too long is not even sent', async () => {
    live = await startGateway(1, {}, { models: [{ name: 'small', context: 100 }] });
    const response = await live.post('/v1/chat/completions', chatOf('word '.repeat(1000)));
    expect(((await response.json()) as ErrorBody).error.code).toBe('context_length_exceeded');
    expect(live.providers[0]?.seen).toEqual([]);
    // It was over before it had begun, and takes no place for good.
    expect(live.gateway.engine.inflight()).toBe(0);
  });

  test('a wrong or missing token, a foreign host name and an unknown path', async () => {
    live = await startGateway(
      1,
      { principals: [{ name: 'bench', tokenEnv: 'TOKEN' }] },
      {},
      { TOKEN: 'right' },
    );
    expect((await live.post('/v1/chat/completions', chatOf('x'))).status).toBe(401);
    expect(
      (await live.post('/v1/chat/completions', chatOf('x'), { authorization: 'Bearer wrong' }))
        .status,
    ).toBe(401);
    expect(
      (await live.post('/v1/chat/completions', chatOf('x'), { authorization: 'Bearer right' }))
        .status,
    ).toBe(200);
    expect((await live.post('/v1/nothing', {}, { authorization: 'Bearer right' })).status).toBe(
      404,
    );
    expect(
      (
        await fetch(`${live.url}/v1/chat/completions`, {
          headers: { authorization: 'Bearer right' },
        })
      ).status,
    ).toBe(405);
    expect((await fetch(`${live.url}/health`)).status).toBe(200);
  });
});

test('a client that leaves in the middle of its request is nobody’s bug', async () => {
  live = await startGateway();
  const socket = connect(live.gateway.http.port, '127.0.0.1');
  socket.write(
    'POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000\r\n\r\n{"model"',
  );
  await once(socket, 'connect');
  // It has come as far as the handler once another request has been answered.
  await live.post('/v1/chat/completions', chatOf('x'));
  socket.destroy();
  expect((await live.post('/v1/chat/completions', chatOf('y'))).status).toBe(200);
  await live.gateway.close();
  expect(live.reports).toEqual([]);
});
