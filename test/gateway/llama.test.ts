/**
 * A real model behind a real gateway: llama.cpp computes the answers of a tiny one that is made on the spot, and what
 * clients get through `mycel gateway up` is what they would get from it.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

import { bundleMycel } from '../device/live-mycel.ts';
import type { Mycel } from '../device/live-mycel.ts';
import { tinyContext, tinyModel, tinyModelName, tinyWords } from '../llama/tiny-model.ts';
import { startCommand } from '../process.ts';
import type { Program } from '../process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

let home: string;
let server: Program;
let mycel: Mycel;
let config: string;
/** The same client, before the server itself and before the gateway. */
let direct: OpenAI;
let through: OpenAI;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mycel-llama-'));
  const model = join(home, 'tiny.gguf');
  await writeFile(model, tinyModel(7));
  server = startCommand([
    process.execPath,
    '--import',
    join(root, 'test/typescript.mjs'),
    join(root, 'test/llama/llama-server.ts'),
    model,
    tinyModelName,
    String(tinyContext),
  ]);
  const ready = server.line((line) => line.startsWith('ready '), 30_000);
  mycel = await bundleMycel();
  const url = `http://127.0.0.1:${(await ready).slice('ready '.length)}/v1`;
  config = join(home, 'gateway.yaml');
  await writeFile(
    config,
    `http: { port: 0 }\ntargets: [{ name: lan, kind: openai, url: "${url}", maxInflight: 1 }]\n`,
  );
  const dir = ['--data-dir', mycel.dir('g')];
  const network = ['--port', '0', '--interface', 'lo', '--profile', 'loopback'];
  const up = ['gateway', 'up', '--json', '--config', config, ...dir, ...network];
  const live = mycel.start(up);
  const { http } = (await Promise.race([
    live.line({ event: 'ready' }),
    live.ended.then(({ err }) => {
      throw new Error(err);
    }),
  ])) as { http: { host: string; port: number } };
  const clientOf = (baseURL: string): OpenAI =>
    new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
  direct = clientOf(url);
  through = clientOf(`http://${http.host}:${http.port}/v1`);
  await vi.waitFor(async () => expect((await through.models.list()).data).toHaveLength(1), {
    timeout: 15_000,
  });
}, 60_000);

afterAll(async () => {
  server?.child.kill('SIGKILL');
  await server?.ended;
  await mycel?.stop();
  await rm(home, { recursive: true, force: true });
});

function chat(text: string, more: object = {}): OpenAI.ChatCompletionCreateParamsNonStreaming {
  return {
    model: tinyModelName,
    messages: [{ role: 'user', content: text }],
    temperature: 0,
    ...more,
  };
}

function formatOf(schema: object): OpenAI.ResponseFormatJSONSchema {
  return {
    type: 'json_schema',
    json_schema: { name: 'told', strict: true, schema: { ...schema } },
  };
}

/** What the model computed for its answer with this number, as soon as the server has said so. */
function made(number: number): Promise<{ content: string; tokens: number }> {
  const find = (): { content: string; tokens: number } | undefined => {
    const line = server.lines.filter((one) => one.startsWith('made {'))[number];
    return line === undefined ? undefined : (JSON.parse(line.slice('made '.length)) as never);
  };
  return server.until(`answer ${number}`, find, 10_000);
}

