/** Agents and programs that ask language models and lend them the services of the mesh: real nodes, calls, threads and processes. */

import { readFile } from 'node:fs/promises';

import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import * as z from 'zod/mini';

import { action, defineService, streamAction } from '../../src/agent/service.ts';
import type { AgentHandles } from '../../src/agent/furniture.ts';
import type { MeshNode } from '../../src/runtime/mesh-node.ts';
import type { LlmStep } from '../../src/runtime/llm/tool-loop.ts';
import { gatherTools } from '../../src/runtime/llm/tools.ts';
import type { ToolWish } from '../../src/runtime/llm/tools.ts';
import { resolveConfig } from '../../gateway/config/load.ts';
import { openGateway } from '../../gateway/gateway.ts';
import type { Gateway } from '../../gateway/gateway.ts';
import { createLoopback, peersOf, textOf, until } from '../runtime/loopback.ts';
import type { Loopback } from '../runtime/loopback.ts';
import { plantedKey } from './live-gateway.ts';
import { startProvider } from './provider.ts';
import type { Provider, Rule } from './provider.ts';

type Node = MeshNode & AgentHandles;

let provider: Provider;
let loopback: Loopback;
/** Holds the keys, and asks a function about effects. */
let home: Node;
/** Runs the agents; only the keeper may water. */
let board: Node;
let gateway: Gateway;
let decide: (wish: ToolWish) => boolean | string = () => true;
const watered: unknown[] = [];

const garden = defineService({
  name: 'garden',
  version: '1.2.0',
  actions: {
    moisture: action(
      {
        input: z.object({ bed: z.int(), depth: z._default(z.number(), 5) }),
        output: z.object({ percent: z.number() }),
        effect: false,
        description: 'How moist a bed is.',
      },
      ({ bed, depth }) => ({ percent: bed * 10 + depth }),
    ),
    water: action(
      { input: z.object({ bed: z.int(), litres: z.number() }), output: z.string() },
      (given) => {
        watered.push(given);
        return `watered ${given.bed}`;
      },
    ),
    flood: action({ input: z.object({}), output: z.string(), effect: false }, () =>
      'w'.repeat(20_000),
    ),
    rest: action(
      { input: z.object({}), output: z.number(), effect: false },
      async (_, { deadlineMs, signal }) => {
        await new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
        });
        return deadlineMs;
      },
    ),
    fail: action({ input: z.object({}), output: z.number(), effect: false }, () => {
      throw new Error('the pump is dry');
    }),
    watch: streamAction({ input: z.object({}), output: z.number() }, async function* () {
      yield 1;
    }),
  },
});

/** As `until`, where tests are prepared. */
const hooked = (is: () => boolean | Promise<boolean>): Promise<boolean> =>
  vi.waitUntil(is, { timeout: 15_000, interval: 10 });

/** Says when the stand-in has been asked three times. */
const standIn = defineService({
  name: 'stand-in',
  version: '1.0.0',
  actions: {
    asked: action({ input: z.unknown(), output: z.boolean() }, () =>
      hooked(() => provider.seen.length === 3),
    ),
  },
});

beforeAll(async () => {
  provider = await startProvider();
  loopback = await createLoopback();
  home = await loopback.up('home', {
    capabilities: ['llm-gateway'],
    toolPolicy: (wish) => decide(wish),
  });
  board = await loopback.up('board', { toolPolicy: { 'garden.water': ['keeper'] } });
  home.service(garden);
  home.service(standIn);
  await board.join((await home.invite()).invite);
  await hooked(() => peersOf(home).has(board.id) && peersOf(board).has(home.id));
  gateway = await openGateway({
    config: resolveConfig(
      {
        http: { port: 0 },
        targets: [
          {
            name: 'stand-in',
            kind: 'openai',
            url: provider.url,
            apiKeyEnv: 'PLANTED_KEY',
            models: ['small', { name: 'vectors', embeddings: true }],
          },
        ],
      },
      { PLANTED_KEY: plantedKey },
    ),
    node: home,
    report: () => undefined,
  });
  await hooked(() => board.services().some(({ service }) => service === 'garden'));
  await hooked(async () => (await board.llm.targets()).length === 1);
}, 60_000);

afterAll(async () => {
  await gateway.close();
  await loopback[Symbol.asyncDispose]();
  await provider.close();
});

beforeEach(() => {
  provider.think = undefined;
  provider.seen.splice(0);
  watered.splice(0);
  decide = () => true;
});

type Message = { readonly role: string; readonly content: string };

const messagesOf = (body: Record<string, unknown>): Message[] => body['messages'] as Message[];

