/** Keeps a room warm: the mean of its sensors decides, one master in the mesh commands the heater, under its fence. */

import { defineAgent } from 'mycel';

export const agent = defineAgent({
  name: 'thermostat',
  // A heater has one master, also while the mesh is split.
  partition: 'pause-minority',
  isolation: 'in-process',
  async init(self, saved = { target: 20, isOn: false }) {
    await self.subscribe('room/temperature/+');
    await self.subscribe('room/target');
    return { ...saved, seen: {} };
  },
  async handle(state, message, self) {
    if (message.type !== 'message') return;
    const value = Number(new TextDecoder().decode(message.payload));
    if (!Number.isFinite(value)) return;
    if (message.topic === 'room/target') state.target = value;
    else state.seen[message.topic] = value;
    const all = Object.values(state.seen);
    if (all.length === 0) return;
    const mean = all.reduce((sum, one) => sum + one, 0) / all.length;
    // Half a degree either way, so that the heater does not flutter.
    const isOn = mean < state.target - 0.5 || (state.isOn && mean < state.target + 0.5);
    if (isOn !== state.isOn) {
      await self.publish('room/heater', JSON.stringify({ isOn, mean, fence: self.fence }));
    }
    state.isOn = isOn;
    await self.checkpoint({ target: state.target, isOn });
  },
});
