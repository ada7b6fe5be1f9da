/** `node.barrier` and `node.sequence`: waiting for each other, and numbers that are given once. */

import { MycelError } from '../kernel/errors.ts';
import type { Millis } from '../kernel/core.ts';
import type { Random } from '../kernel/random.ts';
import type { AskOptions } from '../runtime/consensus/client.ts';
import type { Consensus } from '../runtime/consensus/part.ts';
import { checked } from './kv.ts';

/** How to meet. */
export interface BarrierOptions {
  /** How many have to come; the same number everywhere. */
  readonly parties: number;
  /** How long to wait for them, in ms. @default 30_000 */
  readonly wait?: Millis;
  readonly signal?: AbortSignal;
}

/** Waits until so many have come. @throws {MycelError} MYCEL_TIMEOUT, MYCEL_NO_QUORUM, MYCEL_BAD_OPTION */
export async function meet(
  consensus: Consensus,
  random: Random,
  name: string,
  options: BarrierOptions,
): Promise<void> {
  const { parties, wait = 30_000, signal } = options;
  const client = await consensus.client();
  const party = `${random.below(2 ** 30)}-${random.below(2 ** 30)}`;
  const asked = signal === undefined ? {} : { signal };
  const outcome = await client.submit({ op: 'arrive', name: checked(name), party, parties }, asked);
  if (outcome.type !== 'arrived') {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `"${name}" waits for another number of parties, or ${parties} is not 1 to 256.`,
    });
  }
  if (outcome.isOpen) return;
  const { generation } = outcome;
  const opened = await client.wait(
    { type: 'barrier', name, generation },
    { ...asked, deadlineMs: wait },
  );
  if (opened > 0) return;
  throw new MycelError('MYCEL_TIMEOUT', {
    reason: `Not all ${parties} came to "${name}" in time.`,
  });
}

/** A row of numbers, each given once in the mesh. */
export interface Sequence {
  /** The first of `count` numbers that nobody else gets. @default 1 */
  next(count?: number, options?: AskOptions): Promise<number>;
}

/** Builds the handle of one sequence. */
export function createSequence(consensus: Consensus, name: string): Sequence {
  checked(name);
  return {
    async next(count = 1, options = {}) {
      if (!Number.isSafeInteger(count) || count < 1) {
        throw new MycelError('MYCEL_BAD_OPTION', { reason: 'Take at least one number.' });
      }
      const outcome = await (await consensus.client()).submit({ op: 'next', name, count }, options);
      if (outcome.type !== 'numbers') throw new MycelError('MYCEL_GROUP_FULL');
      return outcome.first;
    },
  };
}