/** A stand-in that calls these tools, one list a round, and then repeats what it was told. */
function plan(...rounds: Rule['calls'][]): void {
  provider.think = (body) => {
    const told = messagesOf(body).filter(({ role }) => role === 'tool');
    const done = messagesOf(body).filter(({ role }) => role === 'assistant').length;
    const calls = rounds[done];
    if (calls !== undefined) return { calls };
    return { words: [`told ${told.map(({ content }) => content).join(' ')}`] };
  };
}

const call = (name: string, input: unknown = {}) => ({
  name,
  input: typeof input === 'string' ? input : JSON.stringify(input),
});

test('a program lends a model what the mesh offers, typed by its schemas', async () => {
  plan([call('garden_moisture', { bed: 2 }), call('garden_moisture', { bed: 3, depth: 1 })]);
  const answer = await board.llm.chat('how is it?', { tools: ['garden.moisture'] });
  expect(answer).toMatchObject({
    text: 'told {"percent":25} {"percent":31}',
    finish: 'stop',
    calls: [],
    steps: [
      { action: 'garden.moisture', input: '{"bed":2}', told: '{"percent":25}', failure: undefined },
      { action: 'garden.moisture', told: '{"percent":31}' },
    ],
  });
  const [first, second] = provider.seen;
  expect(first?.body['tools']).toEqual([
    {
      type: 'function',
      function: {
        name: 'garden_moisture',
        description: 'How moist a bed is.',
        parameters: {
          type: 'object',
          properties: {
            bed: { type: 'integer', minimum: -9007199254740991, maximum: 9007199254740991 },
            depth: { type: 'number', default: 5 },
          },
          required: ['bed'],
          additionalProperties: false,
        },
      },
    },
  ]);
  expect(messagesOf(second?.body ?? {}).map(({ role }) => role)).toEqual([
    'user',
    'assistant',
    'tool',
    'tool',
  ]);
  // Both rounds are in the sum.
  const billed = provider.seen.map(({ billed: one }) => one?.prompt_tokens ?? 0);
  expect(billed).toHaveLength(2);
  expect(answer.usage?.inputTokens).toBe(billed.reduce((sum, one) => sum + one, 0));
});

test('a stream gives the calls and the rounds as they come, and one finish', async () => {
  plan([call('garden_moisture', { bed: 1 })], [call('garden_moisture', { bed: 2 })]);
  const steps: LlmStep[] = [];
  for await (const step of board.llm.stream('look', { tools: ['garden.moisture'] })) {
    // How many pieces a call comes in is the network's to say.
    if (!['usage', 'start', 'tool'].includes(step.type)) steps.push(step);
  }
  expect(
    steps.map((step) =>
      step.type === 'called' ? step.told : step.type === 'text' ? step.text : step.type,
    ),
  ).toEqual([
    '{"percent":15}',
    'round',
    '{"percent":25}',
    'round',
    'told {"percent":15} {"percent":25}',
    'finish',
  ]);
});

test('what fails is told to the model with its code, and to the program', async () => {
  decide = ({ input }) => input['litres'] === 1 || 'One litre at most.';
  const wrong: [ReturnType<typeof call>, string, RegExp][] = [
    [call('garden_burn'), 'MYCEL_UNKNOWN_ACTION', /no tool 'garden_burn'.*garden_moisture/],
    [call('garden_moisture', { bed: 'two' }), 'MYCEL_BAD_INPUT', /'bed' must be/],
    [call('garden_moisture', { depth: 2 }), 'MYCEL_BAD_INPUT', /'bed' must be/],
    [call('garden_moisture', '{"bed":'), 'MYCEL_BAD_INPUT', /no JSON/],
    [call('garden_moisture', '[1]'), 'MYCEL_BAD_INPUT', /no JSON object/],
    [call('garden_water', { bed: 1, litres: 9 }), 'MYCEL_TOOL_REFUSED', /One litre at most/],
    [call('garden_flood'), 'MYCEL_TOO_LARGE', /20002 characters/],
    [call('garden_fail'), 'MYCEL_HANDLER_FAILED', /the pump is dry/],
  ];
  for (const [one, code, text] of wrong) {
    plan([one]);
    const { steps } = await home.llm.chat('try', { tools: ['garden.*'] });
    expect([steps[0]?.failure, steps.length], one.name).toEqual([code, 1]);
    expect(steps[0]?.told).toMatch(text);
    expect(JSON.parse(steps[0]?.told ?? '')).toMatchObject({ error: { code } });
    // The next round says to the model what the program sees.
    expect(messagesOf(provider.seen.at(-1)?.body ?? {}).at(-1)?.content).toBe(steps[0]?.told);
  }
  expect(watered).toEqual([]);
});

