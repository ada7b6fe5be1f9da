/** Reads a few files out of a gzipped tarball as it comes; the rest passes by and costs no memory. */

import { createGunzip } from 'node:zlib';
import { MycelError } from '../kernel/errors.ts';
import { concatBytes } from './bytes.ts';

const blockBytes = 512;

/** Most bytes that a package may unpack to: a small file that becomes an endless one is refused there. */
export const unpackedBytesMax: number = 256 * 1024 * 1024;

/**
 * The most bytes that a file of this name may have; undefined: it is not wanted.
 * @param size what it says it has, in bytes
 */
export type Wanted = (name: string, size: number) => number | undefined;

/**
 * The wanted files, by name; of two with one name it is the second one.
 * @throws {MycelError} MYCEL_BAD_PACKAGE
 */
export async function readTarball(
  source: AsyncIterable<Uint8Array>,
  wanted: Wanted,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  let head: Uint8Array = new Uint8Array();
  let entry: Entry | undefined;
  let parts: Uint8Array[] = [];
  let total = 0;

  function take(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      if (entry === undefined) {
        const rest = bytes.subarray(at, at + blockBytes - head.length);
        head = concatBytes(head, rest);
        at += rest.length;
        if (head.length === blockBytes) {
          entry = readHeader(head, wanted);
          head = new Uint8Array();
          if (entry?.left === 0) finish();
        }
        continue;
      }
      const body = bytes.subarray(at, at + entry.left);
      at += body.length;
      entry.left -= body.length;
      if (body.length > 0 && entry.isWanted) parts.push(body.slice());
      const skipped = Math.min(entry.padding, bytes.length - at);
      at += skipped;
      entry.padding -= skipped;
      if (entry.left === 0) finish();
    }
  }

  function finish(): void {
    if (entry === undefined || entry.padding > 0) return;
    if (entry.isWanted) found.set(entry.name, concatBytes(...parts));
    parts = [];
    entry = undefined;
  }

  for await (const bytes of unzipped(source)) {
    total += bytes.length;
    if (total > unpackedBytesMax) throw bad('It unpacks to more than any package has.');
    take(bytes);
  }
  if (entry !== undefined || head.length > 0) throw bad('It is cut short.');
  return found;
}

interface Entry {
  readonly name: string;
  readonly isWanted: boolean;
  left: number;
  padding: number;
}

/** The name and size of what follows; undefined: the empty blocks at the end. */
function readHeader(head: Uint8Array, wanted: Wanted): Entry | undefined {
  if (head.every((byte) => byte === 0)) return undefined;
  const said = Number.parseInt(textOf(head, 148, 8), 8);
  const sum = head.reduce((before, byte, at) => before + (at >= 148 && at < 156 ? 32 : byte), 0);
  if (said !== sum) throw bad('It is no tarball, or damaged.');
  const size = Number.parseInt(textOf(head, 124, 12), 8);
  if (!Number.isSafeInteger(size) || size < 0) throw bad('A file in it has no size.');
  const prefix = textOf(head, 345, 155);
  const type = textOf(head, 156, 1);
  const path = prefix === '' ? textOf(head, 0, 100) : `${prefix}/${textOf(head, 0, 100)}`;
  // Only plain files have content that may be wanted; links and extended headers pass by.
  const name = type === '0' || type === '' ? path : '';
  const most = name === '' ? undefined : wanted(name, size);
  if (most !== undefined && size > most) throw bad(`${name} is larger than ${most} bytes.`);
  const padding = (blockBytes - (size % blockBytes)) % blockBytes;
  return { name, isWanted: most !== undefined, left: size, padding };
}

function textOf(head: Uint8Array, at: number, length: number): string {
  const field = head.subarray(at, at + length);
  const end = field.indexOf(0);
  return new TextDecoder('latin1').decode(end < 0 ? field : field.subarray(0, end)).trim();
}

async function* unzipped(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  const feeding = (async () => {
    try {
      for await (const bytes of source) {
        if (gunzip.destroyed) return;
        if (!gunzip.write(bytes)) {
          await new Promise<void>((resolve) => {
            gunzip.once('drain', resolve).once('close', resolve);
          });
        }
      }
      gunzip.end();
    } catch (error) {
      gunzip.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  })();
  try {
    for await (const bytes of gunzip) yield bytes as Uint8Array;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!code.startsWith('Z_')) throw error;
    throw bad('It is not gzipped, or damaged.', error);
  } finally {
    gunzip.destroy();
    await feeding;
  }
}

function bad(reason: string, cause?: unknown): MycelError {
  return new MycelError('MYCEL_BAD_PACKAGE', { reason }, cause === undefined ? {} : { cause });
}
