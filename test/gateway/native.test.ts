/** Anthropic and Gemini through their libraries, over stand-ins that speak their formats: whole answers, and faults that are told. */

import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { afterEach, expect, test } from 'vitest';

import { chatOf, plantedKey, startGateway } from './live-gateway.ts';
import type { LiveGateway } from './live-gateway.ts';

type Kind = 'anthropic' | 'gemini';
type Fault = 'cut' | 'clean-end' | 'stall' | 'error-event' | 529 | 429 | 401;

let live: LiveGateway | undefined;
let server: Server | undefined;
afterEach(async () => {
  await live?.close();
  server?.closeAllConnections();
  server?.close();
});

const words = ['hello', ' from', ' a', ' stand-in'];

/** The events of an answer in the provider's own format. */
function eventsOf(kind: Kind, wantsTool: boolean): string[] {
  if (kind === 'gemini') {
    const chunk = (parts: unknown, finishReason?: string): string =>
      `data: ${JSON.stringify({ candidates: [{ content: { role: 'model', parts }, ...(finishReason === undefined ? {} : { finishReason }), index: 0 }], usageMetadata: { promptTokenCount: 7, candidatesTokenCount: 4, totalTokenCount: 11 } })}\r\n\r\n`;
    if (wantsTool)
      return [chunk([{ functionCall: { name: 'weather', args: { city: 'Rome' } } }], 'STOP')];
    return words.map((text, at) => chunk([{ text }], at === words.length - 1 ? 'STOP' : undefined));
  }
  const event = (type: string, fields: object): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
  const start = event('message_start', {
    message: {
      id: 'm',
      type: 'message',
      role: 'assistant',
      model: 'claude',
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { input_tokens: 7, output_tokens: 1 },
    },
  });
  const end = (reason: string): string =>
    event('message_delta', {
      delta: { stop_reason: reason, stop_sequence: null },
      usage: { output_tokens: 4 },
    }) + event('message_stop', {});
  if (wantsTool) {
    return [
      start,
      event('content_block_start', {
        index: 0,
        content_block: { type: 'tool_use', id: 'toolu_1', name: 'weather', input: {} },
      }),
      ...['{"city":', '"Rome"}'].map((partial) =>
        event('content_block_delta', {
          index: 0,
          delta: { type: 'input_json_delta', partial_json: partial },
        }),
      ),
      event('content_block_stop', { index: 0 }),
      end('tool_use'),
    ];
  }
  return [
    start,
    event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    event('ping', {}),
    ...words.map((text) =>
      event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }),
    ),
    event('content_block_stop', { index: 0 }),
    end('end_turn'),
  ];
}

