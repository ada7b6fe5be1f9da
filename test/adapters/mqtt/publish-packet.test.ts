import mqttPacket from 'mqtt-packet';
import { expect, test } from 'vitest';
import { publishPacket } from '../../../src/adapters/mqtt/publish-packet.ts';

test.each([0, 1, 120, 121, 122, 127, 128, 16_376, 16_377, 16_378, 262_144])(
  'a publish of %i bytes is what the library of MQTT makes of it',
  (size) => {
    const payload = Buffer.from(Uint8Array.from({ length: size }, (_, at) => at * 7));
    for (const topic of ['$mycel/c', 'ä/ö']) {
      const wanted = mqttPacket.generate({
        cmd: 'publish',
        topic,
        payload,
        qos: 0,
        retain: false,
        dup: false,
      });
      expect(Buffer.compare(publishPacket(topic, payload), wanted)).toBe(0);
    }
  },
);
