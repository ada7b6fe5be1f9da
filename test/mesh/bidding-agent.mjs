/** An agent that takes tasks whose input says what they cost on which node, less what it has in hand already. */

import { defineAgent } from 'mycel';

export const agent = defineAgent({
  name: 'bidding',
  tasks: ['job'],
  isolation: 'in-process',
  init: () => ({}),
  bid: ({ input, held }, facts, state, self) => input.costs[self.node] + 100 * held.length,
  run: (task, state, self) => ({ by: self.node, fence: task.fence }),
});
