/** A node that shows its board to other software: the page for Prometheus, the device for Home Assistant. */

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { connectAsync, type MqttClient } from 'mqtt';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { MeshNode } from '../../../src/index.ts';
import { createLoopback, patienceMs, peersOf, type Loopback } from '../loopback.ts';

let home: Loopback;
beforeAll(async () => {
  home = await createLoopback();
});
afterAll(() => home[Symbol.asyncDispose]());

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('the page for Prometheus', () => {
  /** One line of the text format: a comment, or a name with labels and a number. */
  const line =
    /^(# (HELP|TYPE) mycel_[a-z0-9_]+ .+|mycel_[a-z0-9_]+(\{[a-z]+="([^"\\\n]|\\.)*"(,[a-z]+="([^"\\\n]|\\.)*")*\})? -?[0-9.e+-]+)$/;

  test('is text in its format, with the node, the mesh and the board', async () => {
    const port = await freePort();
    const node = await home.up('scraped', { metrics: `127.0.0.1:${port}` });
    await node.publish('a', 'b');
    const response = await fetch(`http://127.0.0.1:${port}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const lines = (await response.text()).trimEnd().split('\n');
    expect(lines.filter((each) => !line.test(each))).toEqual([]);
    const heads = lines
      .filter((each) => each.startsWith('# TYPE'))
      .map((each) => each.split(' ')[2]);
    expect(new Set(heads).size).toBe(heads.length);
    expect(lines).toEqual(
      expect.arrayContaining([
        expect.stringContaining(`mycel_info{node="${node.id}",name="scraped"`),
        'mycel_members{state="alive"} 1',
        'mycel_mesh_published_total 1',
        expect.stringMatching(/^mycel_board_memory_available_bytes \d{6,}$/),
      ]),
    );
    await node.stop();
    await expect(fetch(`http://127.0.0.1:${port}/metrics`)).rejects.toThrow();
  });

  test('is the only page there, and is not written to', async () => {
    const port = await freePort();
    await home.up('only', { metrics: `127.0.0.1:${port}` });
    const at = `http://127.0.0.1:${port}`;
    expect((await fetch(`${at}/`)).status).toBe(404);
    expect((await fetch(`${at}/metrics`, { method: 'POST', body: 'x' })).status).toBe(405);
    expect((await fetch(`${at}/metrics?x=1`)).status).toBe(200);
  });

  test('names its port when it is taken, and the node does not start half', async () => {
    const port = await freePort();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    const node = await home.build('taken', { metrics: `127.0.0.1:${port}` });
    await expect(node.start()).rejects.toMatchObject({
      code: 'MYCEL_PORT_TAKEN',
      message: expect.stringContaining('metrics page') as string,
    });
    await node.stop();
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('boards in Home Assistant', () => {
  let ann: MeshNode;
  let bob: MeshNode;
  let client: MqttClient;
  /** The last retained or live payload of each topic, as Home Assistant would hold it. */
  const seen = new Map<string, string>();
  const topic = (node: MeshNode, what: string): string => `mycel/${node.id}/${what}`;
  const config = (node: MeshNode): string => `homeassistant/device/mycel_${node.id}/config`;
  const comes = (name: string, fits: (payload: string) => boolean): Promise<void> =>
    vi.waitFor(() => expect(fits(seen.get(name) ?? ''), `${name} ${seen.get(name)}`).toBe(true), {
      timeout: patienceMs,
      interval: 50,
    });

  beforeAll(async () => {
    ann = await home.up('ann', { homeAssistant: 'homeassistant' });
    bob = await home.up('bob', { homeAssistant: 'homeassistant' });
    await bob.join((await ann.invite()).invite);
    await vi.waitFor(() => expect(peersOf(ann)).toContain(bob.id), { timeout: patienceMs });
    client = await connectAsync(`mqtt://127.0.0.1:${ann.status().mqttPort}`, {
      protocolVersion: 4,
    });
    client.on('message', (name, payload) => void seen.set(name, payload.toString()));
    await client.subscribeAsync(['homeassistant/#', 'mycel/#'], { qos: 1 });
  });
  afterAll(() => client.endAsync());

  test('appear by one retained message each, with an entity for each fact', async () => {
    for (const node of [ann, bob]) {
      await comes(config(node), (payload) => payload !== '');
      const device = JSON.parse(seen.get(config(node)) ?? '') as {
        dev: { ids: string[]; name: string };
        cmps: Record<string, { p: string; unique_id: string; value_template: string }>;
        state_topic: string;
        availability_topic: string;
      };
      expect(device.dev).toMatchObject({ ids: [`mycel_${node.id}`], name: node.name });
      expect(device).toMatchObject({
        o: { name: 'mycel' },
        state_topic: topic(node, 'state'),
        availability_topic: topic(node, 'availability'),
      });
      await comes(topic(node, 'state'), (payload) => payload.startsWith('{'));
      const state = JSON.parse(seen.get(topic(node, 'state')) ?? '') as Record<string, unknown>;
      // Every entity reads a value that is there, and no id is used twice.
      expect(Object.keys(state).sort()).toEqual(Object.keys(device.cmps).sort());
      const ids = Object.values(device.cmps).map(({ unique_id: id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      for (const [key, { value_template: template }] of Object.entries(device.cmps)) {
        expect(template).toBe(`{{ value_json.${key} }}`);
      }
      await comes(topic(node, 'availability'), (payload) => payload === 'online');
    }
  });

  test('introduce themselves again when Home Assistant starts', async () => {
    seen.delete(config(ann));
    seen.delete(config(bob));
    await client.publishAsync('homeassistant/status', 'online', { qos: 1 });
    await comes(config(ann), (payload) => payload !== '');
    await comes(config(bob), (payload) => payload !== '');
  });

  test('are unavailable when they stop, by word of the others too', async () => {
    await bob.stop();
    await comes(topic(bob, 'availability'), (payload) => payload === 'offline');
  });

  test('go for good when their configuration is emptied', async () => {
    await ann.publish(config(bob), '', { qos: 1, retain: true });
    await comes(config(bob), (payload) => payload === '');
    const late = await connectAsync(`mqtt://127.0.0.1:${ann.status().mqttPort}`, {
      protocolVersion: 4,
    });
    const names: string[] = [];
    late.on('message', (name) => void names.push(name));
    await late.subscribeAsync('homeassistant/#', { qos: 1 });
    await vi.waitFor(() => expect(names).toContain(config(ann)), { timeout: patienceMs });
    expect(names).not.toContain(config(bob));
    await late.endAsync();
  });
});
