/**
 * Bundles the `mycel` command, all packages inside: nothing is installed on a board. What a command does not need is in
 * files of its own under `parts/`, which are read when something asks for them (docs/decisions/0049).
 * Usage: node device/bundle.mjs [outfile], by default dist/mycel.mjs; the parts lie beside it. docs/decisions/0007 says why ESM.
 */

import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const outfile = resolve(process.argv[2] ?? `${root}/dist/mycel.mjs`);
const outdir = dirname(outfile);
const scripts = `${root}/firmware-scripts`;
const firmware = {};
for (const name of await readdir(scripts)) {
  firmware[name] = await readFile(`${scripts}/${name}`, 'utf8');
}
const { version } = JSON.parse(await readFile(`${root}/package.json`, 'utf8'));

const { outputFiles } = await build({
  absWorkingDir: root,
  entryPoints: [{ in: 'device/entry.ts', out: basename(outfile, '.mjs') }],
  outdir,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  // A name says what is in the file: parts of two versions lie side by side while one replaces the other.
  chunkNames: 'parts/[hash]',
  write: false,
  minify: true,
  platform: 'node',
  target: 'node20.19',
  format: 'esm',
  // The library's sources, not its build: dead code is dropped and the build order does not matter.
  conditions: ['@mycel/source'],
  define: {
    MYCEL_VERSION: JSON.stringify(version),
    // A text: of an object every part of the program would be given a copy to read.
    MYCEL_FIRMWARE: JSON.stringify(JSON.stringify(firmware)),
  },
  // mqtt.js, mqtt-packet and bl bring a copy of Node's own streams: 80 kB to read at every start (docs/decisions/0052).
  alias: { 'readable-stream': 'node:stream' },
  // An optional native part of cbor-x; it is looked for inside a try.
  external: ['cbor-extract'],
  legalComments: 'none',
  logLevel: 'warning',
  // CommonJS packages inside an ES module still need a `require` for what Node itself brings.
  banner: {
    js: 'import{createRequire as mycelCreateRequire}from"node:module";const require=mycelCreateRequire(import.meta.url);',
  },
});
const parts = join(outdir, 'parts');
await mkdir(parts, { recursive: true });
// The parts first, then the entry that names them; those of an earlier build go last: a node that runs may ask for them
// until then. What has not changed is not touched, so a second build disturbs nobody who reads.
const isEntry = ({ path }) => path === outfile;
const inTurn = [...outputFiles.filter((file) => !isEntry(file)), ...outputFiles.filter(isEntry)];
for (const { path, contents } of inTurn) {
  // The entry alone is a command.
  const text =
    path === outfile ? Buffer.concat([Buffer.from('#!/usr/bin/env node\n'), contents]) : contents;
  const old = await readFile(path).catch(() => undefined);
  if (old?.equals(text)) continue;
  await writeFile(`${path}.new`, text, { mode: path === outfile ? 0o755 : 0o644 });
  await rename(`${path}.new`, path);
}
const written = new Set(outputFiles.map(({ path }) => path));
for (const name of await readdir(parts)) {
  if (!written.has(join(parts, name))) await rm(join(parts, name), { force: true });
}
