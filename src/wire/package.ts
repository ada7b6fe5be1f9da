/** A package of mycel: the tarball that `npm pack` makes. Only the program and what it says of itself matter. */

import * as z from 'zod/mini';
import { MycelError } from '../kernel/errors.ts';
import { toHex } from './bytes.ts';
import { sha256 } from './keys.ts';
import { readTarball } from './tarball.ts';

/** Largest file of a program, and all its files together, in bytes. */
export const programBytesMax: number = 16 * 1024 * 1024;

/** Most files of a program. */
export const programFilesMax = 512;

const manifestBytesMax: number = 64 * 1024;
const programFolder = 'package/dist/';
const entryPath = 'mycel.mjs';
const partShape = /^parts\/[A-Za-z0-9_-]{1,64}\.mjs$/;
const manifestPath = 'package/package.json';
const firstLine = '#!/usr/bin/env node';

const manifestSchema = z.object({
  name: z.literal('mycel'),
  version: z.string().check(z.regex(/^\d{1,6}\.\d{1,6}\.\d{1,6}(-[0-9a-z.-]{1,32})?$/)),
  engines: z.object({ node: z.string().check(z.regex(/^>=\d{1,4}\.\d{1,4}$/)) }),
});

/** A package that was read. */
export interface ProgramPackage {
  readonly version: string;
  /** Its files by path below `dist/`: `mycel.mjs` and `parts/*.mjs`, sorted. */
  readonly program: ReadonlyMap<string, Uint8Array>;
  /** `<SHA-256>  <path>` and a line break for each of them. */
  readonly sums: string;
  /** SHA-256 of the sums, 64 hex digits: no file of the program can be another one. */
  readonly programHash: string;
  /** Oldest Node.js that runs it, as [major, minor]. */
  readonly nodeFloor: readonly [number, number];
}

/** Reads one, whole, into memory (a program has 2 MB). @throws {MycelError} MYCEL_BAD_PACKAGE */
export async function readPackage(source: AsyncIterable<Uint8Array>): Promise<ProgramPackage> {
  let total = 0;
  let count = 0;
  const files = await readTarball(source, (path, size) => {
    if (path === manifestPath) return manifestBytesMax;
    if (programPathOf(path) === undefined) return undefined;
    total += size;
    count += 1;
    if (count > programFilesMax) throw bad(`It has more than ${programFilesMax} files.`);
    return programBytesMax - (total - size);
  });
  const manifest = readManifest(files.get(manifestPath));
  if (manifest === undefined) throw bad('Its package.json is not that of mycel.');
  const program = new Map(
    [...files]
      .flatMap(([path, bytes]) => {
        const own = programPathOf(path);
        return own === undefined ? [] : [[own, bytes] as const];
      })
      .toSorted(([one], [other]) => (one < other ? -1 : 1)),
  );
  const entry = program.get(entryPath);
  if (entry === undefined) throw bad(`It holds no dist/${entryPath}.`);
  const start = new TextDecoder().decode(entry.subarray(0, firstLine.length));
  if (start !== firstLine) throw bad('Its program is not that of mycel.');
  const sums = [...program].map(([path, bytes]) => `${toHex(sha256(bytes))}  ${path}\n`).join('');
  const [major = 0, minor = 0] = manifest.engines.node.slice(2).split('.').map(Number);
  return {
    version: manifest.version,
    program,
    sums,
    programHash: toHex(sha256(new TextEncoder().encode(sums))),
    nodeFloor: [major, minor],
  };
}

/** Whether this Node.js (`20.19.1`) runs it. */
export function doesRun(
  { nodeFloor: [major, minor] }: Pick<ProgramPackage, 'nodeFloor'>,
  nodeVersion: string,
): boolean {
  const [ownMajor = 0, ownMinor = 0] = nodeVersion.split('.').map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

/** What a version with this content is called on disk: two packages of one number do not mix. */
export function versionName(version: string, programHash: string): string {
  return `${version}-${programHash.slice(0, 12)}`;
}

/** The path of a file of the program below `dist/`; undefined: it is none. */
function programPathOf(path: string): string | undefined {
  if (!path.startsWith(programFolder)) return undefined;
  const own = path.slice(programFolder.length);
  return own === entryPath || partShape.test(own) ? own : undefined;
}

function readManifest(bytes: Uint8Array | undefined): z.infer<typeof manifestSchema> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return manifestSchema.safeParse(value).data;
  } catch {
    return undefined;
  }
}

function bad(reason: string): MycelError {
  return new MycelError('MYCEL_BAD_PACKAGE', { reason });
}
