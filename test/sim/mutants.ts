/** Cores with a line or two changed: the production source with those lines replaced, bundled and loaded beside the right ones. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

/** One line changed. */
export interface Mutation {
  /** Below `src/protocol`. */
  readonly file: string;
  /** Must be there exactly once: a mutation that no longer fits its source is a mistake of the test. */
  readonly from: string;
  readonly to: string;
}

const root = fileURLToPath(new URL('../../src/protocol/', import.meta.url));

/** Loads `entry` (below `src/protocol`) as it would be with the mutations. @throws when a text is not there once */
export async function loadMutant<Module>(
  entry: string,
  ...mutations: readonly Mutation[]
): Promise<Module> {
  const sources = new Map<string, string>();
  for (const { file, from, to } of mutations) {
    const path = join(root, file);
    const source = sources.get(path) ?? (await readFile(path, 'utf8'));
    const count = source.split(from).length - 1;
    if (count !== 1) throw new Error(`'${from}' is ${count} times in ${file}`);
    sources.set(
      path,
      source.replace(from, () => to),
    );
  }
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
          builder.onLoad({ filter: /\.ts$/ }, ({ path }) => {
            const contents = sources.get(path);
            return contents === undefined ? undefined : { contents, loader: 'ts' };
          });
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
