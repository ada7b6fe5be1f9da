/** MCP clients and the services of a mesh: the real client of the protocol's own kit, real calls, typed tools. */

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { afterEach, expect, test } from 'vitest';
import * as z from 'zod/mini';

import { action, defineService, streamAction } from '../../src/agent/service.ts';
import { parseConfig, resolveConfig } from '../../gateway/config/load.ts';
import type { ConfigFile } from '../../gateway/config/schema.ts';
import { openGateway } from '../../gateway/gateway.ts';
import type { GatewayOptions } from '../../gateway/gateway.ts';
import { version } from '../../src/runtime/version.ts';
import { createStage } from '../runtime/services/stage.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const lamp = (set: string[]) =>
  defineService({
    name: 'lamp',
    version: '1.0.0',
    actions: {
      read: action(
        {
          input: z.object({ room: z.string() }),
          output: z.object({ level: z.number() }),
          effect: false,
        },
        ({ room }) => ({ level: room.length }),
      ),
      set: action({ input: z.object({ level: z.number() }), output: z.string() }, ({ level }) => {
        set.push(String(level));
        return 'done';
      }),
      watch: streamAction({ input: z.object({}), output: z.number() }, async function* () {
        yield 1;
      }),
    },
  });

/** A device with a lamp, another node with a gateway, and a client for each token. */
async function start(
  tools: NonNullable<ConfigFile['mcp']>['tools'],
  options: Partial<GatewayOptions> = {},
) {
  const { seats } = await createStage(2);
  const [home, device] = seats;
  const done: string[] = [];
  device?.service(lamp(done));
  await expect.poll(() => home?.services().length).toBe(1);
  const gateway = await openGateway({
    config: resolveConfig(
      parseConfig(
        {
          http: { port: 0 },
          targets: [],
          principals: [
            { name: 'ann', tokenEnv: 'ANN' },
            { name: 'bob', tokenEnv: 'BOB' },
          ],
          mcp: { tools },
        },
        'gateway.yaml',
      ),
      { ANN: 'token-of-ann', BOB: 'token-of-bob' },
    ),
    tools: home as NonNullable<typeof home>,
    report: () => undefined,
    ...options,
  });
  closers.push(() => gateway.close());
  const url = new URL(`http://127.0.0.1:${gateway.http.port}/mcp`);
  async function connect(token: string): Promise<Client> {
    const client = new Client({ name: 'test', version: '1' });
    const transport = new StreamableHTTPClientTransport(url, {
      requestInit: { headers: { authorization: `Bearer ${token}` } },
    });
    // Its types differ from their own interface under exactOptionalPropertyTypes.
    await client.connect(transport as never);
    closers.push(() => client.close());
    return client;
  }
  return { connect, done, url };
}

test('sees the actions that were named, typed as their service types them, and calls them', async () => {
  const { connect } = await start(['lamp.read', 'lamp.watch']);
  const ann = await connect('token-of-ann');
  expect(ann.getServerVersion()).toEqual({ name: 'mycel-gateway', version });
  const { tools } = await ann.listTools();
  expect(tools.map(({ name, inputSchema }) => [name, inputSchema])).toEqual([
    [
      'lamp_read',
      {
        type: 'object',
        properties: { room: { type: 'string' } },
        required: ['room'],
        additionalProperties: false,
      },
    ],
  ]);
  const result = await ann.callTool({ name: 'lamp_read', arguments: { room: 'attic' } });
  expect(result).toEqual({
    content: [{ type: 'text', text: '{"level":5}' }],
    structuredContent: { level: 5 },
  });
});

test('tells the model what was wrong with its input, and what a tool failed with', async () => {
  const { connect } = await start(['lamp.read']);
  const ann = await connect('token-of-ann');
  expect(await ann.callTool({ name: 'lamp_read', arguments: { room: 7 } })).toMatchObject({
    isError: true,
    content: [{ text: expect.stringContaining("'room' must be string") as string }],
  });
  expect(await ann.callTool({ name: 'lamp_burn', arguments: {} })).toMatchObject({
    isError: true,
    content: [{ text: expect.stringContaining("no tool 'lamp_burn'") as string }],
  });
});

test('causes an effect only for whom it was named, and shows it to nobody else', async () => {
  const { connect, done } = await start([{ action: 'lamp.set', principals: ['ann'] }, 'lamp.read']);
  const [ann, bob] = [await connect('token-of-ann'), await connect('token-of-bob')];
  expect((await bob.listTools()).tools.map(({ name }) => name)).toEqual(['lamp_read']);
  const call = { name: 'lamp_set', arguments: { level: 3 } };
  expect(await bob.callTool(call)).toMatchObject({ isError: true });
  expect(done).toEqual([]);
  expect(await ann.callTool(call)).toEqual({ content: [{ type: 'text', text: '"done"' }] });
  expect(done).toEqual(['3']);
});

test('whether there is an effect is for the service to say, and the configuration may only be stricter', async () => {
  const { connect, done } = await start([
    { action: 'lamp.set', effect: false },
    { action: 'lamp.read', effect: true },
  ]);
  const ann = await connect('token-of-ann');
  const hints = (await ann.listTools()).tools.map(({ name, annotations }) => [
    name,
    annotations?.readOnlyHint,
  ]);
  expect(hints).toEqual([
    ['lamp_set', false],
    ['lamp_read', false],
  ]);
  for (const call of [
    { name: 'lamp_set', arguments: { level: 3 } },
    { name: 'lamp_read', arguments: { room: 'attic' } },
  ])
    expect(await ann.callTool(call)).toMatchObject({
      isError: true,
      content: [{ text: expect.stringContaining('It has an effect') as string }],
    });
  expect(done).toEqual([]);
});

test('an effect that nobody was named for is refused, unless the policy is asked and says yes', async () => {
  const strict = await start(['lamp.set']);
  const call = { name: 'lamp_set', arguments: { level: 3 } };
  expect(await (await strict.connect('token-of-ann')).callTool(call)).toMatchObject({
    isError: true,
    content: [{ text: expect.stringContaining('nobody is named') as string }],
  });
  expect(strict.done).toEqual([]);
  const asked: unknown[] = [];
  const hooked = await start(['lamp.set'], {
    mayCall: (wish) => {
      asked.push(wish);
      return wish.principal === 'ann' || 'Only Ann, at night.';
    },
  });
  const bob = await hooked.connect('token-of-bob');
  expect(await bob.callTool(call)).toMatchObject({
    isError: true,
    content: [{ text: expect.stringContaining('Only Ann, at night.') as string }],
  });
  await (await hooked.connect('token-of-ann')).callTool(call);
  expect(hooked.done).toEqual(['3']);
  expect(asked).toEqual([
    { action: 'lamp.set', principal: 'bob', input: { level: 3 } },
    { action: 'lamp.set', principal: 'ann', input: { level: 3 } },
  ]);
});

test('knows nobody without a token, and takes no call from a page of another place', async () => {
  const { connect, url } = await start(['lamp.set']);
  await expect(connect('token-of-eve')).rejects.toThrow();
  const headers = { authorization: 'Bearer token-of-ann', origin: 'http://evil.example' };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
  expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(403);
});
