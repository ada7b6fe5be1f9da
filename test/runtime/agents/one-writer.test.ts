/** Whoever asks is answered after a writing that began later than its change, and no two run at a time. */

import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createOneWriter } from '../../../src/runtime/agents/one-writer.ts';

test('what was changed before the asking is written when it is answered, with few writings', async () => {
  let asked = 0;
  let written = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 30 }), async (history) => {
      let changed = 0;
      let onDisk = 0;
      let open: (() => void)[] = [];
      const ask = createOneWriter(async () => {
        expect(open.length).toBe(0);
        written += 1;
        const what = changed;
        await new Promise<void>((resolve) => open.push(resolve));
        onDisk = what;
      });
      const answers: Promise<void>[] = [];
      const done = async (): Promise<void> => {
        const ended = open;
        open = [];
        for (const end of ended) end();
        await setImmediate();
      };
      for (const isAsk of history) {
        if (!isAsk) {
          await done();
          continue;
        }
        changed += 1;
        asked += 1;
        const mine = changed;
        answers.push(ask().then(() => expect(onDisk).toBeGreaterThanOrEqual(mine)));
      }
      while (open.length > 0) await done();
      await Promise.all(answers);
      expect(onDisk).toBe(changed);
    }),
  );
  expect(written).toBeLessThan(asked);
});
