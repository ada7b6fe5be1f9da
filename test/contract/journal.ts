/** What every journal promises; run on the disk journal and on its memory twin. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Journal } from '../../src/ports/journal.ts';
import { journalRecordBytesMax } from '../../src/ports/journal.ts';

/** A place where a journal can be opened again after it was closed. */
export interface JournalPlace {
  open(replay: (record: Uint8Array) => void): Promise<Journal>;
  dispose(): Promise<void>;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (record: Uint8Array): string => new TextDecoder().decode(record);

/** Runs the contract. */
export function journalContract(kind: string, makePlace: () => Promise<JournalPlace>): void {
  describe(`a ${kind} journal`, () => {
    let place: JournalPlace;
    let journal: Journal;

    beforeEach(async () => {
      place = await makePlace();
      journal = await place.open(() => expect.fail('nothing was written'));
    });
    afterEach(async () => {
      await journal.close();
      await place.dispose();
    });

    async function reopened(): Promise<string[]> {
      await journal.close();
      const records: string[] = [];
      journal = await place.open((record) => records.push(text(record)));
      return records;
    }

    test('gives the records back in the order they were appended', async () => {
      const all = Array.from({ length: 200 }, (_, at) => `record ${at}`);
      await Promise.all(
        all.map((record, at) => journal.append(bytes(record), at % 3 === 0 ? 'now' : 'lazy')),
      );
      expect(await reopened()).toEqual(all);
      expect(journal.findings).toEqual({ hasLosses: false, notes: [] });
      expect(journal.view().recordCount).toBe(200);
    });

    test('is replaced by what its owner tells, with what came meanwhile behind it', async () => {
      await journal.append(bytes('old'), 'now');
      function* told(): Generator<Uint8Array> {
        yield bytes('new one');
        void journal.append(bytes('meanwhile'), 'now');
        yield bytes('new two');
      }
      // In the twin, a record appended while the owner tells is replaced with the rest and appended by the test again.
      const isTold = await journal.compact(told());
      expect(isTold).toBe(true);
      await journal.append(bytes('after'), 'now');
      const records = await reopened();
      expect(records.slice(0, 2)).toEqual(['new one', 'new two']);
      expect(records.at(-1)).toBe('after');
      expect(records).not.toContain('old');
    });

    test('what is appended at any time while it is compacted is there afterwards', async () => {
      const all: string[] = [];
      const acknowledged: string[] = [];
      let isOver = false;
      const append = async (writer: number): Promise<void> => {
        for (let at = 0; !isOver; at += 1) {
          const record = `${writer} ${at}`;
          all.push(record);
          await journal.append(bytes(record), 'now');
          acknowledged.push(record);
          // Not all writers at once, and never in step with what the disk does.
          for (let turn = (at * 7 + writer) % 5; turn > 0; turn -= 1) {
            await new Promise<void>((resolve) => setImmediate(resolve));
          }
        }
      };
      const writers = Array.from({ length: 40 }, (_, writer) => append(writer));
      for (let round = 0; round < 5; round += 1) {
        while (acknowledged.length < (round + 1) * 200) {
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
        expect(await journal.compact(all.map(bytes))).toBe(true);
      }
      isOver = true;
      await Promise.all(writers);
      const records = new Set(await reopened());
      expect(acknowledged.filter((record) => !records.has(record))).toEqual([]);
    });

    test('refuses a record that is empty or too large', () => {
      expect(() => journal.append(new Uint8Array(0), 'now')).toThrow(RangeError);
      expect(() => journal.append(new Uint8Array(journalRecordBytesMax + 1), 'now')).toThrow(
        RangeError,
      );
    });

    test('closes twice, and takes nothing afterwards', async () => {
      await journal.append(bytes('kept'), 'lazy');
      await journal.close();
      await journal.close();
      await journal.append(bytes('late'), 'now');
      expect(await journal.compact([])).toBe(false);
      expect(await reopened()).toEqual(['kept']);
    });
  });
}
