/** Watches other agents: told by mail whom, it says on `watch/alarm` when one of them ends, and watches its next run. */

import { defineAgent } from 'mycel';

export const agent = defineAgent({
  name: 'watch',
  isolation: 'in-process',
  async init(self, saved = { names: [] }) {
    const state = { names: saved.names, refs: new Map() };
    for (const name of state.names) state.refs.set(await self.monitor(name), name);
    return state;
  },
  async handle(state, message, self) {
    if (message.type === 'mail') {
      const name = String(message.body);
      if (!state.names.includes(name)) state.names.push(name);
      state.refs.set(await self.monitor(name), name);
      await self.checkpoint({ names: state.names });
      await self.publish('watch/watching', state.names.join(' '));
    }
    if (message.type === 'down') {
      const { instance, reason, ref } = message;
      state.refs.delete(ref);
      await self.publish('watch/alarm', JSON.stringify({ instance, reason }));
      // One that runs again is watched again; one that is gone for good is asked for every second.
      self.after(reason === 'unknown' ? 1_000 : 100, async () => {
        if (state.names.includes(instance)) state.refs.set(await self.monitor(instance), instance);
      });
    }
  },
});
