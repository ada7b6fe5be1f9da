/** Publishes what every 1-wire thermometer of its board measures, to `room/SENSOR`, once a second. */

import { defineAgent } from 'mycel';

export const agent = defineAgent({
  name: 'thermometer',
  needs: ['one-wire'],
  init(self) {
    self.every(1_000, async () => {
      for (const sensor of await self.device.oneWire()) {
        try {
          const celsius = await self.device.temperature(sensor);
          await self.publish(`room/${sensor}`, celsius.toFixed(1), { retain: true });
        } catch (error) {
          // One loose wire must not silence the other sensors.
          self.log(String(error));
        }
      }
    });
  },
});
