/** What every log promises; run on the pino log and on its memory twin. */

import { describe, expect, test } from 'vitest';
import type { Log } from '../../src/ports/log.ts';

/** A log and what came out of it. */
export interface LogPlace {
  readonly log: Log;
  /** The lines so far, oldest first, each with level, message and its fields. */
  lines(): Promise<readonly { level: string; message: string; fields: Record<string, unknown> }[]>;
  dispose(): Promise<void>;
}

/** Runs the contract. */
export function logContract(kind: string, makePlace: () => Promise<LogPlace>): void {
  describe(`a ${kind} log`, () => {
    test('keeps level, message, fields and order', async () => {
      const place = await makePlace();
      place.log.debug({ a: 1 }, 'one');
      place.log.info({ b: 'x' }, 'two');
      place.log.warn({ c: true }, 'three');
      place.log.error({ d: null }, 'four');
      expect(await place.lines()).toEqual([
        { level: 'debug', message: 'one', fields: { a: 1 } },
        { level: 'info', message: 'two', fields: { b: 'x' } },
        { level: 'warn', message: 'three', fields: { c: true } },
        { level: 'error', message: 'four', fields: { d: null } },
      ]);
      await place.dispose();
    });

    test('lets a child add its fields to every line, and the line win over them', async () => {
      const place = await makePlace();
      const child = place.log.child({ part: 'swim', peer: 'a' }).child({ peer: 'b' });
      child.warn({}, 'one');
      child.warn({ peer: 'c' }, 'two');
      place.log.warn({}, 'three');
      expect((await place.lines()).map(({ fields }) => fields)).toEqual([
        { part: 'swim', peer: 'b' },
        { part: 'swim', peer: 'c' },
        {},
      ]);
      await place.dispose();
    });
  });
}
