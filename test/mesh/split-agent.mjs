/** Three agents of one kind, one for each way to live through a split: who it is comes with its name. */

import { defineAgent } from 'mycel';

export const agent = defineAgent({
  name: 'POLICY',
  partition: 'POLICY-OF',
  isolation: 'in-process',
  init(self, saved = { seen: {} }) {
    const state = { seen: saved.seen };
    self.every(400, async () => {
      // A set only grows: merging is idempotent.
      state.seen[self.node] = true;
      await self.checkpoint(state);
      const { agent, node, fence } = self;
      const said = { agent, node, fence, seen: Object.keys(state.seen).sort() };
      await self.publish(`split/${agent}`, JSON.stringify(said), { qos: 0 });
    });
    return state;
  },
  handle(state, message) {
    if (message.type === 'merge') Object.assign(state.seen, message.state.seen);
  },
});
