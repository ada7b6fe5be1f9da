/**
 * The clients that people use, against the gateway, over stand-in providers that fail in every known way: what comes
 * out is whole, or an error. No client takes a truncated answer for a complete one.
 */

import { execFile } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';

import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage } from '@langchain/core/messages';
import type { AIMessageChunk } from '@langchain/core/messages';
import { concat } from '@langchain/core/utils/stream';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { embedMany, generateText, jsonSchema, Output, streamText } from 'ai';
import type { ToolSet } from 'ai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { chatOf, startGateway } from './live-gateway.ts';
import type { LiveGateway } from './live-gateway.ts';
import { hugeLength, startProvider } from './provider.ts';
import type { Fault, Provider } from './provider.ts';

/** Patient, for what ends well; the other one gives up soon, for what does not. */
let patient: LiveGateway;
let hasty: LiveGateway;
let count = 0;

/** The breakers must not remember one request's faults in the next: each has a model, and so a breaker, of its own. */
function nextModel(): string {
  count += 1;
  return `m${count}`;
}

const modelNames = Array.from({ length: 1_000 }, (_, at) => `m${at}`);

beforeAll(async () => {
  process.env['AI_SDK_LOG_WARNINGS'] = 'false';
  patient = await startGateway(1, {}, { models: modelNames, stallMs: 20_000 });
  hasty = await startGateway(
    1,
    {},
    { models: modelNames, stallMs: 800, answerMs: 1_000, firstByteMs: 1_000 },
    {},
    [{ name: 'closed', kind: 'openai', url: await closedPort(), models: ['unreachable'] }],
  );
});
/** Where nobody listens any more. */
async function closedPort(): Promise<string> {
  const { url, close } = await startProvider();
  await close();
  return url;
}

afterAll(async () => {
  await patient.close();
  await hasty.close();
});

/** With characters of two, three and four bytes: they may come in two packets. */
const prompt = 'a kettle süngs ☕ 🫖';
const words = prompt.split(' ');
/** What the stand-in says to that. */
const pieces = Array.from({ length: 12 }, (_, at) => `${words[at % words.length]}-${at}`);
const whole = pieces.join(' ');
/** What it says when one piece is much too long. */
const huge = `${pieces.slice(0, 6).join(' ')}${'h'.repeat(hugeLength)} ${pieces.slice(6).join(' ')}`;
/** Names two tools, and the stand-in calls both. */
const toolPrompt = 'use weather and clock in Rome';
const parameters = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
} as const;
const embedded = ['one', 'three'];

/** One way of asking; gives what a program would take for the answer, or throws. */
interface Way {
  readonly name: string;
  readonly kind: 'text' | 'tools' | 'embeddings';
  ask(model: string, url: string): Promise<unknown>;
}

const openai = (url: string): OpenAI =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: 'x', maxRetries: 0 });
const compatible = (url: string): ReturnType<typeof createOpenAICompatible> =>
  createOpenAICompatible({ name: 'mycel', baseURL: `${url}/v1`, includeUsage: true });
const langchain = (model: string, url: string): ChatOpenAI =>
  new ChatOpenAI({
    model,
    apiKey: 'x',
    maxRetries: 0,
    configuration: { baseURL: `${url}/v1` },
  });
const ollama = (url: string): Ollama => new Ollama({ host: url });

const toolNames = ['weather', 'clock'];
const openaiTools = toolNames.map((name) => ({
  type: 'function' as const,
  function: { name, parameters },
}));
const responsesTools = toolNames.map((name) => ({
  type: 'function' as const,
  name,
  parameters,
  strict: false,
}));
const aiTools = Object.fromEntries(
  toolNames.map((name) => [name, { inputSchema: jsonSchema(parameters) }]),
) as ToolSet;
const calls = toolNames.map((name) => ({ name, input: { city: 'Rome' } }));

const responsesCalls = (output: readonly OpenAI.Responses.ResponseOutputItem[]): unknown =>
  output.flatMap((item) =>
    item.type === 'function_call'
      ? [{ name: item.name, input: JSON.parse(item.arguments) as unknown }]
      : [],
  );

