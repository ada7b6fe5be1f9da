/** Bundles a program of this folder from the sources, as a user's own build would. */

import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Writes the program, with all it needs, into `outfile`. */
export async function buildProgram(name: string, outfile: string): Promise<string> {
  await build({
    absWorkingDir: fileURLToPath(new URL('../..', import.meta.url)),
    entryPoints: [`test/mesh/${name}`],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    conditions: ['@mycel/source'],
    define: { MYCEL_VERSION: '"0.0.0"' },
    external: ['cbor-extract'],
    logLevel: 'warning',
    banner: {
      js: 'import{createRequire as mycelCreateRequire}from"node:module";const require=mycelCreateRequire(import.meta.url);',
    },
  });
  return outfile;
}
