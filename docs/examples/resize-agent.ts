/** Takes tasks: bids low where it has little to do and the board is cool, and does what it is awarded. */

import { defineAgent } from 'mycel';

export const agent = defineAgent({
  name: 'resize',
  tasks: ['resize'],
  isolation: 'thread',
  init: () => ({ running: 0, done: 0 }),
  bid(task, facts, state) {
    const { width, height } = task.input ?? {};
    if (!(width > 0) || !(height > 0)) return undefined;
    const heat = Math.max(0, (facts.temperatureC ?? 40) - 60);
    return (width * height) / 10_000 + 50 * state.running + 20 * heat + (facts.rttMs ?? 0);
  },
  async run(task, state, self) {
    const { width, height, to } = task.input;
    if (!(to > 0)) throw new Error('"to" is no width');
    state.running += 1;
    try {
      task.signal.throwIfAborted();
      state.done += 1;
      return { width: to, height: Math.round((height * to) / width), by: self.instance };
    } finally {
      state.running -= 1;
    }
  },
});
