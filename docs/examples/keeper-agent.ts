/** Keeps a garden: what people say goes to a language model that may look at the beds, and water them where its node lets it. */

import { defineAgent } from 'mycel';

const system =
  'You keep a garden. Look at a bed before you water it, and say in one sentence what you did.';

export const agent = defineAgent({
  name: 'keeper',
  async init(self) {
    await self.subscribe('garden/say');
  },
  async handle(_state, message, self) {
    if (message.type !== 'message') return;
    const said = new TextDecoder().decode(message.payload);
    try {
      const answer = await self.llm.chat(
        {
          messages: [
            { role: 'system', content: system },
            { role: 'user', content: said },
          ],
        },
        { tools: ['garden.*'], toolRounds: 5, ttlMs: 60_000 },
      );
      for (const { action, input, failure } of answer.steps) {
        self.log(`${action} ${input}: ${failure ?? 'done'}`);
      }
      await self.publish('garden/answer', answer.text);
    } catch (error) {
      // No gateway, no time left, or a model that calls one tool after the other: no reason to fail.
      await self.publish('garden/answer', `I cannot say now: ${String(error)}`);
    }
  },
});
