/**
 * Publishes numbered events to the broker on this host and prints every number that was acknowledged, as it is. It comes
 * back when the broker does, and repeats nothing: what was not acknowledged is nobody's promise.
 * Arguments: port, topic, bytes of every other payload (the others are their number), how many may be unacknowledged, events a
 * second. The first line of standard input ends it.
 */

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { rawClient, type } from '../adapters/aedes/raw-client.ts';
import { payloadOf } from './numbered-payload.ts';

const [port = '1883', topic = 'ev', bytes = '0', windowMax = '20', perSecond = '400'] =
  process.argv.slice(2);

let next = 0;
let isOver = false;
once(process.stdin, 'data').then(
  () => (isOver = true),
  () => undefined,
);

async function session(): Promise<void> {
  const client = await rawClient(Number(port));
  if ((await client.connect({ clientId: 'publisher' })).code !== 0) return;
  const numberOf = new Map<number, number>();
  let read = 0;
  const takeAcks = (): void => {
    for (const packet of client.packets.slice(read)) {
      read += 1;
      if (packet.type !== type.puback) continue;
      const id = packet.body.readUInt16BE(0);
      console.log(`acked ${numberOf.get(id)}`);
      numberOf.delete(id);
    }
  };
  client.socket.on('data', () => setImmediate(takeAcks));
  // A timer comes at most once a millisecond.
  const atOnce = Math.ceil(Number(perSecond) / 1000);
  while (!isOver && !client.isClosed()) {
    for (let count = 0; count < atOnce && numberOf.size < Number(windowMax); count += 1) {
      const id = (next % 60_000) + 1;
      numberOf.set(id, next);
      client.publish(topic, payloadOf(next, Number(bytes)), { qos: 1, id });
      next += 1;
    }
    await sleep((1000 * atOnce) / Number(perSecond));
  }
  // What is on its way may still be acknowledged.
  for (let waited = 0; !client.isClosed() && numberOf.size > 0 && waited < 5_000; waited += 50) {
    await sleep(50);
  }
  takeAcks();
  client.socket.destroy();
}

while (!isOver) {
  await session().catch(() => undefined);
  await sleep(100);
}
console.log('over');
process.exit(0);
