/** The module of an agent as plain JavaScript: types are taken out where the file is, so that devices need no compiler. */

import { readFile } from 'node:fs/promises';
import * as nodeModule from 'node:module';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { Failure } from './failure.ts';

/** What esbuild offers, where a project has it. */
interface Bundler {
  build(options: Readonly<Record<string, unknown>>): Promise<{
    readonly outputFiles: readonly { readonly text: string }[];
  }>;
}

/**
 * Reads a module. Node's own stripper is used where there is one; a project's esbuild otherwise, which also joins
 * several files into one; a file without any types needs neither.
 * @throws {Failure} MYCEL_BAD_AGENT
 */
export async function readModule(file: string): Promise<string> {
  const path = resolve(file);
  const source = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new Failure('MYCEL_BAD_AGENT', `'${file}' cannot be read.`, 'Check the path.', {
      cause: error,
    });
  });
  const hasParts = /^\s*(?:import|export)\b[^'"\n]*['"]\.{1,2}\//m.test(source);
  const isTyped = ['.ts', '.mts'].includes(extname(path));
  if (!hasParts && !isTyped) return source;
  const { stripTypeScriptTypes } = nodeModule as {
    stripTypeScriptTypes?: (code: string) => string;
  };
  if (!hasParts && stripTypeScriptTypes !== undefined) {
    try {
      return stripTypeScriptTypes(source);
    } catch (error) {
      throw notPlain(file, error instanceof Error ? error.message : String(error));
    }
  }
  const bundler = await projectBundler(path);
  if (bundler !== undefined) return bundle(bundler, path, file);
  if (hasParts) throw notPlain(file, 'it imports other files, and the project has no esbuild');
  // What has no types is JavaScript whatever it is called; what has some fails when it is loaded, saying so.
  return source;
}

async function bundle(bundler: Bundler, path: string, file: string): Promise<string> {
  try {
    const built = await bundler.build({
      entryPoints: [path],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'node',
      target: 'node20.19',
      external: ['mycel'],
      logLevel: 'silent',
    });
    return built.outputFiles[0]?.text ?? '';
  } catch (error) {
    throw notPlain(file, error instanceof Error ? error.message : String(error));
  }
}

/** The esbuild of the project that the file is in. */
async function projectBundler(path: string): Promise<Bundler | undefined> {
  try {
    const found = nodeModule.createRequire(path).resolve('esbuild');
    const loaded = (await import(pathToFileURL(found).href)) as Bundler & { default?: Bundler };
    return loaded.default ?? loaded;
  } catch {
    return undefined;
  }
}

function notPlain(file: string, reason: string): Failure {
  return new Failure(
    'MYCEL_BAD_AGENT',
    `'${file}' cannot be made plain JavaScript: ${reason.split('\n', 2).join(' ')}.`,
    'Use types that can be erased, or bundle it first: esbuild --bundle --format=esm --external:mycel.',
  );
}
