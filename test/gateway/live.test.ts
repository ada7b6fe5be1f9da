/** The command: a gateway as people run it, a question from the terminal, budgets that survive a kill, and no key anywhere. */

import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import * as z from 'zod/mini';

import { action } from '../../src/agent/service.ts';
import { version } from '../../src/runtime/version.ts';

import { bundleMycel } from '../device/live-mycel.ts';
import type { Live, Mycel } from '../device/live-mycel.ts';
import { createLoopback } from '../runtime/loopback.ts';
import { chatOf, plantedKey } from './live-gateway.ts';
import { startProvider } from './provider.ts';
import type { Provider } from './provider.ts';

let mycel: Mycel;
let provider: Provider;
beforeAll(async () => {
  mycel = await bundleMycel();
  provider = await startProvider();
}, 60_000);
afterAll(async () => {
  await mycel.stop();
  await provider.close();
});

const token = 'tk-planted-8812b3';
const env = { LAB_KEY: plantedKey, BENCH_TOKEN: token, GUEST_TOKEN: 'gt-1' };

async function up(
  config: string,
  name: string,
  more: Readonly<Record<string, string>> = {},
): Promise<{ live: Live; url: string }> {
  const live = mycel.start(
    [
      'gateway',
      'up',
      '--config',
      config,
      '--json',
      '--log-level',
      'debug',
      '--data-dir',
      mycel.dir(name),
      '--port',
      '0',
      '--interface',
      'lo',
      '--profile',
      'loopback',
    ],
    { ...env, ...more },
  );
  const ready = await Promise.race([
    live.line({ event: 'ready' }),
    live.ended.then(({ err }) => {
      throw new Error(err);
    }),
  ]);
  const { host, port } = ready['http'] as { host: string; port: number };
  return { live, url: `http://${host}:${port}` };
}

test('serves, answers the terminal, remembers what was spent, and shows no key', async () => {
  const config = join(mycel.home, 'gateway.yaml');
  await writeFile(
    config,
    `http: { host: 127.0.0.1, port: 0 }
targets:
  - { name: lab, kind: openai, url: "${provider.url}", apiKeyEnv: LAB_KEY, models: [small, large] }
principals:
  - { name: bench, tokenEnv: BENCH_TOKEN, budget: { tokens: { total: 40 } } }
`,
  );
  const first = await up(config, 'g');
  const ask = (url: string): Promise<Response> =>
    fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify(chatOf('hello there')),
    });
  expect((await ask(first.url)).status).toBe(200);
  const asked = await mycel.run(['llm', 'ask', 'hello', 'there', '--data-dir', mycel.dir('g')]);
  expect([asked.code, asked.out]).toEqual([0, expect.stringContaining('hello-0 there-1')]);
  const targets = await mycel.run(['llm', 'targets', '--json', '--data-dir', mycel.dir('g')]);
  expect(targets.out).toContain('"lab"');
  const usage = await mycel.run(['llm', 'usage', '--data-dir', mycel.dir('g')]);
  expect(usage.out).toContain('bench');
  provider.script({
    kind: 'status',
    status: 401,
    body: { error: { message: `bad key ${plantedKey}` } },
  });
  const refused = await mycel.run([
    'llm',
    'ask',
    'x',
    '--model',
    'large',
    '--data-dir',
    mycel.dir('g'),
  ]);
  expect(refused.code).toBe(1);

  // No goodbye: what was settled is remembered all the same.
  first.live.child.kill('SIGKILL');
  const killed = await first.live.ended;
  // Node's own report of a crash, as the owner may have asked for it.
  const reports = mycel.dir('g');
  const flags = `--report-on-signal --report-signal=SIGUSR2 --report-directory=${reports}`;
  const second = await up(config, 'g', { NODE_OPTIONS: flags });
  const statuses = [
    (await ask(second.url)).status,
    (await ask(second.url)).status,
    (await ask(second.url)).status,
  ];
  expect(statuses.at(-1)).toBe(402);
  second.live.child.kill('SIGUSR2');
  await expect
    .poll(async () => (await readdir(reports)).some((name) => name.endsWith('.json')), {
      timeout: 20_000,
    })
    .toBe(true);
  const shown = await Promise.all(
    [['status'], ['members'], ['state', 'ls'], ['llm', 'targets']].map((command) =>
      mycel.run([...command, '--json', '--data-dir', mycel.dir('g')]),
    ),
  );
  expect(shown.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
  second.live.child.kill('SIGTERM');
  const stopped = await second.live.ended;
  expect(stopped.code).toBe(0);

  const texts = [asked, targets, usage, refused, killed, stopped, ...shown].map(
    ({ out, err }) => out + err,
  );
  for (const entry of await readdir(mycel.dir('g'), { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) texts.push(await readFile(join(entry.parentPath, entry.name), 'latin1'));
  }
  const everything = texts.join('\n');
  expect(everything).toContain('environmentVariables');
  expect(everything).not.toContain(plantedKey);
  expect(everything).not.toContain(token);
}, 120_000);

