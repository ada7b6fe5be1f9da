/** An agent that watches the first of the counting ones, and says what it hears of it. */

import { defineAgent } from 'mycel';

export const agent = defineAgent({
  name: 'watching',
  isolation: 'in-process',
  async init(self) {
    await self.monitor('counting#0');
    await self.publish('watched/begun', 'watching', { qos: 1 });
    return {};
  },
  async handle(state, message, self) {
    if (message.type === 'down') await self.publish('watched/down', message.reason, { qos: 1 });
  },
});
