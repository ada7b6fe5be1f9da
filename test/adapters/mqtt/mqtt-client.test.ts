import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { GatheringStream, sliceBytes } from '../../../src/adapters/mqtt/gathering-stream.ts';
import { createMqttClient, mqttConnected } from '../../../src/adapters/mqtt/mqtt-client.ts';

/** Logs in over a connection of which only this end is used. */
function login(): { readonly socket: Duplex; readonly done: Promise<void> } {
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const same = (bytes: Uint8Array): readonly Uint8Array[] => [bytes];
  const stream = new GatheringStream(socket, sliceBytes, { outbound: same, inbound: same });
  const how = { clientId: 'early', keepaliveSeconds: 15, connectMs: 3_000 };
  const client = createMqttClient(stream, how);
  return { socket, done: client.then((one) => mqttConnected(one, stream)) };
}

test('a connection that is reset while the client is being loaded ends the attempt, not the process', async () => {
  const { socket, done } = login();
  socket.destroy(new Error('read ECONNRESET'));
  await expect(done).rejects.toThrow('read ECONNRESET');
});

test('a connection that is closed while the client is being loaded ends the attempt', async () => {
  const { socket, done } = login();
  socket.destroy();
  await expect(done).rejects.toThrow('the peer closed the connection');
});
