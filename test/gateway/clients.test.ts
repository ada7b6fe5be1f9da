/**
 * The clients that people use, against the gateway, over stand-in providers that fail in every known way: what comes
 * out is whole, or an error. No client takes a truncated answer for a complete one.
 */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage } from '@langchain/core/messages';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { embedMany, generateText, jsonSchema, streamText } from 'ai';
import type { ToolSet } from 'ai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { startGateway } from './live-gateway.ts';
import type { LiveGateway } from './live-gateway.ts';
import type { Fault } from './provider.ts';

/** Patient, for what ends well; the other one gives up soon, for what does not. */
let patient: LiveGateway;
let hasty: LiveGateway;
let count = 0;

/** The breakers must not remember one request's faults in the next: each has a model, and so a breaker, of its own. */
function nextModel(): string {
  count += 1;
  return `m${count}`;
}

const modelNames = Array.from({ length: 400 }, (_, at) => `m${at}`);

beforeAll(async () => {
  process.env['AI_SDK_LOG_WARNINGS'] = 'false';
  patient = await startGateway(1, {}, { models: modelNames });
  hasty = await startGateway(1, {}, { models: modelNames, stallMs: 800, answerMs: 1_000 });
});
afterAll(async () => {
  await patient.close();
  await hasty.close();
});

const prompt = 'a kettle sings';
/** What the stand-in says to that. */
const whole = Array.from({ length: 12 }, (_, at) => `${prompt.split(' ')[at % 3]}-${at}`).join(' ');
const toolPrompt = 'use weather in Rome';
const parameters = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
} as const;
const embedded = ['one', 'three'];

