/**
 * A program that embeds a node, as a user's own program does, and whose event loop is blocked on demand.
 * It prints the same lines as `mycel up --json`; SIGUSR2 makes it compute for `STALL_MS` without a pause.
 * Arguments: data directory, name, invite.
 */

import { createNode } from 'mycel';

const [dataDir = '', name = '', join = ''] = process.argv.slice(2);
const stallMs = Number(process.env['STALL_MS']);

const node = await createNode({ dataDir, name, join });
const tell = (event: object): void => console.log(JSON.stringify(event));
node.on('member', ({ id, name: who, state }) => tell({ event: 'member', id, name: who, state }));
process.on('SIGUSR2', () => {
  const end = performance.now() + stallMs;
  tell({ event: 'stalling' });
  while (performance.now() < end) Math.hypot(end, stallMs);
  tell({ event: 'stalled' });
});
process.on('SIGTERM', () => void node.stop());
await node.start();
const { mqttPort } = node.status();
tell({ event: 'ready', node: node.id, name: node.name, mqttPort });