/** What a stream of the AI SDK came to; it tells its errors as parts of it. */
async function streamed(options: Parameters<typeof streamText>[0]) {
  const result = streamText({ ...options, maxRetries: 0, onError: () => undefined });
  const made: { name: string; input: unknown }[] = [];
  for await (const part of result.fullStream) {
    if (part.type === 'error') throw part.error;
    if (part.type === 'tool-call') made.push({ name: part.toolName, input: part.input as unknown });
  }
  return { text: await result.text, made };
}

/** What curl was told; a stream without its end mark is no whole one. */
async function curl(url: string, body: unknown): Promise<string> {
  const args = ['-sS', '-N', '--fail', '-d', JSON.stringify(body), `${url}/v1/chat/completions`];
  const { stdout } = await promisify(execFile)('curl', args, { maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

const ways: readonly Way[] = [
  {
    name: 'openai chat',
    kind: 'text',
    ask: async (model, url) =>
      (
        await openai(url).chat.completions.create({
          model,
          messages: [{ role: 'user', content: prompt }],
        })
      ).choices[0]?.message.content,
  },
  {
    name: 'openai stream',
    kind: 'text',
    async ask(model, url) {
      let text = '';
      const stream = await openai(url).chat.completions.create({
        model,
        stream: true,
        messages: [{ role: 'user', content: prompt }],
      });
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
      return text;
    },
  },
  {
    name: 'openai tools in a stream',
    kind: 'tools',
    async ask(model, url) {
      const runner = openai(url).chat.completions.stream({
        model,
        tools: openaiTools,
        messages: [{ role: 'user', content: toolPrompt }],
      });
      const { message } = (await runner.finalChatCompletion()).choices[0] ?? {};
      return message?.tool_calls?.map((made) =>
        made.type === 'function'
          ? { name: made.function.name, input: JSON.parse(made.function.arguments) as unknown }
          : made,
      );
    },
  },
  {
    name: 'openai responses',
    kind: 'text',
    ask: async (model, url) =>
      (await openai(url).responses.create({ model, input: prompt })).output_text,
  },
  {
    name: 'openai responses in a stream',
    kind: 'text',
    ask: async (model, url) =>
      (await openai(url).responses.stream({ model, input: prompt }).finalResponse()).output_text,
  },
  {
    name: 'openai responses with tools',
    kind: 'tools',
    ask: async (model, url) =>
      responsesCalls(
        (await openai(url).responses.create({ model, input: toolPrompt, tools: responsesTools }))
          .output,
      ),
  },
  {
    name: 'openai responses with tools in a stream',
    kind: 'tools',
    ask: async (model, url) =>
      responsesCalls(
        (
          await openai(url)
            .responses.stream({ model, input: toolPrompt, tools: responsesTools })
            .finalResponse()
        ).output,
      ),
  },
  {
    name: 'openai embeddings',
    kind: 'embeddings',
    ask: async (model, url) =>
      (await openai(url).embeddings.create({ model, input: embedded })).data.map(
        ({ embedding }) => embedding,
      ),
  },
  {
    name: 'ai generateText',
    kind: 'text',
    ask: async (model, url) =>
      (await generateText({ model: compatible(url)(model), prompt, maxRetries: 0 })).text,
  },
  {
    name: 'ai streamText',
    kind: 'text',
    ask: async (model, url) => (await streamed({ model: compatible(url)(model), prompt })).text,
  },
  {
    name: 'ai tools',
    kind: 'tools',
    async ask(model, url) {
      const { toolCalls } = await generateText({
        model: compatible(url)(model),
        tools: aiTools,
        prompt: toolPrompt,
        maxRetries: 0,
      });
      return toolCalls.map(({ toolName, input }) => ({ name: toolName, input: input as unknown }));
    },
  },
  {
    name: 'ai tools in a stream',
    kind: 'tools',
    ask: async (model, url) =>
      (await streamed({ model: compatible(url)(model), tools: aiTools, prompt: toolPrompt })).made,
  },
  {
    name: 'ai responses in a stream',
    kind: 'text',
    ask: async (model, url) =>
      (
        await streamed({
          model: createOpenAI({ baseURL: `${url}/v1`, apiKey: 'x' })(model),
          prompt,
        })
      ).text,
  },
  {
    name: 'ai responses with tools in a stream',
    kind: 'tools',
    ask: async (model, url) =>
      (
        await streamed({
          model: createOpenAI({ baseURL: `${url}/v1`, apiKey: 'x' })(model),
          tools: aiTools,
          prompt: toolPrompt,
        })
      ).made,
  },
  {
    name: 'ai embeddings',
    kind: 'embeddings',
    ask: async (model, url) =>
      (
        await embedMany({
          model: compatible(url).textEmbeddingModel(model),
          values: embedded,
          maxRetries: 0,
        })
      ).embeddings,
  },
  {
    name: 'langchain chat',
    kind: 'text',
    ask: async (model, url) =>
      (await langchain(model, url).invoke([new HumanMessage(prompt)])).content,
  },
  {
    name: 'langchain stream',
    kind: 'text',
    async ask(model, url) {
      let text = '';
      for await (const chunk of await langchain(model, url).stream(prompt)) text += chunk.text;
      return text;
    },
  },
  {
    name: 'langchain tools',
    kind: 'tools',
    ask: async (model, url) =>
      (await langchain(model, url).bindTools(openaiTools).invoke(toolPrompt)).tool_calls?.map(
        ({ name, args }) => ({ name, input: args as unknown }),
      ),
  },
  {
    name: 'langchain tools in a stream',
    kind: 'tools',
    async ask(model, url) {
      let all: AIMessageChunk | undefined;
      for await (const chunk of await langchain(model, url)
        .bindTools(openaiTools)
        .stream(toolPrompt))
        all = all === undefined ? chunk : concat(all, chunk);
      return all?.tool_calls?.map(({ name, args }) => ({ name, input: args as unknown }));
    },
  },
  {
    name: 'langchain embeddings',
    kind: 'embeddings',
    ask: (model, url) =>
      new OpenAIEmbeddings({
        model,
        apiKey: 'x',
        maxRetries: 0,
        configuration: { baseURL: `${url}/v1` },
      }).embedDocuments(embedded),
  },
  {
    name: 'ollama chat',
    kind: 'text',
    ask: async (model, url) =>
      (await ollama(url).chat({ model, messages: [{ role: 'user', content: prompt }] })).message
        .content,
  },
  {
    name: 'ollama stream',
    kind: 'text',
    async ask(model, url) {
      let text = '';
      for await (const part of await ollama(url).chat({
        model,
        stream: true,
        messages: [{ role: 'user', content: prompt }],
      }))
        text += part.message.content;
      return text;
    },
  },
  {
    name: 'ollama tools',
    kind: 'tools',
    async ask(model, url) {
      const tools = toolNames.map((name) => ({
        type: 'function',
        function: { name, description: '', parameters: { type: 'object', properties: {} } },
      }));
      const { message } = await ollama(url).chat({
        model,
        tools,
        messages: [{ role: 'user', content: toolPrompt }],
      });
      return message.tool_calls?.map(({ function: { name, arguments: input } }) => ({
        name,
        input: input as unknown,
      }));
    },
  },
  {
    name: 'ollama embeddings',
    kind: 'embeddings',
    ask: async (model, url) => (await ollama(url).embed({ model, input: embedded })).embeddings,
  },
  {
    name: 'curl',
    kind: 'text',
    async ask(model, url) {
      const messages = [{ role: 'user', content: prompt }];
      const answer = JSON.parse(await curl(url, { model, messages })) as OpenAI.ChatCompletion;
      return answer.choices[0]?.message.content;
    },
  },
  {
    name: 'curl stream',
    kind: 'text',
    async ask(model, url) {
      const messages = [{ role: 'user', content: prompt }];
      const lines = (await curl(url, { model, messages, stream: true })).split('\n');
      const events = lines.flatMap((line) => (line.startsWith('data: ') ? [line.slice(6)] : []));
      if (events.at(-1) !== '[DONE]') throw new Error('there is no end mark');
      const chunks = events
        .slice(0, -1)
        .map((one) => JSON.parse(one) as OpenAI.ChatCompletionChunk);
      return chunks.map(({ choices: [choice] }) => choice?.delta.content ?? '').join('');
    },
  },
];

/** What each way gives when all is well. */
const expected = {
  text: whole,
  tools: calls,
  embeddings: embedded.map((text, at) => [
    text.length / 128,
    (text.codePointAt(0) ?? 0) / 128,
    at / 128,
  ]),
} as const;

/** What a request cannot survive when there is no other target. */
const fatal: readonly Fault[] = [
  { kind: 'mute' },
  { kind: 'http-1.0-cut' },
  { kind: 'cut' },
  { kind: 'clean-end' },
  { kind: 'stall' },
  { kind: 'malformed' },
  { kind: 'error-event' },
  { kind: 'finish-error' },
  { kind: 'status', status: 429, headers: { 'retry-after': '30' } },
  { kind: 'status', status: 402 },
  { kind: 'status', status: 401 },
];

/** What it survives, and which ways can see it. */
const harmless: readonly (readonly [
  string,
  readonly (Fault | undefined)[],
  ('text' | 'tools' | 'embeddings')?,
])[] = [
  ['nothing wrong', [undefined]],
  ['a slow first token', [{ kind: 'slow-first', ms: 300 }]],
  ['a 429 without a time, then an answer', [{ kind: 'status', status: 429 }, undefined]],
  ['a 529, then an answer', [{ kind: 'status', status: 529 }, undefined]],
  ['a reset, then an answer', [{ kind: 'reset' }, undefined]],
  ['keep-alive comments', [{ kind: 'comments' }]],
  ['no end mark', [{ kind: 'no-done' }]],
  ['two end marks', [{ kind: 'double-done' }]],
  ['no usage', [{ kind: 'no-usage' }]],
  ['usage that cannot be', [{ kind: 'wrong-usage' }]],
  ['lines that end in two characters', [{ kind: 'crlf' }]],
  ['characters in two packets', [{ kind: 'split-utf8' }]],
  ['HTTP/1.0', [{ kind: 'http-1.0' }]],
  ['calls without an index', [{ kind: 'no-index' }], 'tools'],
  ['calls without an id', [{ kind: 'no-id' }], 'tools'],
  ['calls that are all the first', [{ kind: 'index-zero' }], 'tools'],
  ['calls and "stop"', [{ kind: 'stop-with-tools' }], 'tools'],
];

const described = (fault: Fault): string =>
  fault.kind === 'status'
    ? `${fault.status}${fault.headers === undefined ? '' : ' with retry-after'}`
    : fault.kind;

test.concurrent.each(ways)(
  '$name: whole when the target is well, and after what can be mended',
  async ({ ask, kind }) => {
    const seen = harmless.filter(([, , only]) => only === undefined || only === kind);
    const told = await Promise.all(
      seen.map(async ([name, script]) => {
        const model = nextModel();
        patient.providers[0]?.scriptFor(model, ...script);
        return [name, await ask(model, patient.url)];
      }),
    );
    expect(told).toEqual(seen.map(([name]) => [name, expected[kind]]));
  },
);

test.concurrent.each(ways.filter(({ kind }) => kind === 'text'))(
  '$name: whole with a piece of a million characters',
  async ({ ask }) => {
    const model = nextModel();
    patient.providers[0]?.scriptFor(model, { kind: 'huge' });
    const answer = String(await ask(model, patient.url));
    // Compared by itself: a difference of a million characters is not to be printed.
    expect([answer.length, answer === huge]).toEqual([huge.length, true]);
  },
);

test.concurrent.each(ways)('$name: an error when the answer is not whole', async ({ ask }) => {
  const told = await Promise.all(
    [...fatal, undefined].map(async (fault) => {
      const model = fault === undefined ? 'unreachable' : nextModel();
      if (fault !== undefined) hasty.providers[0]?.alwaysFor(model, fault);
      return [
        fault === undefined ? 'a refused connection' : described(fault),
        await ask(model, hasty.url).then(
          (answer) => ({ answer }),
          () => 'error',
        ),
      ];
    }),
  );
  const names = [...fatal.map(described), 'a refused connection'];
  expect(told).toEqual(names.map((name) => [name, 'error']));
});

describe('clients as they come, with their own idea of when to try again', () => {
  const bad = { messages: [{ role: 'user' as const, content: prompt }] };
  const budget = { tokens: { total: 1 } };
  let strict: LiveGateway;
  let requests = 0;
  const count = (message: unknown): void => {
    const { server } = message as { server: Server };
    const { port } = server.address() as AddressInfo;
    if (port === strict.gateway.http.port) requests += 1;
  };
  beforeAll(async () => {
    strict = await startGateway(
      1,
      {
        queue: { max: 1 },
        principals: [
          { name: 'poor', tokenEnv: 'POOR', budget },
          { name: 'rich', tokenEnv: 'RICH' },
        ],
      },
      { models: [{ name: 'small', context: 200 }, 'embed'], maxInflight: 1 },
      { POOR: 'poor', RICH: 'rich' },
    );
    subscribe('http.server.request.start', count);
  });
  afterAll(async () => {
    unsubscribe('http.server.request.start', count);
    await strict.close();
  });

  /** Each client of the same version as everybody's, told nothing of retries. */
  const clients = {
    openai: (apiKey: string) => (model: string, content: string) =>
      new OpenAI({ baseURL: `${strict.url}/v1`, apiKey }).chat.completions.create({
        model,
        messages: [{ role: 'user', content }],
      }),
    ai: (apiKey: string) => (model: string, content: string) =>
      generateText({
        model: createOpenAICompatible({ name: 'mycel', baseURL: `${strict.url}/v1`, apiKey })(
          model,
        ),
        prompt: content,
      }),
    langchain: (apiKey: string) => (model: string, content: string) =>
      new ChatOpenAI({ model, apiKey, configuration: { baseURL: `${strict.url}/v1` } }).invoke(
        content,
      ),
    ollama: (apiKey: string) => (model: string, content: string) =>
      new Ollama({ host: strict.url, headers: { authorization: `Bearer ${apiKey}` } }).chat({
        model,
        messages: [{ role: 'user', content }],
      }),
  };
  const names = Object.keys(clients) as (keyof typeof clients)[];

  const hopeless: readonly (readonly [string, string, string, string])[] = [
    ['an unknown model', 'rich', 'nope', prompt],
    ['a missing model', 'rich', '', prompt],
    ['a context that is too long', 'rich', 'small', 'word '.repeat(2_000)],
    ['an unknown principal', 'stranger', 'small', prompt],
    ['an exhausted budget', 'poor', 'small', prompt],
  ];
  test.each(names.flatMap((name) => hopeless.map((one) => [name, ...one] as const)))(
    '%s asks once for %s',
    async (name, _, key, model, content) => {
      const before = requests;
      await expect(clients[name](key)(model, content)).rejects.toThrow();
      expect(requests - before).toBe(1);
    },
  );

  const tools = [{ type: 'function', function: { name: 'a b', parameters: { type: 'text' } } }];
  const refused: readonly (readonly [string, () => Promise<unknown>])[] = [
    [
      'openai, of a tool that is none',
      () => openaiAs('rich').chat.completions.create({ model: 'small', ...bad, tools } as never),
    ],
    [
      'langchain, of a tool that is none',
      () =>
        new ChatOpenAI({
          model: 'small',
          apiKey: 'rich',
          configuration: { baseURL: `${strict.url}/v1` },
        })
          .bindTools(tools as never)
          .invoke(prompt),
    ],
    [
      'openai, of what would have to be kept',
      () =>
        openaiAs('rich').responses.create({
          model: 'small',
          input: prompt,
          previous_response_id: 'resp_1',
        }),
    ],
    [
      'ai, of what would have to be kept',
      () =>
        generateText({
          model: createOpenAI({ baseURL: `${strict.url}/v1`, apiKey: 'rich' })('small'),
          prompt,
          providerOptions: { openai: { previousResponseId: 'resp_1' } },
        }),
    ],
  ];
  const openaiAs = (apiKey: string): OpenAI => new OpenAI({ baseURL: `${strict.url}/v1`, apiKey });
  test.each(refused)('%s: once', async (_, ask) => {
    const before = requests;
    await expect(ask()).rejects.toThrow();
    expect(requests - before).toBe(1);
  });

  test('a full queue is come back to, no sooner than it says', async () => {
    const provider = strict.providers[0] as Provider;
    const release = provider.hold();
    const headers = { authorization: 'Bearer rich' };
    const filling = ['first', 'second'].map((text) =>
      strict.post('/v1/chat/completions', chatOf(text), headers),
    );
    await vi.waitFor(() => expect(strict.gateway.engine.inflight()).toBe(2), 20_000);
    const refusal = await strict.post('/v1/chat/completions', chatOf('third'), headers);
    expect(refusal.status).toBe(429);
    const waitMs = Number(refusal.headers.get('retry-after-ms'));
    const before = requests;
    const askedAt = performance.now();
    const settled = Promise.allSettled(
      names.map(async (name) => {
        await clients[name]('rich')('small', `${name} asks`);
        return performance.now() - askedAt;
      }),
    );
    await vi.waitFor(() => expect(requests - before).toBe(names.length), 20_000);
    release();
    await Promise.all(filling);
    const told = await settled;
    // Ollama's client never tries again, the others once.
    expect(told.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
    ]);
    expect(waitMs).toBeGreaterThan(0);
    for (const one of told.slice(0, 2)) {
      expect((one as PromiseFulfilledResult<number>).value).toBeGreaterThanOrEqual(waitMs);
    }
  });
});

describe('what goes through as it is', () => {
  const base64 =
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
  const picture = `data:image/png;base64,${base64}`;
  const schema = {
    type: 'object',
    properties: { answer: { type: 'number' } },
    required: ['answer'],
    additionalProperties: false,
  } as const;
  const format = { name: 'told', strict: true, schema: { ...schema } };

  /** Each asks about a picture, and wants its answer in a shape; gives that. */
  const askers: Readonly<Record<string, (model: string) => Promise<unknown>>> = {
    async openai(model) {
      const { choices } = await openai(patient.url).chat.completions.create({
        model,
        response_format: { type: 'json_schema', json_schema: format },
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: prompt },
              { type: 'image_url', image_url: { url: picture } },
            ],
          },
        ],
      });
      return JSON.parse(choices[0]?.message.content ?? '');
    },
    async responses(model) {
      const { output_text: text } = await openai(patient.url).responses.create({
        model,
        text: { format: { type: 'json_schema', ...format } },
        input: [
          {
            role: 'user',
            content: [
              { type: 'input_text', text: prompt },
              { type: 'input_image', image_url: picture, detail: 'auto' },
            ],
          },
        ],
      });
      return JSON.parse(text);
    },
    async ai(model) {
      const { output } = await generateText({
        model: createOpenAI({ baseURL: `${patient.url}/v1`, apiKey: 'x' }).chat(model),
        maxRetries: 0,
        output: Output.object({ schema: jsonSchema<object>(schema) }),
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: prompt },
              { type: 'image', image: picture },
            ],
          },
        ],
      });
      return output;
    },
    langchain: (model) =>
      langchain(model, patient.url)
        .withStructuredOutput({ ...schema, title: 'told' }, { method: 'jsonSchema' })
        .invoke([
          new HumanMessage({
            content: [
              { type: 'text', text: prompt },
              { type: 'image_url', image_url: { url: picture } },
            ],
          }),
        ]),
    async ollama(model) {
      const { message } = await ollama(patient.url).chat({
        model,
        format: schema,
        messages: [{ role: 'user', content: prompt, images: [base64] }],
      });
      return JSON.parse(message.content);
    },
  };
  test.each(Object.entries(askers))('a picture and a schema, of %s', async (_, ask) => {
    const model = nextModel();
    expect(await ask(model)).toEqual({ answer: expect.any(Number) });
    const body = patient.providers[0]?.seen.findLast((seen) => seen.body['model'] === model)?.body;
    const messages = (body?.['messages'] ?? []) as {
      content: { type: string; text?: string; image_url?: { url: string } }[];
    }[];
    const content = messages.flatMap((message) => message.content);
    expect(content.map(({ text, image_url: image }) => text ?? image?.url)).toEqual([
      prompt,
      picture,
    ]);
    expect(body?.['response_format']).toMatchObject({
      type: 'json_schema',
      json_schema: { schema: { properties: schema.properties, required: schema.required } },
    });
  });

  test('the list of models, and one of them', async () => {
    const { models } = openai(patient.url);
    expect((await models.list()).data.map(({ id }) => id)).toEqual(modelNames);
    expect(await models.retrieve('m7')).toMatchObject({ id: 'm7', object: 'model' });
    const { models: native } = await ollama(patient.url).list();
    expect(native.map(({ name }) => name)).toEqual(modelNames);
  });
});