/** One way of asking; gives what a program would take for the answer, or throws. */
interface Way {
  readonly name: string;
  readonly expected: unknown;
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

const openaiTools = [{ type: 'function' as const, function: { name: 'weather', parameters } }];
const call = { name: 'weather', input: { city: 'Rome' } };

const ways: readonly Way[] = [
  {
    name: 'openai chat',
    expected: whole,
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
    expected: whole,
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
    expected: call,
    async ask(model, url) {
      const runner = openai(url).chat.completions.stream({
        model,
        tools: openaiTools,
        messages: [{ role: 'user', content: toolPrompt }],
      });
      const { message } = (await runner.finalChatCompletion()).choices[0] ?? {};
      const made = message?.tool_calls?.[0];
      return made?.type === 'function'
        ? { name: made.function.name, input: JSON.parse(made.function.arguments) as unknown }
        : undefined;
    },
  },
  {
    name: 'openai responses',
    expected: whole,
    ask: async (model, url) =>
      (await openai(url).responses.create({ model, input: prompt })).output_text,
  },
  {
    name: 'openai responses in a stream',
    expected: whole,
    ask: async (model, url) =>
      (await openai(url).responses.stream({ model, input: prompt }).finalResponse()).output_text,
  },
  {
    name: 'openai embeddings',
    expected: embedded.map((text, at) => [
      text.length / 128,
      (text.codePointAt(0) ?? 0) / 128,
      at / 128,
    ]),
    ask: async (model, url) =>
      (await openai(url).embeddings.create({ model, input: embedded })).data.map(
        ({ embedding }) => embedding,
      ),
  },
  {
    name: 'ai generateText',
    expected: whole,
    ask: async (model, url) =>
      (await generateText({ model: compatible(url)(model), prompt, maxRetries: 0 })).text,
  },
  {
    name: 'ai streamText',
    expected: whole,
    async ask(model, url) {
      const result = streamText({
        model: compatible(url)(model),
        prompt,
        maxRetries: 0,
        onError: () => undefined,
      });
      for await (const part of result.fullStream) if (part.type === 'error') throw part.error;
      return result.text;
    },
  },
  {
    name: 'ai tools',
    expected: call,
    async ask(model, url) {
      const tools = { weather: { inputSchema: jsonSchema(parameters) } } as ToolSet;
      const { toolCalls } = await generateText({
        model: compatible(url)(model),
        tools,
        prompt: toolPrompt,
        maxRetries: 0,
      });
      return { name: toolCalls[0]?.toolName, input: toolCalls[0]?.input as unknown };
    },
  },
  {
    name: 'ai responses in a stream',
    expected: whole,
    async ask(model, url) {
      const result = streamText({
        model: createOpenAI({ baseURL: `${url}/v1`, apiKey: 'x' })(model),
        prompt,
        maxRetries: 0,
        onError: () => undefined,
      });
      for await (const part of result.fullStream) if (part.type === 'error') throw part.error;
      return result.text;
    },
  },
  {
    name: 'ai embeddings',
    expected: embedded.map((text, at) => [
      text.length / 128,
      (text.codePointAt(0) ?? 0) / 128,
      at / 128,
    ]),
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
    expected: whole,
    ask: async (model, url) =>
      (await langchain(model, url).invoke([new HumanMessage(prompt)])).content,
  },
  {
    name: 'langchain stream',
    expected: whole,
    async ask(model, url) {
      let text = '';
      for await (const chunk of await langchain(model, url).stream(prompt)) text += chunk.text;
      return text;
    },
  },
  {
    name: 'langchain tools',
    expected: call,
    async ask(model, url) {
      const made = (await langchain(model, url).bindTools(openaiTools).invoke(toolPrompt))
        .tool_calls?.[0];
      return { name: made?.name, input: made?.args as unknown };
    },
  },
  {
    name: 'langchain embeddings',
    expected: embedded.map((text, at) => [
      text.length / 128,
      (text.codePointAt(0) ?? 0) / 128,
      at / 128,
    ]),
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
    expected: whole,
    ask: async (model, url) =>
      (await ollama(url).chat({ model, messages: [{ role: 'user', content: prompt }] })).message
        .content,
  },
  {
    name: 'ollama stream',
    expected: whole,
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
    expected: call,
    async ask(model, url) {
      const tools = [
        {
          type: 'function',
          function: {
            name: 'weather',
            description: '',
            parameters: { type: 'object', properties: {} },
          },
        },
      ];
      const made = (
        await ollama(url).chat({ model, tools, messages: [{ role: 'user', content: toolPrompt }] })
      ).message.tool_calls?.[0];
      return { name: made?.function.name, input: made?.function.arguments as unknown };
    },
  },
  {
    name: 'ollama embeddings',
    expected: embedded.map((text, at) => [
      text.length / 128,
      (text.codePointAt(0) ?? 0) / 128,
      at / 128,
    ]),
    ask: async (model, url) => (await ollama(url).embed({ model, input: embedded })).embeddings,
  },
  {
    name: 'curl',
    expected: whole,
    async ask(model, url) {
      const body = JSON.stringify({ model, messages: [{ role: 'user', content: prompt }] });
      const { stdout } = await promisify(execFile)('curl', [
        '-sS',
        '--fail',
        '-d',
        body,
        `${url}/v1/chat/completions`,
      ]);
      return (JSON.parse(stdout) as { choices: { message: { content: string } }[] }).choices[0]
        ?.message.content;
    },
  },
];

/** What a request cannot survive when there is no other target. */
const fatal: readonly Fault[] = [
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

/** What it survives. */
const harmless: readonly (readonly [string, readonly (Fault | undefined)[]])[] = [
  ['nothing wrong', [undefined]],
  ['a slow first token', [{ kind: 'slow-first', ms: 300 }]],
  ['a 429 without a time, then an answer', [{ kind: 'status', status: 429 }, undefined]],
  ['a 529, then an answer', [{ kind: 'status', status: 529 }, undefined]],
  ['a reset, then an answer', [{ kind: 'reset' }, undefined]],
  ['keep-alive comments', [{ kind: 'comments' }]],
  ['no end mark', [{ kind: 'no-done' }]],
  ['no usage', [{ kind: 'no-usage' }]],
];

const described = (fault: Fault): string =>
  fault.kind === 'status'
    ? `${fault.status}${fault.headers === undefined ? '' : ' with retry-after'}`
    : fault.kind;

test.concurrent.each(ways)(
  '$name: whole when the target is well, and after what can be mended',
  async ({ ask, expected }) => {
    const told = await Promise.all(
      harmless.map(async ([name, script]) => {
        const model = nextModel();
        patient.providers[0]?.scriptFor(model, ...script);
        return [name, await ask(model, patient.url)];
      }),
    );
    expect(told).toEqual(harmless.map(([name]) => [name, expected]));
  },
);

test.concurrent.each(ways)('$name: an error when the answer is not whole', async ({ ask }) => {
  const told = await Promise.all(
    fatal.map(async (fault) => {
      const model = nextModel();
      hasty.providers[0]?.alwaysFor(model, fault);
      return [
        described(fault),
        await ask(model, hasty.url).then(
          (answer) => ({ answer }),
          () => 'error',
        ),
      ];
    }),
  );
  expect(told).toEqual(fatal.map((fault) => [described(fault), 'error']));
});
