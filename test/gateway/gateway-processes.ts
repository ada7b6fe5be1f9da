/** Gateways as real processes on loopback, each with a target of its own at one stand-in, and a device to ask them with. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { vi } from 'vitest';

import { createNode, type AgentHandles, type MeshNode } from '../../src/index.ts';
import { bundleMycel } from '../device/live-mycel.ts';
import type { Live } from '../device/live-mycel.ts';
import { plantedKey } from './live-gateway.ts';
import { startProvider } from './provider.ts';
import type { Provider } from './provider.ts';

/** Longest wait for a mesh to be whole, in ms. */
const meshMs = 30_000;

/**
 * Loaded into a gateway before its own code: writes down everything that it seals, as it is before that, and every datagram
 * as it is after.
 */
const tap = `
const crypto = require('node:crypto');
const { Socket } = require('node:dgram');
const { appendFileSync } = require('node:fs');
const keep = (bytes) => appendFileSync(process.env.TAP, bytes);
const { createCipheriv } = crypto;
crypto.createCipheriv = (...args) => {
  const cipher = createCipheriv(...args);
  const { update } = cipher;
  cipher.update = (bytes, ...rest) => {
    keep(bytes);
    return update.call(cipher, bytes, ...rest);
  };
  return cipher;
};
const { send } = Socket.prototype;
Socket.prototype.send = function (bytes, ...rest) {
  for (const part of [bytes].flat()) keep(part);
  return send.call(this, bytes, ...rest);
};
require('node:module').syncBuiltinESMExports();
`;

/**
 * Longest wait for a gateway to be ready, in ms. One that ends is told of at once; one in a thousand that gets no processor
 * for 20 s says nothing about gateways.
 */
const startMs = 120_000;

/** One gateway, which can be killed and started again. */
export interface GatewayProcess {
  readonly name: string;
  /** The name of its target: answers say which gateway they came from. */
  readonly target: string;
  url: string;
  readonly dataDir: string;
  /** Ends it as a power cut does. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

/** Everything. */
export interface GatewayProcesses {
  readonly provider: Provider;
  readonly gateways: readonly GatewayProcess[];
  readonly device: MeshNode & AgentHandles;
  /** Waits until the device is told by all of them what they have. */
  whole(): Promise<void>;
  /** Requests that each living gateway says may have been billed twice, since it started, by name. */
  possibleDoubleBills(): Promise<ReadonlyMap<string, number>>;
  /** All that the gateways have said to other members so far, before it was sealed, and their datagrams. */
  said(): Promise<Buffer>;
  stop(): Promise<void>;
}

/** Starts them. */
export async function startGateways(count: number, more = ''): Promise<GatewayProcesses> {
  const mycel = await bundleMycel();
  const provider = await startProvider();
  const closers: (() => Promise<unknown>)[] = [() => mycel.stop(), () => provider.close()];
  const stop = async (): Promise<void> => {
    for (const close of closers.toReversed()) await close();
  };
  const network = ['--interface', 'lo', '--profile', 'loopback'];
  let invite: string | undefined;
  const tapScript = join(mycel.home, 'tap.cjs');
  const tapped = join(mycel.home, 'tapped');
  await writeFile(tapScript, tap);

  async function gatewayAt(at: number): Promise<GatewayProcess> {
    const name = `g${at}`;
    const config = join(mycel.home, `${name}.yaml`);
    await writeFile(
      config,
      `http: { port: 0 }
targets: [{ name: of-${name}, kind: openai, url: "${provider.url}", apiKeyEnv: LAB_KEY, models: [small] }]
${more}`,
    );
    let live: Live;
    /** Found free at its first start, and taken again: that is how others find it. */
    let port: number | undefined;
    const gateway: GatewayProcess = {
      name,
      target: `of-${name}`,
      url: '',
      dataDir: mycel.dir(name),
      async kill() {
        live.child.kill('SIGKILL');
        await live.ended;
      },
      async start() {
        const args = ['gateway', 'up', '--json', '--name', name, '--config', config];
        const join = invite === undefined || gateway.url !== '' ? [] : ['--join', invite];
        const dir = ['--data-dir', gateway.dataDir];
        live = mycel.start([...args, ...dir, ...network, '--port', '0', ...join], {
          LAB_KEY: plantedKey,
          NODE_OPTIONS: `--require ${tapScript}`,
          TAP: tapped,
        });
        const ready = await Promise.race([
          live.line({ event: 'ready' }, startMs),
          live.ended.then(({ err }) => {
            throw new Error(err);
          }),
        ]);
        const http = ready['http'] as { host: string; port: number };
        gateway.url = `http://${http.host}:${http.port}`;
        const now = ready['mqttPort'] as number;
        if (port !== undefined && port !== now)
          throw new Error(`${name} was at ${port} and is at ${now}`);
        port = now;
      },
    };
    await gateway.start();
    return gateway;
  }

  try {
    const gateways: GatewayProcess[] = [];
    for (let at = 0; at < count; at += 1) {
      if (at > 0) invite = await mint();
      gateways.push(await gatewayAt(at));
    }
    const device = await createNode({
      name: 'device',
      dataDir: mycel.dir('device'),
      port: 0,
      guestPort: 0,
      interfaces: ['lo'],
      profile: 'loopback',
      mdns: false,
      multicast: false,
      logLevel: 'silent',
      join: await mint(),
    });
    closers.push(() => device.stop());
    await device.start();
    const told = (): ReturnType<typeof device.llm.targets> => device.llm.targets();
    const processes: GatewayProcesses = {
      provider,
      gateways,
      device,
      stop,
      whole: () =>
        vi.waitFor(
          async () => {
            const there = (await told()).filter(({ advert }) => advert.models.length > 0);
            if (there.length < count) throw new Error(`${there.length} of ${count} are there`);
          },
          { timeout: meshMs, interval: 20 },
        ),
      possibleDoubleBills: async () =>
        new Map((await told()).map(({ name, advert }) => [name, advert.possibleDoubleBills ?? 0])),
      said: () => readFile(tapped),
    };
    await processes.whole();
    return processes;
  } catch (error) {
    await stop();
    throw error;
  }

  async function mint(): Promise<string> {
    const { out, err } = await mycel.run(['invite', '--json', '--data-dir', mycel.dir('g0')]);
    const told = JSON.parse(out === '' ? '{}' : out) as { readonly invite?: string };
    if (told.invite === undefined) throw new Error(err);
    return told.invite;
  }
}
