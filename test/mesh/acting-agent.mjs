/** An agent that takes tasks of three seconds and has an effect: a message under the fence of its award. */

import { setTimeout as sleep } from 'node:timers/promises';
import { defineAgent } from 'mycel';

export const agent = defineAgent({
  name: 'acting',
  tasks: ['act'],
  isolation: 'in-process',
  init: () => ({}),
  async run(task, state, self) {
    await sleep(3_000, undefined, { signal: task.signal });
    const effect = { task: task.id, fence: task.fence, node: self.node };
    await self.publish(`acted/${task.id}`, JSON.stringify(effect), { qos: 1 });
    return { by: self.node };
  },
});
