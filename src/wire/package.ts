/** A package of mycel: the tarball that `npm pack` makes. Only two files of it matter: the program and what it says of itself. */

import * as z from 'zod/mini';
import { MycelError } from '../kernel/errors.ts';
import { toHex } from './bytes.ts';
import { sha256 } from './keys.ts';
import { readTarball } from './tarball.ts';

/** Largest program, in bytes. */
export const programBytesMax: number = 16 * 1024 * 1024;

const manifestBytesMax: number = 64 * 1024;
const programPath = 'package/dist/mycel.mjs';
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
  readonly program: Uint8Array;
  /** SHA-256 of the program, 64 hex digits. */
  readonly programHash: string;
  /** Oldest Node.js that runs it, as [major, minor]. */
  readonly nodeFloor: readonly [number, number];
}

/** Reads one, whole, into memory (a program has 2 MB). @throws {MycelError} MYCEL_BAD_PACKAGE */
export async function readPackage(source: AsyncIterable<Uint8Array>): Promise<ProgramPackage> {
  const files = await readTarball(
    source,
    new Map([
      [programPath, programBytesMax],
      [manifestPath, manifestBytesMax],
    ]),
  );
  const program = files.get(programPath);
  const manifest = readManifest(files.get(manifestPath));
  if (manifest === undefined) throw bad('Its package.json is not that of mycel.');
  if (program === undefined) throw bad(`It holds no ${programPath.slice('package/'.length)}.`);
  const start = new TextDecoder().decode(program.subarray(0, firstLine.length));
  if (start !== firstLine) throw bad('Its program is not that of mycel.');
  const [major = 0, minor = 0] = manifest.engines.node.slice(2).split('.').map(Number);
  return {
    version: manifest.version,
    program,
    programHash: toHex(sha256(program)),
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
