/** Real brokers other than Mosquitto, each with a password and on ports of its own: for runs that name them. */

import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePort } from '../../../src/adapters/free-port.ts';
import { password, startMosquitto, urlOf, user } from './mosquitto.ts';
import type { Mosquitto } from './mosquitto.ts';

const host = '127.0.0.1';
const freePort = (): Promise<number> => findFreePort({ host, port: 0 });

interface Recipe {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** After the process was killed: what it left running. */
  clean?(): Promise<void>;
}

/** NATS keeps MQTT sessions in JetStream. */
async function nats(home: string, port: number): Promise<Recipe> {
  const config = join(home, 'nats.conf');
  const users = `authorization { users: [ { user: "${user}", password: "${password}" } ] }`;
  const lines = [
    'server_name: backbone',
    `listen: "${host}:${await freePort()}"`,
    `jetstream { store_dir: "${home}/jetstream" }`,
    `mqtt { host: "${host}", port: ${port} }`,
    users,
  ];
  await writeFile(config, lines.join('\n'));
  return { command: 'nats-server', args: ['-c', config] };
}

/** RabbitMQ with its MQTT plugin; Erlang's port mapper is its own and goes with it. */
async function rabbitmq(home: string, port: number): Promise<Recipe> {
  const plugins = join(home, 'plugins');
  await writeFile(plugins, '[rabbitmq_mqtt].\n');
  const lines = [
    `listeners.tcp.default = ${host}:${await freePort()}`,
    `mqtt.listeners.tcp.default = ${host}:${port}`,
    'mqtt.allow_anonymous = false',
    'loopback_users = none',
    `load_definitions = ${join(home, 'definitions.json')}`,
  ];
  // A salted hash, because its configuration file knows no UTF-8.
  const salt = randomBytes(4);
  const hash = createHash('sha256').update(salt).update(password).digest();
  const all = { configure: '.*', write: '.*', read: '.*' };
  const definitions = {
    vhosts: [{ name: '/' }],
    users: [
      { name: user, password_hash: Buffer.concat([salt, hash]).toString('base64'), tags: '' },
    ],
    permissions: [{ user, vhost: '/', ...all }],
    topic_permissions: [],
  };
  await writeFile(join(home, 'definitions.json'), JSON.stringify(definitions));
  await writeFile(join(home, 'rabbitmq.conf'), `${lines.join('\n')}\n`);
  const mapper = `${await freePort()}`;
  const env = {
    HOME: home,
    RABBITMQ_NODENAME: `backbone${port}@localhost`,
    RABBITMQ_CONFIG_FILE: join(home, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
    RABBITMQ_MNESIA_BASE: join(home, 'mnesia'),
    RABBITMQ_LOG_BASE: join(home, 'log'),
    RABBITMQ_DIST_PORT: `${await freePort()}`,
    ERL_EPMD_PORT: mapper,
  };
  const clean = async (): Promise<void> => {
    // It goes only when it has noticed that the node is gone.
    for (let waited = 0; waited < 5_000; waited += 100) {
      const { status } = spawnSync('epmd', ['-port', mapper, '-kill']);
      if (status === 0 || !(await answers(Number(mapper)))) return;
      await once(AbortSignal.timeout(100), 'abort');
    }
  };
  return { command: '/usr/lib/rabbitmq/bin/rabbitmq-server', args: [], env, clean };
}

const recipes = { nats, rabbitmq } as const;

/** The brokers that this run is about: `BACKBONE_BROKERS=mosquitto,nats,rabbitmq`. */
export const brokerNames: readonly string[] = (
  process.env['BACKBONE_BROKERS'] ?? 'mosquitto'
).split(',');

/** Starts one by its name. */
export async function startBroker(name: string = brokerNames[0] ?? ''): Promise<Mosquitto> {
  if (name === 'mosquitto') return startMosquitto();
  const recipe = recipes[name as keyof typeof recipes];
  if (recipe === undefined) throw new Error(`no broker is called '${name}'`);
  const home = await mkdtemp(join(tmpdir(), `mycel-${name}-`));
  const port = await freePort();
  const { command, args, env = {}, clean } = await recipe(home, port);
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    // A group of its own: RabbitMQ's script starts Erlang as a child.
    const options = { detached: true, stdio: 'ignore', env: { ...process.env, ...env } } as const;
    child = spawn(command, args, options);
    for (let waited = 0; !(await answers(port)); waited += 50) {
      if (waited > 60_000) throw new Error(`${name} does not listen`);
      await once(AbortSignal.timeout(50), 'abort');
    }
  }
  async function kill(): Promise<void> {
    if (child?.pid === undefined) return;
    const gone = once(child, 'exit');
    process.kill(-child.pid, 'SIGKILL');
    await gone;
    child = undefined;
  }

  await start();
  return {
    port,
    url: (as) => urlOf(host, port, as),
    kill,
    start,
    async stop() {
      await kill();
      await clean?.();
      await rm(home, { recursive: true, force: true });
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
