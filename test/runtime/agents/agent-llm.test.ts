/** The port by which an agent asks language models: streams that are taken in lots. */

import { expect, test } from 'vitest';

import { createAgentLlm } from '../../../src/runtime/agents/agent-llm.ts';

/** A model that says what a test hands it, when it is handed. */
function handed() {
  const steps: unknown[] = [];
  let isEnded = false;
  let wake = (): void => undefined;
  async function* stream(): AsyncGenerator<unknown> {
    for (;;) {
      if (steps.length > 0) yield steps.shift();
      else if (isEnded) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  return {
    say(...some: unknown[]) {
      steps.push(...some);
      wake();
    },
    end() {
      isEnded = true;
      wake();
    },
    llm: createAgentLlm({
      stream,
      chat: () => Promise.reject(new Error('not asked')),
      embed: () => Promise.reject(new Error('not asked')),
    }),
  };
}

test('several who wait on one stream are told in turn, and none waits for its end', async () => {
  const { llm, say, end } = handed();
  await llm.perform('open', [1, 'words']);
  const [first, second, third] = [1, 2, 3].map(() => llm.perform('next', [1]));
  say('one');
  expect(await first).toEqual({ steps: ['one'], isOver: false });
  say('two');
  expect(await second).toEqual({ steps: ['two'], isOver: false });
  end();
  expect(await third).toEqual({ steps: [], isOver: true });
  await expect(llm.perform('next', [1])).rejects.toMatchObject({ code: 'MYCEL_BAD_OPTION' });
});
