/** Counts: publishes the next number to `beat/out` every half second, and goes on where its last run ended. */

import { defineAgent } from 'mycel';

export const agent = defineAgent({
  name: 'beat',
  isolation: 'in-process',
  init(self, saved = { count: 0 }) {
    const state = { count: saved.count };
    self.every(500, async () => {
      state.count += 1;
      await self.publish('beat/out', String(state.count));
      await self.checkpoint(state);
    });
    return state;
  },
});