async function start(
  kind: Kind,
  fault?: Fault,
): Promise<{ url: string; seen: { key: unknown; body: Record<string, unknown> }[] }> {
  const seen: { key: unknown; body: Record<string, unknown> }[] = [];
  server = createServer((request, response) => {
    let text = '';
    request.on('data', (piece: Buffer) => (text += piece.toString()));
    request.on('end', () => {
      const body = JSON.parse(text) as Record<string, unknown>;
      seen.push({ key: request.headers['x-api-key'] ?? request.headers['x-goog-api-key'], body });
      answer(response, kind, body['tools'] !== undefined, fault);
    });
  });
  await new Promise<void>((resolve) => {
    server?.listen(0, '127.0.0.1', resolve);
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, seen };
}

function answer(
  response: ServerResponse,
  kind: Kind,
  wantsTool: boolean,
  fault: Fault | undefined,
): void {
  if (typeof fault === 'number') {
    response.writeHead(fault, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({
        type: 'error',
        error: { type: 'x', code: fault, message: `no, ${plantedKey}` },
      }),
    );
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const events = eventsOf(kind, wantsTool);
  const half = events.slice(0, Math.ceil(events.length / 2));
  for (const event of fault === undefined ? events : half) response.write(event);
  if (fault === 'stall') return;
  if (fault === 'cut') return void setTimeout(() => response.destroy(), 20);
  if (fault === 'error-event') {
    response.write(
      kind === 'gemini'
        ? 'data: {broken\n\n'
        : `event: error\ndata: ${JSON.stringify({ type: 'error', error: { type: 'overloaded_error', message: 'busy' } })}\n\n`,
    );
  }
  response.end();
}

async function open(kind: Kind, fault?: Fault): Promise<Awaited<ReturnType<typeof start>>> {
  const provider = await start(kind, fault);
  live = await startGateway(0, {
    targets: [
      {
        name: 'far',
        kind,
        url: provider.url,
        apiKeyEnv: 'PLANTED_KEY',
        models: ['m'],
        firstByteMs: 20_000,
        stallMs: 1_000,
      },
    ],
  });
  return provider;
}

const post = (body: Record<string, unknown>): Promise<Response> =>
  (live as LiveGateway).post('/v1/chat/completions', { ...body, model: 'm' });

test('the libraries have what is called by name', () => {
  expect([typeof createAnthropic, typeof createGoogleGenerativeAI]).toEqual([
    'function',
    'function',
  ]);
});

test.each<Kind>(['anthropic', 'gemini'])(
  '%s answers whole, in a stream and with tools',
  async (kind) => {
    const { seen } = await open(kind);
    const whole = (await (await post(chatOf('hi', { max_tokens: 50 }))).json()) as {
      choices: { message: { content: string }; finish_reason: string }[];
      usage: object;
    };
    expect(whole.choices[0]).toMatchObject({
      message: { content: words.join('') },
      finish_reason: 'stop',
    });
    expect(whole.usage).toMatchObject({ prompt_tokens: 7, completion_tokens: 4 });
    const stream = await (await post(chatOf('hi', { stream: true, temperature: 1 }))).text();
    expect(stream.trimEnd().endsWith('data: [DONE]')).toBe(true);
    const tools = [
      {
        type: 'function',
        function: {
          name: 'weather',
          parameters: { type: 'object', properties: { city: { type: 'string' } } },
        },
      },
    ];
    const called = (await (await post(chatOf('weather?', { tools }))).json()) as {
      choices: {
        message: { tool_calls: { function: { name: string; arguments: string } }[] };
        finish_reason: string;
      }[];
    };
    expect(called.choices[0]?.finish_reason).toBe('tool_calls');
    const [call] = called.choices[0]?.message.tool_calls ?? [];
    expect([call?.function.name, JSON.parse(call?.function.arguments ?? '')]).toEqual([
      'weather',
      { city: 'Rome' },
    ]);
    const second = chatOf('weather?', {
      tools,
      messages: [
        { role: 'system', content: 'short' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'look' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } },
          ],
        },
        {
          role: 'assistant',
          content: null,
          tool_calls: [
            {
              id: 'c1',
              type: 'function',
              function: { name: 'weather', arguments: '{"city":"Rome"}' },
            },
          ],
        },
        { role: 'tool', tool_call_id: 'c1', content: 'sunny' },
      ],
    });
    expect((await post(second)).status).toBe(200);
    expect(JSON.stringify(seen.at(-1)?.body)).toContain('iVBORw0KGgo=');
    expect(seen.every(({ key }) => key === plantedKey)).toBe(true);
  },
);

test.each<[Kind, Fault]>([
  ['anthropic', 'cut'],
  ['anthropic', 'clean-end'],
  ['anthropic', 'stall'],
  ['anthropic', 'error-event'],
  ['gemini', 'cut'],
  ['gemini', 'clean-end'],
  ['gemini', 'stall'],
  ['gemini', 'error-event'],
])('%s: what is cut is an error: %s', async (kind, fault) => {
  await open(kind, fault);
  const stream = await (await post(chatOf('hi', { stream: true }))).text();
  expect(stream).not.toContain('[DONE]');
  expect(stream).toContain('"error"');
  expect((await post(chatOf('hi'))).status).toBeGreaterThanOrEqual(500);
});

test.each<[Kind, Fault, number]>([
  ['anthropic', 529, 503],
  ['anthropic', 429, 429],
  ['anthropic', 401, 502],
  ['gemini', 429, 429],
])('%s: status %i is told as %i, without the key', async (kind, fault, status) => {
  await open(kind, fault);
  const response = await post(chatOf('hi'));
  expect(response.status).toBe(status);
  expect(await response.text()).not.toContain(plantedKey);
});