test('what changes something is asked of the policy first, and nobody may without one', async () => {
  const asked: ToolWish[] = [];
  decide = (wish) => asked.push(wish) > 0 && wish.agent === 'ann';
  plan([call('garden_water', { bed: 1, litres: 2 }), call('garden_moisture', { bed: 1 })]);
  const refused = await home.llm.chat('water', { tools: ['garden.*'], agent: 'bob' });
  expect(refused.steps.map(({ failure }) => failure)).toEqual(['MYCEL_TOOL_REFUSED', undefined]);
  const done = await home.llm.chat('water', { tools: ['garden.*'], agent: 'ann' });
  expect(done.steps.map(({ told }) => told)).toEqual(['"watered 1"', '{"percent":15}']);
  expect(watered).toEqual([{ bed: 1, litres: 2 }]);
  // It is not asked about what changes nothing.
  const wish = { action: 'garden.water', namespace: 'default', input: { bed: 1, litres: 2 } };
  expect(asked).toEqual([
    { ...wish, agent: 'bob' },
    { ...wish, agent: 'ann' },
  ]);
  decide = () => {
    throw new Error('the policy is on holiday');
  };
  const failed = await home.llm.chat('water', { tools: ['garden.water'] });
  expect(failed.steps[0]).toMatchObject({ failure: 'MYCEL_TOOL_REFUSED' });
  expect(failed.steps[0]?.told).toContain('on holiday');
  // The board's table names the keeper alone.
  const program = await board.llm.chat('water', { tools: ['garden.water'] });
  expect(program.steps[0]?.told).toContain('A program of the node is not among those');
  expect(watered).toHaveLength(1);
});

test('without a policy nobody may, and whoever has lost its fence does nothing any more', async () => {
  const services = { call: board.call, describe: board.describe, list: board.services };
  const control = new AbortController();
  const how = { timeoutMs: 5_000, signal: control.signal, key: 'k', correlation: 'c' };
  const wish = { id: 'c0', ...call('garden_water', { bed: 1, litres: 1 }) };
  const world = { services, agent: 'ann', pass: () => undefined };
  const bare = await gatherTools(['garden.water'], { ...world, policy: undefined });
  const step = await bare.call(wish, how);
  expect(step).toMatchObject({ failure: 'MYCEL_TOOL_REFUSED' });
  expect(step.told).toContain('no toolPolicy');
  // A freeze: the agent waits until others have said what they hold, and one of them holds it.
  const frozen = await gatherTools(['garden.water'], {
    ...world,
    policy: { 'garden.*': ['*'] },
    pass: () => {
      control.abort(new Error('fenced'));
      return control.signal.aborted ? undefined : Promise.resolve();
    },
  });
  await expect(frozen.call(wish, how)).rejects.toThrow('fenced');
  expect(watered).toEqual([]);
  const thawed = await gatherTools(['garden.water'], { ...world, policy: { 'garden.*': ['*'] } });
  expect(await thawed.call(wish, { ...how, signal: undefined })).toMatchObject({
    failure: undefined,
    told: '"watered 1"',
  });
});

test('a model that never stops calling is stopped, in rounds, calls and time', async () => {
  const endless = Array.from({ length: 50 }, () => [call('garden_moisture', { bed: 1 })]);
  plan(...endless);
  const tools = ['garden.moisture'];
  await expect(home.llm.chat('go', { tools })).rejects.toMatchObject({
    code: 'MYCEL_TOOL_LIMIT',
    details: { rounds: 8, calls: 8 },
  });
  expect(provider.seen).toHaveLength(8);
  await expect(home.llm.chat('go', { tools, toolRounds: 2 })).rejects.toMatchObject({
    details: { rounds: 2 },
  });
  await expect(home.llm.chat('go', { tools, toolCalls: 3 })).rejects.toMatchObject({
    code: 'MYCEL_TOOL_LIMIT',
    details: { rounds: 4, calls: 4 },
  });
  plan([call('garden_rest')]);
  const startedAt = performance.now();
  await expect(home.llm.chat('rest', { tools: ['garden.rest'], ttlMs: 700 })).rejects.toMatchObject(
    {
      code: 'MYCEL_DEADLINE',
    },
  );
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  // One tool that takes too long is told of, and the answer goes on.
  const { steps } = await home.llm.chat('rest', { tools: ['garden.rest'], toolMs: 200 });
  expect(steps[0]).toMatchObject({ failure: 'MYCEL_DEADLINE' });
});

