/** Packages are read as tar makes them, in any pieces, and refused with a reason when they are not what they should be. */

import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MycelError } from '../../src/kernel/errors.ts';
import { toHex } from '../../src/wire/bytes.ts';
import { sha256 } from '../../src/wire/keys.ts';
import { doesRun, readPackage, versionName } from '../../src/wire/package.ts';
import { readTarball } from '../../src/wire/tarball.ts';
import { inPieces, packPackage } from '../update-package.ts';

const program = `#!/usr/bin/env node\n${'x'.repeat(3_000)}\n`;

async function refusal(bytes: Uint8Array): Promise<string> {
  try {
    await readPackage(inPieces(bytes, 1_000));
  } catch (error) {
    if (MycelError.is(error) && error.code === 'MYCEL_BAD_PACKAGE') return error.message;
    throw error;
  }
  return 'none';
}

describe('a package', () => {
  test.each([1, 7, 511, 512, 513, 100_000])('is read in pieces of %d bytes', async (size) => {
    const files = {
      'docs/empty.md': '',
      'docs/a.md': 'a'.repeat(512),
      [`${'d'.repeat(120)}/b`]: 'b',
      'dist/parts/Q2-_.mjs': 'part',
      'dist/parts/below/no.mjs': 'no',
      'dist/parts/no.js': 'no',
      'dist/src/no.mjs': 'no',
    };
    const read = await readPackage(inPieces(packPackage({ program, files }), size));
    const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
    const hashOf = (text: string): string => toHex(sha256(bytesOf(text)));
    expect(
      [...read.program].map(([path, bytes]) => [path, new TextDecoder().decode(bytes)]),
    ).toEqual([
      ['mycel.mjs', program],
      ['parts/Q2-_.mjs', 'part'],
    ]);
    const sums = `${hashOf(program)}  mycel.mjs\n${hashOf('part')}  parts/Q2-_.mjs\n`;
    expect(read).toMatchObject({
      version: '0.2.0',
      sums,
      programHash: hashOf(sums),
      nodeFloor: [20, 19],
    });
    expect(versionName(read.version, read.programHash)).toMatch(/^0\.2\.0-[0-9a-f]{12}$/);
  });

  test('says which Node.js runs it', () => {
    expect(doesRun({ nodeFloor: [20, 19] }, '20.18.9')).toBe(false);
    expect(doesRun({ nodeFloor: [20, 19] }, '20.19.0')).toBe(true);
    expect(doesRun({ nodeFloor: [22, 0] }, '20.19.0')).toBe(false);
    expect(doesRun({ nodeFloor: [20, 19] }, '24.0.1')).toBe(true);
  });

  test.each<[string, () => Uint8Array, string]>([
    ['of another program', () => packPackage({ name: 'other' }), 'not that of mycel'],
    ['without a program', () => packPackage({ without: ['dist/mycel.mjs'] }), 'dist/mycel.mjs'],
    ['without a manifest', () => packPackage({ without: ['package.json'] }), 'not that of mycel'],
    ['with a strange program', () => packPackage({ program: 'MZ' }), 'not that of mycel'],
    ['with a version that is none', () => packPackage({ version: '../../x' }), 'not that of mycel'],
    ['that is no archive', () => new TextEncoder().encode('hello, world'), 'not gzipped'],
    ['that is empty', () => new Uint8Array(), 'not gzipped'],
    ['that is gzipped, but no tarball', () => gzipSync(Buffer.alloc(2_000, 'x')), 'no tarball'],
    ['that is cut short', () => packPackage({ program }).slice(0, -40), 'damaged'],
    [
      'that ends inside a file',
      () => gzipSync(tarOf('package/dist/mycel.mjs', 9_999).subarray(0, 1_024)),
      'cut short',
    ],
    [
      'with a program beyond all bounds',
      () => gzipSync(tarOf('package/dist/mycel.mjs', 17 * 1024 * 1024)),
      'larger than',
    ],
    [
      'with parts beyond all bounds together',
      () =>
        packPackage({
          files: Object.fromEntries(
            ['a', 'b', 'c'].map((name) => [
              `dist/parts/${name}.mjs`,
              Buffer.alloc(6 * 1024 * 1024),
            ]),
          ),
        }),
      'larger than',
    ],
    [
      'with more files than a program has',
      () =>
        packPackage({
          files: Object.fromEntries(
            Array.from({ length: 512 }, (_, at) => [`dist/parts/p${at}.mjs`, '']),
          ),
        }),
      'more than 512 files',
    ],
  ])('%s is refused', async (_, make, words) => {
    expect(await refusal(make())).toContain(words);
  });

  test('one bit of it that flips is noticed, or changes nothing that is read', async () => {
    const whole = packPackage({ program });
    const right = await readPackage(inPieces(whole, 4_096));
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(7), async (at, bit) => {
        const bytes = whole.slice();
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        try {
          expect(await readPackage(inPieces(bytes, 4_096))).toEqual(right);
        } catch (error) {
          expect((error as MycelError).code).toBe('MYCEL_BAD_PACKAGE');
        }
      }),
      { numRuns: 150 },
    );
  });

  test('an archive that unpacks without an end is given up', async () => {
    async function* bomb(): AsyncGenerator<Uint8Array> {
      // 16 MiB of zeros in 16 kB, again and again: empty blocks are the only thing such an archive may hold for long.
      const piece = gzipSync(Buffer.alloc(16 * 1024 * 1024));
      for (;;) yield piece;
    }
    await expect(readTarball(bomb(), () => undefined)).rejects.toThrow('unpacks to more');
  });

  test('what fails while it comes fails as it did', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield packPackage().subarray(0, 20);
      throw new MycelError('MYCEL_BLOB_UNKNOWN');
    }
    await expect(readPackage(broken())).rejects.toThrow('MYCEL_BLOB_UNKNOWN');
  });
});

/** The head of a tarball whose one file claims a size, and its first kilobyte. */
function tarOf(name: string, size: number): Uint8Array {
  const bytes = Buffer.alloc(2_048);
  bytes.write(name, 0);
  bytes.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  bytes.write('        ', 148);
  bytes.write('0', 156);
  const sum = bytes.subarray(0, 512).reduce((before, byte) => before + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return bytes;
}
