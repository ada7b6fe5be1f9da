/** The recipes of docs/guide/interop.md with the very rules that stand there, played by real MQTT clients on two boards. */

import { readFile } from 'node:fs/promises';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { MeshNode } from '../../../src/index.ts';
import { createLoopback, patienceMs, peersOf, type Loopback } from '../loopback.ts';

let home: Loopback;
let guide: string;
/** The board that the devices are connected to, and another one. */
let near: MeshNode;
let far: MeshNode;
const clients: MqttClient[] = [];

beforeAll(async () => {
  guide = await readFile(new URL('../../../docs/guide/interop.md', import.meta.url), 'utf8');
  home = await createLoopback();
  near = await home.up('near');
  far = await home.up('far');
  await far.join((await near.invite()).invite);
  await vi.waitFor(() => expect(peersOf(near)).toContain(far.id), { timeout: patienceMs });
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.endAsync(true)));
  await home[Symbol.asyncDispose]();
});

async function connect(port: number, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    protocolVersion: 4,
    reconnectPeriod: 0,
    ...options,
  });
  clients.push(client);
  return client;
}

/** Everything a client hears, `topic payload`. */
async function hear(client: MqttClient, ...filters: readonly string[]): Promise<string[]> {
  const heard: string[] = [];
  client.on('message', (topic, payload) => void heard.push(`${topic} ${payload.toString()}`));
  await client.subscribeAsync([...filters], { qos: 1 });
  return heard;
}

const comes = (heard: readonly string[], what: string): Promise<void> =>
  vi.waitFor(() => expect(heard).toContain(what), { timeout: patienceMs, interval: 20 });

/** Adds the guest of the guide's own command line. */
async function addGuest(name: string): Promise<{ port: number; login: IClientOptions }> {
  const line = guide.split('\n').find((each) => each.includes(`mycel guest add ${name} `));
  if (line === undefined) throw new Error(`the guide adds no guest ${name}`);
  const rules = (flag: string): string[] =>
    [...line.matchAll(new RegExp(`--${flag} '([^']+)'`, 'g'))].map(([, filter = '']) => filter);
  const { password, port } = await near.addGuest(name, undefined, {
    publish: rules('publish'),
    subscribe: rules('subscribe'),
  });
  return { port, login: { username: name, password } };
}

describe('a Tasmota plug', () => {
  test('takes commands from any board, answers, and leaves its last will', async () => {
    const { port, login } = await addGuest('lamp');
    const plug = await connect(port, {
      ...login,
      clientId: 'DVES_1A2B3C',
      will: { topic: 'tele/lamp/LWT', payload: Buffer.from('Offline'), qos: 1, retain: true },
    });
    const orders = await hear(plug, 'cmnd/lamp/#', 'cmnd/tasmotas/#');
    await plug.publishAsync('tele/lamp/LWT', 'Online', { qos: 1, retain: true });
    const person = await connect(far.status().mqttPort);
    const told = await hear(person, 'stat/lamp/#', 'tele/lamp/#');
    await comes(told, 'tele/lamp/LWT Online');
    await person.publishAsync('cmnd/lamp/POWER', 'TOGGLE', { qos: 1 });
    await comes(orders, 'cmnd/lamp/POWER TOGGLE');
    await plug.publishAsync('stat/lamp/POWER', 'ON');
    await comes(told, 'stat/lamp/POWER ON');
    // The power of the plug is cut: no goodbye.
    plug.stream.destroy();
    await comes(told, 'tele/lamp/LWT Offline');
    const late = await hear(await connect(far.status().mqttPort), 'tele/+/LWT');
    await comes(late, 'tele/lamp/LWT Offline');
  });
});

describe('Home Assistant as a guest', () => {
  test('hears the devices of every board and gives them orders', async () => {
    const { port, login } = await addGuest('homeassistant');
    const assistant = await connect(port, { ...login, clientId: 'homeassistant' });
    const heard = await hear(assistant, 'tele/#');
    const person = await connect(far.status().mqttPort);
    await person.publishAsync('tele/pump/STATE', '{"POWER":"OFF"}', { qos: 1 });
    await comes(heard, 'tele/pump/STATE {"POWER":"OFF"}');
    const orders = await hear(person, 'cmnd/#');
    await assistant.publishAsync('cmnd/pump/POWER', 'ON', { qos: 1 });
    await comes(orders, 'cmnd/pump/POWER ON');
  });
});

describe('Zigbee2MQTT on one board', () => {
  test('is heard on the others, takes their orders, and its retained states come to late ones', async () => {
    const bridge = await connect(near.status().mqttPort, { clientId: 'zigbee2mqtt' });
    const orders = await hear(bridge, 'zigbee2mqtt/+/set');
    await bridge.publishAsync('zigbee2mqtt/bridge/state', '{"state":"online"}', {
      qos: 0,
      retain: true,
    });
    await bridge.publishAsync('zigbee2mqtt/bulb', '{"state":"OFF"}', { qos: 0, retain: true });
    const flow = await connect(far.status().mqttPort, { clientId: 'nodered_1' });
    const states = await hear(flow, 'zigbee2mqtt/#');
    await comes(states, 'zigbee2mqtt/bridge/state {"state":"online"}');
    await flow.publishAsync('zigbee2mqtt/bulb/set', '{"state":"ON"}');
    await comes(orders, 'zigbee2mqtt/bulb/set {"state":"ON"}');
    await bridge.publishAsync('zigbee2mqtt/bulb', '{"state":"ON"}', { qos: 0, retain: true });
    await comes(states, 'zigbee2mqtt/bulb {"state":"ON"}');
  });
});

test('a client that wants MQTT 5 is told in the protocol that it is not spoken', async () => {
  await expect(connect(near.status().mqttPort, { protocolVersion: 5 })).rejects.toThrow(
    /protocol version/i,
  );
});
