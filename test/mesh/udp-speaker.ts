/** Sends a datagram every 50 ms to the address given and prints its counts and what it hears. */

import { createUdpDatagrams } from '../../src/adapters/dgram/udp.ts';

const [to = '127.0.0.1'] = process.argv.slice(2);
const socket = await createUdpDatagrams().open({
  host: '0.0.0.0',
  port: 7946,
  receive: (from) => process.stdout.write(`heard ${from.host}\n`),
});
process.stdout.write('ready\n');
setInterval(() => {
  socket.send({ host: to, port: 7946 }, Uint8Array.of(1));
  process.stdout.write(`failed ${socket.counts().failed}\n`);
}, 50);