test('inside a request an answer has no more time than the request', async () => {
  home.service(
    defineService({
      name: 'oracle',
      version: '1.0.0',
      actions: {
        ask: action({ input: z.object({}), output: z.string() }, async () => {
          const { text } = await home.llm.chat('rest', { tools: ['garden.rest'] });
          return text;
        }),
      },
    }),
  );
  plan([call('garden_rest')]);
  await until(() => board.services().some(({ service }) => service === 'oracle'));
  await expect(board.call('oracle.ask', {}, { timeoutMs: 800 })).rejects.toMatchObject({
    code: 'MYCEL_DEADLINE',
  });
  // The model was asked once: nobody waits for a second round.
  await until(() => gateway.engine.inflight() === 0);
  expect(provider.seen).toHaveLength(1);
});

test('what was cut off calls nothing, and what was demanded is demanded once', async () => {
  provider.think = () => ({
    calls: [call('garden_water', { bed: 1, litres: 1 })],
    finish: 'length',
  });
  const cut = await home.llm.chat('water', { tools: ['garden.water'] });
  expect(cut).toMatchObject({ finish: 'length', steps: [] });
  expect(watered).toEqual([]);
  plan([call('garden_moisture', { bed: 1 })]);
  await home.llm.chat(
    { messages: [{ role: 'user', content: 'look' }], tool_choice: 'required' },
    { tools: ['garden.moisture'] },
  );
  expect(provider.seen.slice(1).map(({ body }) => body['tool_choice'])).toEqual([
    'required',
    undefined,
  ]);
});

test('tools that cannot be are refused before anything is asked', async () => {
  const refused: [Parameters<Node['llm']['chat']>, string][] = [
    [['x', { tools: ['garden.burn'] }], 'MYCEL_UNKNOWN_ACTION'],
    [['x', { tools: ['gardn.water'] }], 'MYCEL_UNKNOWN_SERVICE'],
    [['x', { tools: ['gardn.*'] }], 'MYCEL_UNKNOWN_SERVICE'],
    [['x', { tools: ['garden.watch'] }], 'MYCEL_BAD_OPTION'],
    [['x', { tools: ['garden.water', 'garden.water'] }], 'MYCEL_BAD_OPTION'],
    [['x', { tools: ['garden.water'], toolRounds: 33 }], 'MYCEL_BAD_OPTION'],
    [['x', { tools: ['garden.water'], toolCalls: 0 }], 'MYCEL_BAD_OPTION'],
    [[{ messages: [], tools: [] }, { tools: ['garden.water'] }], 'MYCEL_BAD_OPTION'],
  ];
  for (const [given, code] of refused) {
    await expect(home.llm.chat(...given), JSON.stringify(given)).rejects.toMatchObject({ code });
  }
  expect(provider.seen).toEqual([]);
});

/** Does what its mail says, and publishes what came of it. */
const asker = (isolation: string): string => `
export const agent = {
  name: 'asker-${isolation}', isolation: '${isolation}',
  async handle(state, { type, body }, self) {
    if (type !== 'mail') return;
    const { op, given, options = {} } = body;
    const out = [];
    try {
      if (op === 'stream' || op === 'leave') {
        for await (const step of self.llm.stream(given, options)) {
          out.push(step.type === 'text' ? step.text : step.type === 'called' ? step.told : step.type);
          if (op === 'leave' && step.type === 'text') break;
        }
      } else if (op === 'abort') {
        const control = new AbortController();
        self.call('stand-in.asked').then(() => control.abort(new Error('changed my mind')));
        await self.llm.chat(given, { ...options, signal: control.signal });
      } else {
        const answer = await self.llm[op](given, options);
        out.push(answer);
      }
      await self.publish('asker/out', JSON.stringify({ out }));
    } catch (error) {
      await self.publish('asker/out', JSON.stringify({ out, code: error.code, message: error.message }));
    }
  },
};`;

