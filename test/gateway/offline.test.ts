/** When no target can be reached: the steps that are configured, in their order, and word of what was done. Targets are really down. */

import { afterEach, describe, expect, test, vi } from 'vitest';

import { resolveConfig } from '../../gateway/config/load.ts';
import type { ConfigFile } from '../../gateway/config/schema.ts';
import { openGateway } from '../../gateway/gateway.ts';
import type { Gateway } from '../../gateway/gateway.ts';
import type { UsageLine } from '../../gateway/policy/usage-book.ts';
import { chatOf } from './live-gateway.ts';
import { createMeshStage } from './mesh-stage.ts';
import { startProvider } from './provider.ts';
import type { Provider } from './provider.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

interface Stage {
  readonly gateway: Gateway;
  /** Has the model `far`. */
  far: Provider;
  readonly near: Provider;
  /** Takes the far one from the network: connections are refused. */
  down(): Promise<void>;
  up(): Promise<void>;
  ask(text: string, more?: object, headers?: Record<string, string>): Promise<Told>;
  usage(model?: string): UsageLine | undefined;
}

interface Told {
  readonly status: number;
  readonly text: string | undefined;
  readonly message: string;
  readonly header: (name: string) => string | null;
}

async function start(config: Partial<ConfigFile>, farModel: object = {}): Promise<Stage> {
  const [far, near] = [await startProvider(['far']), await startProvider(['near', 'tiny'])];
  const gateway = await openGateway({
    config: resolveConfig(
      {
        http: { port: 0 },
        targets: [
          { name: 'cloud', kind: 'openai', url: far.url, models: [{ name: 'far', ...farModel }] },
          { name: 'shelf', kind: 'openai', url: near.url, models: ['near', 'tiny'] },
        ],
        ...config,
      },
      { TOKEN: 'token', OTHER: 'other' },
    ),
    report: () => undefined,
  });
  const stage: Stage = {
    gateway,
    far,
    near,
    down: () => stage.far.close(),
    async up() {
      stage.far = await startProvider(['far'], Number(new URL(far.url).port));
      closers.push(() => stage.far.close());
    },
    async ask(text, more = {}, headers = {}) {
      const response = await fetch(`http://127.0.0.1:${gateway.http.port}/v1/chat/completions`, {
        method: 'POST',
        headers,
        body: JSON.stringify(chatOf(text, { model: 'far', ...more })),
      });
      const said = await response.text();
      const body = (said.startsWith('{') ? JSON.parse(said) : {}) as {
        readonly choices?: readonly { readonly message: { readonly content: string } }[];
        readonly error?: { readonly message: string };
      };
      return {
        status: response.status,
        text: body.choices?.[0]?.message.content ?? said,
        message: body.error?.message ?? '',
        header: (name) => response.headers.get(name),
      };
    },
    usage: (model = 'far') =>
      gateway.engine.usage.lines().find((line) => line.model === model && line.requests > 0),
  };
  closers.push(
    () => near.close(),
    () => gateway.close(),
  );
  return stage;
}

describe('a model nearby', () => {
  test('answers what cannot be asked elsewhere, as a whole and as a stream, and says so', async () => {
    const stage = await start({ offline: ['local', 'fail'] });
    await stage.down();
    const told = await stage.ask('one 3 words');
    expect([told.status, told.text, told.header('x-mycel-offline')]).toEqual([
      200,
      'one-0 3-1 words-2',
      'local',
    ]);
    const streamed = await stage.ask('two 3 words', { stream: true });
    expect(streamed.header('x-mycel-offline')).toBe('local');
    expect(streamed.text?.trimEnd().endsWith('data: [DONE]')).toBe(true);
    expect(stage.near.seen.map(({ body }) => body['model'])).toEqual(['near', 'near']);
    expect(stage.usage()).toMatchObject({ requests: 2, failures: 2, offlineLocal: 2 });
    expect(stage.usage('near')).toMatchObject({ requests: 2, failures: 0 });
  });

  test('may be named for one model, and is not given to those who may not use it', async () => {
    const stage = await start(
      {
        principals: [
          { name: 'free', tokenEnv: 'TOKEN' },
          { name: 'bound', tokenEnv: 'OTHER', models: ['far'] },
        ],
      },
      { offline: [{ local: 'tiny' }, 'fail'] },
    );
    await stage.down();
    expect((await stage.ask('x', {}, { authorization: 'Bearer token' })).status).toBe(200);
    expect(stage.near.seen.map(({ body }) => body['model'])).toEqual(['tiny']);
    const refused = await stage.ask('y', {}, { authorization: 'Bearer other' });
    expect([refused.status, refused.message]).toEqual([
      503,
      expect.stringContaining('there is no such model nearby'),
    ]);
  });
});

test('a principal and a model may have steps of their own, the model first', async () => {
  const principals = [
    { name: 'strict', tokenEnv: 'TOKEN', offline: ['fail'] as const },
    { name: 'easy', tokenEnv: 'OTHER' },
  ];
  const stage = await start({ offline: ['local'], principals });
  await stage.down();
  expect((await stage.ask('x', {}, { authorization: 'Bearer token' })).status).toBe(503);
  expect((await stage.ask('x', {}, { authorization: 'Bearer other' })).status).toBe(200);
  const other = await start({ principals }, { offline: ['local'] });
  await other.down();
  expect((await other.ask('x', {}, { authorization: 'Bearer token' })).status).toBe(200);
});

