/** Turns a TypeScript program of the tests into a file that runs as a process of its own, as the released command is. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { startCommand, type Program } from '../process.ts';

export type { Program } from '../process.ts';

/** A bundled program, ready to run. */
export interface Bundle {
  readonly file: string;
  dispose(): Promise<void>;
}

/** Bundles one program into one minified file. */
export async function bundleProgram(source: string): Promise<Bundle> {
  const directory = await mkdtemp(join(tmpdir(), 'mycel-child-'));
  const file = join(directory, 'program.mjs');
  await build({
    entryPoints: [source],
    outfile: file,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    conditions: ['@mycel/source'],
    minify: true,
    banner: {
      js: "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);",
    },
    logLevel: 'silent',
  });
  return { file, dispose: () => rm(directory, { recursive: true, force: true }) };
}

/** Starts a bundled program, under another command when one is given (`['ip', 'netns', 'exec', …]`). */
export function startProgram(
  file: string,
  args: readonly string[],
  under: readonly string[] = [],
): Program {
  return startCommand([...under, process.execPath, file, ...args]);
}