describe.each(['in-process', 'thread', 'process'])('an agent in isolation %s', (isolation) => {
  const name = `asker-${isolation}`;

  async function ask(op: string, given: unknown, options: object = {}) {
    const said: { out: unknown[]; code?: string; message?: string }[] = [];
    const stop = board.subscribe(
      'asker/out',
      (message) => void said.push(JSON.parse(textOf(message)) as never),
    );
    await board.agents.send(name, { op, given, options });
    await until(() => said.length === 1, 20_000);
    stop();
    return said[0] as (typeof said)[number];
  }

  beforeAll(async () => {
    await board.agents.deploy(asker(isolation), { node: board.id });
    await hooked(() =>
      board.agents.list().some((one) => one.agent === name && one.state === 'running'),
    );
  }, 30_000);

  test('chats with tools, streams, embeds, and is told what is wrong', async () => {
    plan([call('garden_moisture', { bed: 4 }), call('garden_water', { bed: 4, litres: 1 })]);
    const tools = ['garden.moisture', { action: 'garden.water', description: 'Waters.' }];
    const chatted = await ask('chat', 'look', { tools, model: undefined });
    // The board lets the keeper alone water.
    expect(chatted.out[0]).toMatchObject({
      finish: 'stop',
      steps: [{ told: '{"percent":45}' }, { failure: 'MYCEL_TOOL_REFUSED' }],
    });
    const streamed = await ask('stream', 'look', { tools: ['garden.moisture'] });
    expect(streamed.out.filter((one) => one !== 'tool' && one !== 'usage')).toEqual([
      'start',
      '{"percent":45}',
      expect.stringContaining('"MYCEL_UNKNOWN_ACTION"'),
      'round',
      'start',
      expect.stringMatching(/^told .*45/),
      'finish',
    ]);
    const embedded = await ask('embed', ['one', 'three'], { model: 'vectors' });
    expect(embedded.out[0]).toMatchObject({
      vectors: [
        [3 / 128, 111 / 128, 0],
        [5 / 128, 116 / 128, 1 / 128],
      ],
    });
    expect(await ask('chat', 'x', { tools: ['garden.burn'] })).toMatchObject({
      code: 'MYCEL_UNKNOWN_ACTION',
    });
    expect(await ask('chat', 'x', { tolls: [] })).toMatchObject({
      code: 'MYCEL_BAD_OPTION',
      message: expect.stringContaining("'tolls'") as string,
    });
    expect(await ask('chat', 7)).toMatchObject({ code: 'MYCEL_BAD_OPTION' });
    expect(await ask('chat', { model: 'none', messages: [] })).toMatchObject({
      code: 'MYCEL_LLM_FAILED',
    });
  }, 60_000);

  test('a long stream comes whole, and leaving it or aborting ends it at the provider', async () => {
    const whole = await ask('stream', '2000 words');
    const text = whole.out
      .filter((one) => !['start', 'usage', 'finish'].includes(String(one)))
      .join('');
    expect(text.split(' ')).toHaveLength(2000);
    provider.pieceMs = 5;
    try {
      await ask('leave', '3000 words of this');
      await until(() => provider.seen.at(-1)?.isAborted === true);
      provider.answerMs = 3_000;
      const aborted = await ask('abort', '3000 words of that');
      expect(aborted.message).toBe('changed my mind');
      await until(() => provider.seen.at(-1)?.isAborted === true);
      expect(provider.seen).toHaveLength(3);
    } finally {
      provider.pieceMs = 0;
      provider.answerMs = 0;
    }
  }, 60_000);

  test('what it used is booked to it, and what it has open ends with it', async () => {
    await ask('chat', 'hello', { agent: undefined });
    const lines = (await board.llm.usage()).flatMap(({ usage }) => usage as { agent: string }[]);
    expect(lines).toContainEqual(
      expect.objectContaining({ agent: name, principal: `node:${board.id}`, model: 'small' }),
    );
    provider.pieceMs = 5;
    try {
      await board.agents.send(name, { op: 'stream', given: '3000 words more' });
      await until(() => (provider.seen.at(-1)?.sent ?? 0) > 3);
      await board.agents.undeploy(name);
      await until(() => provider.seen.at(-1)?.isAborted === true);
    } finally {
      provider.pieceMs = 0;
    }
  }, 60_000);
});

test('the example of the docs waters what is dry, and its node says who may', async () => {
  const source = new URL('../../docs/examples/keeper-agent.ts', import.meta.url);
  const answers: string[] = [];
  board.subscribe('garden/answer', (message) => void answers.push(textOf(message)));
  await board.agents.deploy(await readFile(source, 'utf8'), { node: board.id });
  await until(() =>
    board.agents.list().some(({ agent, state }) => agent === 'keeper' && state === 'running'),
  );
  plan([call('garden_moisture', { bed: 1 })], [call('garden_water', { bed: 1, litres: 2 })]);
  await until(() => {
    if (provider.seen.length === 0) void home.publish('garden/say', 'Bed 1 looks dry.');
    return answers.length > 0;
  });
  expect(answers[0]).toBe('told {"percent":15} "watered 1"');
  expect(watered[0]).toEqual({ bed: 1, litres: 2 });
}, 30_000);
