/** Cores with one line wrong: the production source with that line replaced, bundled and loaded beside the right ones. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

/** One line wrong. */
export interface Mutation {
  /** Below `src/protocol`. */
  readonly file: string;
  /** Must be there exactly once: a mutation that no longer fits its source is a mistake of the test. */
  readonly from: string;
  readonly to: string;
}

const root = fileURLToPath(new URL('../../src/protocol/', import.meta.url));

/** Loads `entry` (below `src/protocol`) as it would be with the mutation. @throws when the text is not there once */
export async function loadMutant<Module>(entry: string, mutation: Mutation): Promise<Module> {
  const target = join(root, mutation.file);
  const source = await readFile(target, 'utf8');
  const count = source.split(mutation.from).length - 1;
  if (count !== 1) throw new Error(`'${mutation.from}' is ${count} times in ${mutation.file}`);
  const { outputFiles } = await build({
    entryPoints: [join(root, entry)],
    bundle: true,
    format: 'esm',
    platform: 'node',
    write: false,
    logLevel: 'silent',
    plugins: [
      {
        name: 'mutation',
        setup(builder) {
          builder.onLoad({ filter: /\.ts$/ }, ({ path }) =>
            path === target
              ? { contents: source.replace(mutation.from, () => mutation.to), loader: 'ts' }
              : undefined,
          );
        },
      },
    ],
  });
  const home = await mkdtemp(join(tmpdir(), 'mycel-mutant-'));
  try {
    const file = join(home, 'mutant.mjs');
    await writeFile(file, outputFiles[0]?.text ?? '');
    return (await import(pathToFileURL(file).href)) as Module;
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}
