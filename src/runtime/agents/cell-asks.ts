/** Questions to an agent that have one answer: what a task would cost it, and to do one. */

import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { Cell, ToCell } from '../../ports/agent-cell.ts';
import type { Clock } from '../../ports/clock.ts';

/** Questions to one agent that are not answered yet. */
export const cellAsksMax = 256;

/** The open questions to one agent. */
export interface CellAsks {
  /** Asks. Rejects when there is no cell, it ends, or the time is over; the signal is passed on as `halt`. */
  ask(
    cell: Cell | undefined,
    word: (id: number) => ToCell,
    how: { readonly withinMs?: Millis; readonly signal?: AbortSignal },
  ): Promise<unknown>;
  answered(id: number, isOk: boolean, value: unknown): void;
  /** Nothing that is open will be answered. */
  clear(reason: string): void;
}

interface Open {
  resolve(value: unknown): void;
  reject(error: Error): void;
  end(): void;
}

/** Builds them. */
export function createCellAsks(clock: Clock): CellAsks {
  const open = new Map<number, Open>();
  let next = 1;

  function take(id: number): Open | undefined {
    const one = open.get(id);
    open.delete(id);
    one?.end();
    return one;
  }

  return {
    ask(cell, word, { withinMs, signal }) {
      if (cell === undefined || open.size >= cellAsksMax) {
        const reason = cell === undefined ? 'It does not run now.' : 'It has too much to do.';
        return Promise.reject(new MycelError('MYCEL_SERVICE_BUSY', { reason }));
      }
      const id = next;
      next += 1;
      return new Promise((resolve, reject) => {
        const halt = (): void => cell.tell({ t: 'halt', id });
        const cancel =
          withinMs === undefined
            ? () => {}
            : clock.alarm(clock.now() + withinMs, () =>
                take(id)?.reject(new MycelError('MYCEL_DEADLINE')),
              );
        signal?.addEventListener('abort', halt);
        const end = (): void => {
          cancel();
          signal?.removeEventListener('abort', halt);
        };
        open.set(id, { resolve, reject, end });
        cell.tell(word(id));
      });
    },
    answered(id, isOk, value) {
      const one = take(id);
      if (isOk) one?.resolve(value);
      else one?.reject(new Error(String(value)));
    },
    clear(reason) {
      for (const id of open.keys()) take(id)?.reject(new Error(reason));
    },
  };
}
