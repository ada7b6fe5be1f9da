/** An agent that counts, keeps its count, and says under which fence it does. */

import { defineAgent } from 'mycel';

export const agent = defineAgent({
  name: 'counting',
  isolation: 'in-process',
  init(self, saved = { count: 0 }) {
    const state = { count: saved.count };
    self.every(500, async () => {
      state.count += 1;
      await self.checkpoint(state);
      const { instance, fence, node } = self;
      await self.publish(
        `counted/${instance.replace('#', '/')}`,
        JSON.stringify({ instance, fence, node, count: state.count }),
        { qos: 1 },
      );
    });
    return state;
  },
});