test('an answer that is too old is better than none, and the way to it is told', async () => {
  const stage = await start({ offline: ['stale-cache', 'local', 'fail'] });
  const old = { 'x-mycel-cache': '0.001' };
  const fresh = await stage.ask('keep', { temperature: 0 }, old);
  await stage.down();
  const stale = await stage.ask('keep', { temperature: 0 });
  expect([stale.status, stale.text, stale.header('x-mycel-cache')]).toEqual([
    200,
    fresh.text,
    'stale',
  ]);
  expect(stale.header('x-mycel-offline')).toBe('stale-cache');
  expect(stage.near.seen).toEqual([]);
  // What was never answered goes on to the next step.
  expect((await stage.ask('new', { temperature: 0 })).header('x-mycel-offline')).toBe('local');
  expect(stage.usage()).toMatchObject({ offlineStale: 1, offlineLocal: 1 });
});

describe('a queue', () => {
  test('keeps requests until the target is back, and lets them go in their order', async () => {
    const stage = await start({ offline: ['queue', 'fail'] }, {});
    await stage.down();
    const asked: Promise<Told>[] = [];
    for (let at = 0; at < 4; at += 1) {
      asked.push(stage.ask(`question ${at}`, { stream: at % 2 === 0 }));
      await vi.waitFor(() => expect(stage.gateway.engine.waitingOffline()).toBe(at + 1), 10_000);
    }
    await stage.up();
    const told = await Promise.all(asked);
    expect(told.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(told.map(({ header }) => header('x-mycel-offline'))).toEqual(Array(4).fill('queue'));
    const prompts = stage.far.seen.map(({ body }) => JSON.stringify(body['messages']));
    expect(prompts[0]).toContain('question 0');
    expect(prompts).toHaveLength(4);
    expect(stage.usage()).toMatchObject({ offlineQueued: 4 });
    expect(stage.gateway.engine.waitingOffline()).toBe(0);
  });

  test('that is full says so, and who waited in vain is told', async () => {
    const stage = await start({ offline: ['queue', 'fail'], queue: { offlineMax: 1 } });
    await stage.down();
    const waits = stage.ask('waits', {}, { 'x-mycel-ttl-ms': '3500' });
    await vi.waitFor(() => expect(stage.gateway.engine.waitingOffline()).toBe(1), 10_000);
    const full = await stage.ask('too much');
    expect([full.status, full.message]).toEqual([
      503,
      expect.stringContaining('1 requests wait already for a target to come back'),
    ]);
    const told = await waits;
    expect([told.status, told.message]).toEqual([
      503,
      expect.stringContaining('no target came back while the caller waited'),
    ]);
    expect(stage.gateway.engine.waitingOffline()).toBe(0);
  });

  test('forgets a client that went away, and all when the gateway stops', async () => {
    const stage = await start({ offline: ['queue'] });
    await stage.down();
    const controller = new AbortController();
    const gone = fetch(`http://127.0.0.1:${stage.gateway.http.port}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify(chatOf('x', { model: 'far' })),
      signal: controller.signal,
    }).catch(() => undefined);
    await vi.waitFor(() => expect(stage.gateway.engine.waitingOffline()).toBe(1), 10_000);
    controller.abort();
    await gone;
    await vi.waitFor(() => expect(stage.gateway.engine.waitingOffline()).toBe(0), 10_000);
    const waits = stage.ask('waits').catch(() => undefined);
    await vi.waitFor(() => expect(stage.gateway.engine.waitingOffline()).toBe(1), 10_000);
    await stage.gateway.close();
    expect((await waits)?.status).not.toBe(200);
    expect(stage.gateway.engine.waitingOffline()).toBe(0);
  });
});

test('steps that cannot help are told with the failure', async () => {
  const stage = await start({ offline: [{ local: 'nope' }, 'stale-cache', 'fail', 'local'] });
  await stage.down();
  const { status, message } = await stage.ask('x', { temperature: 0 });
  expect(status).toBe(503);
  expect(message).toMatch(/local: there is no such model nearby.*stale-cache: no answer to this/);
});

test('a device is answered by the same steps, and sees where the words come from', async () => {
  const [far, near] = [await startProvider(['far']), await startProvider(['near'])];
  const stage = await createMeshStage(1, 2, () => ({
    offline: ['stale-cache', 'local'],
    principals: [{ name: 'patient', nodes: ['n2'], offline: ['queue'] }],
    targets: [
      { name: 'cloud', kind: 'openai', url: far.url, models: ['far'] },
      { name: 'shelf', kind: 'openai', url: near.url, models: ['near'] },
    ],
  }));
  closers.push(
    () => near.close(),
    () => stage.close(),
  );
  const [device, patient] = stage.devices;
  const request = (text: string): object => ({
    model: 'far',
    temperature: 0,
    messages: [{ role: 'user', content: text }],
  });
  const options = { ttlMs: 30_000, cacheMs: 1 };
  const fresh = await device?.llm.chat({ ...request('keep 3 words') }, options);
  await far.close();
  expect(await device?.llm.chat({ ...request('keep 3 words') }, options)).toMatchObject({
    text: fresh?.text,
    target: 'stale-cache',
  });
  expect(await device?.llm.chat({ ...request('new 3 words') }, options)).toMatchObject({
    target: 'shelf',
    model: 'near',
  });
  const waits = patient?.llm.chat({ ...request('later 3 words') }, options);
  const engine = stage.gateways[0]?.gateway.engine;
  await vi.waitFor(() => expect(engine?.waitingOffline()).toBe(1), 10_000);
  const back = await startProvider(['far'], Number(new URL(far.url).port));
  closers.push(() => back.close());
  expect(await waits).toMatchObject({ text: 'later-0 3-1 words-2', target: 'cloud' });
  const lines = engine?.usage.lines() ?? [];
  const sum = (key: 'offlineStale' | 'offlineLocal' | 'offlineQueued'): number =>
    lines.reduce((all, line) => all + line[key], 0);
  expect([sum('offlineStale'), sum('offlineLocal'), sum('offlineQueued')]).toEqual([1, 1, 1]);
});
