/**
 * A node whose own program keeps what it hears: each message is in the file before anything else happens to it, so a kill
 * at any instant takes nothing back: the process, the first word, the length and the SHA-256 of the payload. Prints what
 * `mycel up --json` prints.
 * Arguments: data directory, name, file, invite (none: it is a member already).
 */

import { createHash } from 'node:crypto';
import { openSync, writeSync } from 'node:fs';
import { createNode } from 'mycel';

const [dataDir = '', name = '', file = '', join = ''] = process.argv.slice(2);
const node = await createNode({ dataDir, name, profile: 'fast', ...(join === '' ? {} : { join }) });
const tell = (event: object): void => console.log(JSON.stringify(event));
node.on('member', ({ id, name: who, state }) => tell({ event: 'member', id, name: who, state }));
const record = openSync(file, 'a');
const life = process.pid;
const text = new TextDecoder();
node.subscribe('ev/#', ({ payload }) => {
  const [word = ''] = text.decode(payload.subarray(0, 32)).split(' ');
  const digest = createHash('sha256').update(payload).digest('hex');
  writeSync(record, `${life} ${word} ${payload.length} ${digest}\n`);
});
process.on('SIGTERM', () => void node.stop());
await node.start();
tell({ event: 'ready', node: node.id, name: node.name, mqttPort: node.status().mqttPort });
