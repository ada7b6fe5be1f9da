import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { linkClientId, loginUser, makeLogin } from '../../../src/adapters/link/link-login.ts';
import { laneTopics } from '../../../src/adapters/link/link-session.ts';
import { createNoiseStream, shakeHands } from '../../../src/adapters/link/noise-stream.ts';
import { createFrameGuard } from '../../../src/adapters/mqtt/frame-guard.ts';
import { createMqttClient, mqttConnected } from '../../../src/adapters/mqtt/mqtt-client.ts';
import { generateNodeKeys } from '../../../src/wire/keys.ts';
import { createCredentials, startLinkHost } from './link-fixture.ts';

test('a dialler whose frames go through mqtt.js, header, topic and payload by themselves, is heard', async () => {
  const mesh = generateNodeKeys();
  const host = await startLinkHost(createCredentials(mesh));
  const eve = createCredentials(mesh);
  const socket = connect(host.address.port, host.address.host);
  const peer = await shakeHands(socket, eve, true);
  const guard = createFrameGuard({ sender: 'server', packetBytesMax: 1 << 20 });
  const stream = createNoiseStream(socket, peer.session, guard, 1 << 20);
  const client = await createMqttClient(stream, {
    clientId: linkClientId(eve.node, peer.session.handshakeHash),
    username: loginUser,
    password: makeLogin(eve, peer),
    keepaliveSeconds: 15,
    connectMs: 3_000,
  });
  await mqttConnected(client, stream);
  onTestFinished(async () => {
    client.end(true);
    await host.transport.stop();
  });
  const frames = Array.from({ length: 9 }, (_, at) => Buffer.alloc(1 + at * 8_000, at));
  frames.forEach((frame, at) =>
    client.publish(laneTopics[at % 2 === 0 ? 'control' : 'data'], frame),
  );
  await host.heard.until(() => host.heard.frames.length === frames.length);
  expect(host.heard.closed).toEqual([]);
  const heard = host.heard.frames.map(({ bytes }) => Buffer.from(bytes).toString('base64'));
  expect(heard).toEqual(frames.map((frame) => frame.toString('base64')));
});