test('offers the services of its mesh to MCP clients, for whom they were named', async () => {
  const config = join(mycel.home, 'mcp.yaml');
  await writeFile(
    config,
    `http: { host: 127.0.0.1, port: 0 }
targets:
  - { name: lab, kind: openai, url: "${provider.url}", apiKeyEnv: LAB_KEY, models: [small] }
principals:
  - { name: bench, tokenEnv: BENCH_TOKEN }
  - { name: guest, tokenEnv: GUEST_TOKEN }
mcp:
  tools:
    - lamp.read
    - { action: lamp.set, principals: [bench] }
`,
  );
  const { live, url } = await up(config, 'm');
  const invited = await mycel.run(['invite', '--json', '--data-dir', mycel.dir('m')]);
  const { invite } = JSON.parse(invited.out) as { invite: string };
  // A device of somebody's own program, in this process.
  const loopback = await createLoopback();
  try {
    const device = await loopback.build('device', { join: invite });
    let level = 3;
    device.service({
      name: 'lamp',
      version: '2.0.0',
      actions: {
        read: action(
          { input: z.object({}), output: z.object({ level: z.number() }), effect: false },
          () => ({ level }),
        ),
        set: action(
          { input: z.object({ level: z.number() }), output: z.string() },
          (given) => `it was ${[level, (level = given.level)][0]}`,
        ),
      },
    });
    await device.start();
    const connect = async (bearer: string): Promise<Client> => {
      const client = new Client({ name: 'test', version: '1' });
      const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`), {
        requestInit: { headers: { authorization: `Bearer ${bearer}` } },
      });
      await client.connect(transport as never);
      return client;
    };
    const [bench, guest] = [await connect(token), await connect('gt-1')];
    await vi.waitFor(
      async () =>
        expect((await bench.listTools()).tools.map(({ name }) => name)).toEqual([
          'lamp_read',
          'lamp_set',
        ]),
      { timeout: 15_000, interval: 50 },
    );
    expect((await guest.listTools()).tools.map(({ name }) => name)).toEqual(['lamp_read']);
    const set = { name: 'lamp_set', arguments: { level: 8 } };
    expect(await guest.callTool(set)).toMatchObject({ isError: true });
    expect(await bench.callTool(set)).toMatchObject({ content: [{ text: '"it was 3"' }] });
    expect(await guest.callTool({ name: 'lamp_read', arguments: {} })).toMatchObject({
      structuredContent: { level: 8 },
    });
    expect(bench.getServerVersion()).toEqual({ name: 'mycel-gateway', version });
    await Promise.all([bench.close(), guest.close()]);
  } finally {
    await loopback[Symbol.asyncDispose]();
  }
  live.child.kill('SIGTERM');
  expect((await live.ended).code).toBe(0);
}, 60_000);

test('says in one line what is wrong with a configuration, and with a target', async () => {
  const config = join(mycel.home, 'bad.yaml');
  const fails = async (text: string): Promise<string> => {
    await writeFile(config, text);
    const { code, err } = await mycel.run([
      'gateway',
      'up',
      '--config',
      config,
      '--data-dir',
      mycel.dir('bad'),
    ]);
    expect(code).toBe(2);
    expect(err.trimEnd().split('\n')).toHaveLength(1);
    return err;
  };
  expect(await fails('targets: [')).toContain('is not YAML');
  expect(await fails('targets: []\nport: 1\n')).toContain("does not know 'port'");
  expect(await fails('targets: [{ name: a, kind: openia, url: "http://h/v1" }]')).toContain(
    'targets[0].kind',
  );
  expect(
    await fails(
      'targets: [{ name: a, kind: openai, url: "http://h/v1", apiKeyEnv: NOT_SET_AT_ALL }]',
    ),
  ).toContain('NOT_SET_AT_ALL');
  await writeFile(
    config,
    'targets: [{ name: gone, kind: openai, url: "http://127.0.0.1:1/v1", models: [m] }]',
  );
  const check = await mycel.run(['gateway', 'check', '--config', config]);
  expect([check.code, check.out]).toEqual([1, expect.stringContaining('cannot be reached')]);
}, 60_000);
