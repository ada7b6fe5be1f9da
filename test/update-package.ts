/** Packages as `npm pack` makes them, with a program of the test's choice. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** What is in one. */
export interface PackageParts {
  readonly version?: string;
  readonly program?: string | Uint8Array;
  readonly name?: string;
  readonly node?: string;
  /** Further files, by path below `package/`. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Files that are left out. */
  readonly without?: readonly string[];
}

/** Packs it with the system's tar. */
export function packPackage(parts: PackageParts = {}): Uint8Array {
  const { version = '0.2.0', program = '#!/usr/bin/env node\n', name = 'mycel' } = parts;
  const manifest = { name, version, engines: { node: parts.node ?? '>=20.19' } };
  const files: Record<string, string | Uint8Array> = {
    'package.json': JSON.stringify(manifest),
    'dist/mycel.mjs': program,
    ...parts.files,
  };
  const home = mkdtempSync(join(tmpdir(), 'mycel-package-'));
  try {
    for (const [path, content] of Object.entries(files)) {
      if (parts.without?.includes(path) === true) continue;
      mkdirSync(dirname(join(home, 'package', path)), { recursive: true });
      writeFileSync(join(home, 'package', path), content);
    }
    execFileSync('tar', ['-czf', join(home, 'it.tgz'), '-C', home, 'package']);
    return readFileSync(join(home, 'it.tgz'));
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/**
 * Packs the program of a `dist` under another version number, and with another change.
 * @throws when it does not hold its own number
 */
export function packProgram(
  dist: string,
  [own, version]: readonly [own: string, version: string],
  change: (text: string) => string = (text) => text,
): Uint8Array {
  const files: Record<string, string> = {};
  let isNumbered = false;
  for (const name of [
    'mycel.mjs',
    ...readdirSync(join(dist, 'parts')).map((part) => `parts/${part}`),
  ]) {
    const text = readFileSync(join(dist, name), 'utf8');
    const numbered = text.replaceAll(`"${own}"`, `"${version}"`);
    isNumbered ||= numbered !== text;
    files[`dist/${name}`] = change(numbered);
  }
  if (!isNumbered) throw new Error(`${dist} does not say that it is ${own}`);
  return packPackage({ version, files });
}

/** Bytes in pieces of this size, as they come from a disk or a member. */
export async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