test('what it says comes through the gateway as it was computed, whole and streamed', async () => {
  const asked = chat('the sensor says hello', { max_tokens: 40 });
  const whole = await through.chat.completions.create(asked);
  const first = await made(0);
  const words = first.content.trim().split(' ');
  expect(words.filter((word) => tinyWords.includes(word)).length).toBeGreaterThan(20);
  expect(whole.choices[0]?.message.content).toBe(first.content);
  expect(whole.usage?.completion_tokens).toBe(first.tokens);
  expect(whole.choices[0]?.finish_reason).toBe('length');

  // Another prompt, another answer: it is computed from it.
  const stream = await through.chat.completions.create({
    ...chat('a cold link', { max_tokens: 40 }),
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = '';
  let pieces = 0;
  let finish: string | null | undefined;
  let tokens: number | undefined;
  for await (const { choices, usage } of stream) {
    text += choices[0]?.delta.content ?? '';
    pieces += (choices[0]?.delta.content ?? '') === '' ? 0 : 1;
    finish = choices[0]?.finish_reason ?? finish;
    tokens = usage?.completion_tokens ?? tokens;
  }
  expect({ content: text, tokens }).toEqual(await made(1));
  expect(text).not.toBe(first.content);
  expect(pieces).toBeGreaterThan(20);
  expect(finish).toBe('length');
});

test('a schema binds what it says', async () => {
  const schema = {
    type: 'object',
    properties: {
      state: { enum: ['ok', 'warn', 'fail'] },
      level: { type: 'integer', minimum: 0, maximum: 9 },
    },
    required: ['state', 'level'],
    additionalProperties: false,
  };
  const asked = (seed: number): ReturnType<typeof chat> =>
    chat('tell the state', { seed, temperature: 1, response_format: formatOf(schema) });
  for (const seed of [1, 2, 3]) {
    const { choices } = await through.chat.completions.create(asked(seed));
    const told = JSON.parse(choices[0]?.message.content ?? '') as { state: string; level: number };
    expect(schema.properties.state.enum).toContain(told.state);
    expect(told.level).toBeGreaterThanOrEqual(0);
    expect(told.level).toBeLessThanOrEqual(9);
    expect(choices[0]?.finish_reason).toBe('stop');
  }
  // Asked again, it is told again: nothing is computed.
  const { data, response } = await through.chat.completions.create(asked(3)).withResponse();
  expect(response.headers.get('x-mycel-cache')).toBe('hit');
  expect(JSON.parse(data.choices[0]?.message.content ?? '')).toHaveProperty('level');
});

test('embeddings are those of the model', async () => {
  const ask = { model: tinyModelName, input: ['a warm light', 'the door stops'] };
  const [own, given] = [
    await direct.embeddings.create({ ...ask, encoding_format: 'float' }),
    await through.embeddings.create(ask),
  ];
  expect(given.data.map(({ embedding }) => embedding)).toEqual(
    own.data.map(({ embedding }) => embedding.map(Math.fround)),
  );
  const [first = [], second = []] = given.data.map(({ embedding }) => embedding);
  expect(first).toHaveLength(64);
  expect(Math.hypot(...first)).toBeCloseTo(1, 4);
  expect(first).not.toEqual(second);
});

test('a client that goes away frees the model for the next one', async () => {
  // Far more than its context holds.
  const levels = { type: 'array', items: { type: 'integer', minimum: 0 }, minItems: 1000 };
  const list = { type: 'object', properties: { levels }, required: ['levels'] };
  const endless = { ...chat('go on', { response_format: formatOf(list) }), stream: true } as const;
  const stream = await through.chat.completions.create(endless);
  for await (const { choices } of stream) if (choices[0]?.delta.content) break;
  const left = await server.line((line) => line.startsWith('left {'), 10_000);
  // All of its context would have been filled.
  const { tokens } = JSON.parse(left.slice('left '.length)) as { tokens: number };
  expect(tokens).toBeLessThan(tinyContext - 100);
  const next = await through.chat.completions.create(chat('the door', { max_tokens: 8 }));
  expect(next.choices[0]?.message.content).not.toBe('');
});

test('what does not fit its context is refused in words, and not asked again', async () => {
  const asked = through.chat.completions.create(chat('a cold door '.repeat(tinyContext)));
  await expect(asked).rejects.toMatchObject({
    status: 400,
    message: expect.stringContaining('context'),
  });
});

test('a member of the mesh asks it from the terminal, and a check finds it well', async () => {
  const words = ['llm', 'ask', 'hello', 'mesh', '--max-tokens', '12'];
  const asked = await mycel.run([...words, '--data-dir', mycel.dir('g')]);
  expect([asked.code, asked.err]).toEqual([0, expect.stringContaining('cut off')]);
  expect(tinyWords.some((word) => asked.out.includes(word))).toBe(true);
  const check = await mycel.run(['gateway', 'check', '--config', config]);
  expect([check.code, check.out]).toEqual([0, expect.stringContaining('lan')]);
});
