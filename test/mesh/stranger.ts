/**
 * A stranger on the LAN, as a program: does what one line of standard input says, answers with one line of JSON.
 *
 * `{"do":"datagrams","to":HOST,"port":PORT,"payloads":[HEX…]}` sends them; `{"do":"stream","to":HOST,"port":PORT,"bytes":HEX}`
 * connects, sends, and tells what came back and how the connection ended.
 */

import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

interface Order {
  readonly do: 'datagrams' | 'stream';
  readonly to: string;
  readonly port: number;
  readonly payloads?: readonly string[];
  readonly bytes?: string;
}

/** Datagrams a second: below what a node drops by rate. */
const burst = 100;

async function sendDatagrams({ to, port, payloads = [] }: Order): Promise<unknown> {
  const socket = createSocket('udp4');
  let sent = 0;
  for (const payload of payloads) {
    await new Promise<void>((resolve) => {
      socket.send(Buffer.from(payload, 'hex'), port, to, () => resolve());
    });
    sent += 1;
    if (sent % burst === 0) await new Promise((resolve) => setTimeout(resolve, 200));
  }
  socket.close();
  return { sent };
}

function sendStream({ to, port, bytes = '' }: Order): Promise<unknown> {
  return new Promise((resolve) => {
    const socket = connect({ host: to, port });
    const back: Buffer[] = [];
    let failure = '';
    socket.setTimeout(6_000, () => socket.destroy());
    socket.on('connect', () => socket.write(Buffer.from(bytes, 'hex')));
    socket.on('data', (chunk: Buffer) => back.push(chunk));
    socket.on('error', (error: Error) => (failure = error.message));
    socket.on('close', () => resolve({ back: Buffer.concat(back).toString('hex'), failure }));
  });
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line) as Order;
  const done = order.do === 'stream' ? sendStream(order) : sendDatagrams(order);
  void done.then((result) => process.stdout.write(`${JSON.stringify(result)}\n`));
});
process.stdout.write('ready\n');
