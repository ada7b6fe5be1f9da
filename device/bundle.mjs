/**
 * Bundles the `mycel` command into one file, all packages inside: nothing is installed on a board.
 * Usage: node device/bundle.mjs [outfile], by default dist/mycel.mjs. docs/decisions/0007 says why ESM.
 */

import { chmod, readdir, readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const outfile = resolve(process.argv[2] ?? `${root}/dist/mycel.mjs`);
const scripts = `${root}/firmware-scripts`;
const firmware = {};
for (const name of await readdir(scripts)) {
  firmware[name] = await readFile(`${scripts}/${name}`, 'utf8');
}
const { version } = JSON.parse(await readFile(`${root}/package.json`, 'utf8'));

await build({
  absWorkingDir: root,
  entryPoints: ['device/main.ts'],
  outfile,
  bundle: true,
  minify: true,
  platform: 'node',
  target: 'node20.19',
  format: 'esm',
  // The library's sources, not its build: dead code is dropped and the build order does not matter.
  conditions: ['@mycel/source'],
  define: {
    MYCEL_VERSION: JSON.stringify(version),
    MYCEL_FIRMWARE: JSON.stringify(firmware),
  },
  // An optional native part of cbor-x; it is looked for inside a try.
  external: ['cbor-extract'],
  legalComments: 'none',
  logLevel: 'warning',
  // CommonJS packages inside an ES module still need a `require` for what Node itself brings.
  banner: {
    js: `#!/usr/bin/env node
import{createRequire as mycelCreateRequire}from"node:module";const require=mycelCreateRequire(import.meta.url);`,
  },
});
await chmod(outfile, 0o755);
