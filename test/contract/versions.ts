/** What versions of the program promise; run on the disk and on the memory twin. */

import { describe, expect, test } from 'vitest';
import type { VersionFiles, Versions } from '../../src/ports/versions.ts';

const files: VersionFiles = {
  program: new Map([
    ['mycel.mjs', Uint8Array.of(1, 2)],
    ['parts/A.mjs', Uint8Array.of(3)],
  ]),
  sums: `${'ab'.repeat(32)}  mycel.mjs\n${'cd'.repeat(32)}  parts/A.mjs\n`,
};
const nothing = {
  current: undefined,
  previous: undefined,
  trial: undefined,
  givenUp: undefined,
};

/** Runs the contract. */
export function versionsContract(kind: string, make: () => Promise<Versions>): void {
  describe(`versions ${kind}`, () => {
    test('begin with nothing but what was installed by hand', async () => {
      const versions = await make();
      expect(await versions.view()).toEqual(nothing);
      expect(await versions.has('1.0.0-ab')).toBe(false);
      await versions.drop();
      await versions.revert('1.0.0-ab');
      expect(await versions.view()).toEqual(nothing);
    });

    test('are installed, tried, and kept with the one before', async () => {
      const versions = await make();
      await versions.install('1.0.0-ab', files);
      expect(await versions.has('1.0.0-ab')).toBe(true);
      expect(await versions.view()).toEqual(nothing);
      await versions.try('1.0.0-ab', 3);
      expect(await versions.view()).toEqual({ ...nothing, trial: '1.0.0-ab' });
      await versions.keep('1.0.0-ab');
      await versions.keep('1.0.0-ab');
      expect(await versions.view()).toEqual({ ...nothing, current: '1.0.0-ab' });
      await versions.install('1.1.0-cd', files);
      await versions.try('1.1.0-cd', 3);
      await versions.keep('1.1.0-cd');
      expect(await versions.view()).toEqual({
        ...nothing,
        current: '1.1.0-cd',
        previous: '1.0.0-ab',
      });
      expect(await versions.has('1.0.0-ab')).toBe(true);
    });

    test('a third one costs the first its place', async () => {
      const versions = await make();
      for (const name of ['1-a', '2-b', '3-c']) {
        await versions.install(name, files);
        await versions.keep(name);
      }
      expect(await versions.has('1-a')).toBe(false);
      expect([await versions.has('2-b'), await versions.has('3-c')]).toEqual([true, true]);
    });

    test('a trial that is dropped changes nothing', async () => {
      const versions = await make();
      await versions.install('1-a', files);
      await versions.keep('1-a');
      await versions.install('2-b', files);
      await versions.try('2-b', 3);
      await versions.drop();
      expect(await versions.view()).toEqual({ ...nothing, current: '1-a' });
    });

    test('go back one step, once, and only from the version that is named', async () => {
      const versions = await make();
      for (const name of ['1-a', '2-b']) {
        await versions.install(name, files);
        await versions.keep(name);
      }
      await versions.revert('1-a');
      expect((await versions.view()).current).toBe('2-b');
      await versions.revert('2-b');
      await versions.revert('2-b');
      expect((await versions.view()).current).toBe('1-a');
    });

    test('the first one goes back to what was installed by hand', async () => {
      const versions = await make();
      await versions.install('1-a', files);
      await versions.keep('1-a');
      await versions.revert('1-a');
      expect((await versions.view()).current).toBeUndefined();
    });

    test('what is current may be installed again', async () => {
      const versions = await make();
      await versions.install('1-a', files);
      await versions.keep('1-a');
      await versions.install('1-a', files);
      expect((await versions.view()).current).toBe('1-a');
      expect(await versions.has('1-a')).toBe(true);
    });
  });
}
