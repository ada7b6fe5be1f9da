/** Builds this very program as another release: with what an older or a newer one would do differently. */

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** How a release differs: by source file what stands there, and what stands there instead. */
export type Changes = Readonly<Record<string, readonly (readonly [from: string, to: string])[]>>;

/** Writes the release into `outfile`. @throws when something to be changed is not there exactly once */
export async function buildRelease(
  version: string,
  changes: Changes,
  outfile: string,
): Promise<string> {
  const all: Changes = {
    ...changes,
    'src/runtime/version.ts': [["version = '0.1.0'", `version = '${version}'`]],
  };
  const missing = new Set(Object.keys(all));
  await build({
    absWorkingDir: root,
    entryPoints: ['device/main.ts'],
    outfile,
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    conditions: ['@mycel/source'],
    define: { MYCEL_VERSION: JSON.stringify(version), MYCEL_FIRMWARE: '{}' },
    external: ['cbor-extract'],
    logLevel: 'error',
    banner: {
      js: 'import{createRequire as mycelCreateRequire}from"node:module";const require=mycelCreateRequire(import.meta.url);',
    },
    plugins: [
      {
        name: 'changes',
        setup(plugin) {
          plugin.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
            const name = path.slice(root.length);
            const wanted = all[name];
            if (wanted === undefined) return undefined;
            missing.delete(name);
            let contents = await readFile(path, 'utf8');
            for (const [from, to] of wanted) {
              const pieces = contents.split(from);
              if (pieces.length !== 2) throw new Error(`${name} has not one '${from}'`);
              contents = pieces.join(to);
            }
            return { contents, loader: 'ts' };
          });
        },
      },
    ],
  });
  if (missing.size > 0) throw new Error(`not part of the program: ${[...missing].join(', ')}`);
  return outfile;
}
