/** One thread, process or slice of this process that runs the function of a job, an item after the other. */

import { MycelError } from '../../kernel/errors.ts';
import type { Cells } from '../../ports/agent-cell.ts';
import type { Clock } from '../../ports/clock.ts';
import { createCellAsks } from '../agents/cell-asks.ts';
import type { JobOrder } from './work-types.ts';

/** Heap of a hand before it is ended, in MiB. */
const heapMb = 128;

/** How long the code may take to load, in ms. */
const loadMs = 15_000;

/** A hand. */
export interface Hand {
  /** Resolves when the code is loaded. @throws {MycelError} MYCEL_BAD_AGENT */
  readonly ready: Promise<void>;
  isOpen(): boolean;
  /** Runs the function on an item. Rejects with what it threw, or when the hand ends. */
  run(value: unknown): Promise<unknown>;
  end(): void;
}

/** Opens one. */
export function openHand(order: JobOrder, node: string, cells: Cells, clock: Clock): Hand {
  const asks = createCellAsks(clock);
  let isOpen = true;
  let settle: { resolve(): void; reject(error: Error): void } = { resolve() {}, reject() {} };
  const ready = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
  // Whoever waits hears of it; nobody else has to.
  ready.catch(() => {});
  const fail = (reason: string): void => {
    isOpen = false;
    settle.reject(new MycelError('MYCEL_BAD_AGENT', { reason: reason.slice(0, 500) }));
    asks.clear(reason.slice(0, 500));
  };
  const cell = cells.open(order.isolation, {
    code: order.code,
    heapMb,
    said(word) {
      if (word.t === 'ready') settle.resolve();
      else if (word.t === 'answer') asks.answered(word.id, word.isOk, word.value);
      else if (word.t === 'failed') fail(word.reason);
    },
    ended: (reason) => fail(reason ?? 'it ended'),
  });
  const cancel = clock.alarm(clock.now() + loadMs, () => fail('it did not load in time'));
  ready.finally(cancel).catch(() => {});
  // The state of this agent is what all items share.
  const info = { agent: 'work', instance: order.job, node, fence: 0 };
  cell.tell({ t: 'start', saved: order.shared, info });
  return {
    ready,
    isOpen: () => isOpen,
    run: (value) =>
      asks.ask(isOpen ? cell : undefined, (id) => ({ t: 'work', id, task: { value } }), {}),
    end() {
      if (!isOpen) return;
      isOpen = false;
      cell.tell({ t: 'stop' });
      cell.kill();
      fail('the job is over');
    },
  };
}

/**
 * The module that runs a function: it stands alone, so the function must not use what is around it.
 * @throws {MycelError} MYCEL_BAD_OPTION when its text is not that of a function that stands alone
 */
export function codeOf(run: (...args: never[]) => unknown, lengthMax: number): string {
  const text = run.toString();
  const bad = (reason: string): MycelError =>
    new MycelError('MYCEL_BAD_OPTION', {
      reason: `The function cannot be sent: ${reason}.`,
      fix: 'Write an arrow function or a function that uses nothing but its arguments; give it the rest with "shared".',
    });
  if (text.length > lengthMax) throw bad(`it has more than ${lengthMax} characters`);
  if (text.includes('[native code]')) throw bad('it is not written in JavaScript');
  // Methods are no expressions by themselves.
  const isExpression =
    /^(async\s*)?(function\b|\(|[\w$]+\s*=>)/.test(text) && !/^class\b/.test(text);
  if (!isExpression) throw bad('it is a method or a class');
  return `const run = (${text});\nexport const agent = { name: 'work', init: (self, shared) => shared, run: (task, shared) => run(task.value, shared) };\n`;
}
