/**
 * A program with a node that holds locks and has effects done: a command a line on standard input, a line of JSON for
 * each answer. Arguments: data directory, name, invite or `-`. It has the sink `wall`, which tells what it was asked.
 */

import { createInterface } from 'node:readline';
import { createNode } from '../../../src/index.ts';
import type { Held, NodeId } from '../../../src/index.ts';

const [dataDir = '', name = '', invite = '-'] = process.argv.slice(2);
const tell = (value: object): void => console.log(JSON.stringify(value));
const node = await createNode({
  dataDir,
  name,
  port: 0,
  interfaces: ['lo'],
  profile: 'fast',
  mdns: false,
  multicast: false,
  logLevel: 'silent',
  ...(invite === '-' ? {} : { join: invite }),
});
const held = new Map<string, Held>();
node.effects.sink('wall', async ({ key, token, payload, from }) => {
  tell({ did: new TextDecoder().decode(payload), key, token, from });
  return 'done';
});
await node.start();

const commands: Readonly<Record<string, (...words: string[]) => Promise<object>>> = {
  invite: async () => await node.invite(),
  members: async () => ({ alive: node.status().members.alive }),
  voters: async () => ({ voters: (await node.leader()).voters.length }),
  async lock(lock = '', ttl = '') {
    const taken = await node.lock(lock, { ttl: Number(ttl), wait: 60_000 });
    held.set(lock, taken);
    return { token: taken.token };
  },
  async apply(to = '', lock = '', payload = '') {
    const under = held.get(lock);
    if (under === undefined) throw new Error(`no lock ${lock}`);
    const answer = await node.effects.apply(to as NodeId, 'wall', under, payload);
    return { answer: new TextDecoder().decode(answer) };
  },
  drops: async () => ({ drops: node.status().metrics.drops }),
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const [id = '', command = '', ...words] = line.split(' ');
  Promise.resolve(commands[command]?.(...words))
    .then((answer) => tell({ id, ...answer }))
    .catch((error: { code?: string; message: string }) =>
      tell({ id, code: error.code, message: error.message }),
    );
});
tell({ id: 'ready', node: node.id });
