/** A lab that the tests of a suite share: furnished before the first of them, and anew after an attempt that failed. */

import { afterAll, afterEach, beforeEach } from 'vitest';
import { createLab, type Lab, type LabOptions } from './lab.ts';

/**
 * A failed attempt leaves hosts frozen, nodes killed, messages on their way: no attempt after it could succeed, nor
 * could the tests that follow. So each of them finds the lab as the first one did. `furnish` starts what they need.
 */
export function shareLab(options: LabOptions, furnish: (lab: Lab) => Promise<void>): void {
  let lab: Lab | undefined;
  let isSpoilt = false;

  async function drop(): Promise<void> {
    const old = lab;
    lab = undefined;
    await old?.stop();
  }

  beforeEach(async ({ task }) => {
    if (isSpoilt || (task.result?.retryCount ?? 0) > 0) await drop();
    isSpoilt = false;
    if (lab !== undefined) return;
    lab = await createLab(options);
    try {
      await furnish(lab);
    } catch (error) {
      await drop();
      throw error;
    }
  });
  afterEach(({ task }) => {
    isSpoilt ||= task.result?.state === 'fail';
  });
  afterAll(drop);
}
