/** Installs and keeps one version after the other until it is killed; prints a dot after each step. Argument: the directory. */

import { createVersions } from '../../../src/adapters/disk/versions.ts';

const [, , directory = ''] = process.argv;
const versions = createVersions(directory);
const files = {
  program: new Map([
    ['mycel.mjs', Uint8Array.of(35, 10)],
    ['parts/A.mjs', Uint8Array.of(47, 47)],
  ]),
  sums: `${'cd'.repeat(32)}  mycel.mjs\n${'ef'.repeat(32)}  parts/A.mjs\n`,
};
for (let number = 1; ; number += 1) {
  const name = `${process.pid}-${number}`;
  await versions.install(name, files);
  process.stdout.write('.');
  await versions.try(name, 3);
  process.stdout.write('.');
  await versions.keep(name);
  process.stdout.write('.');
  if (number % 3 === 0) await versions.revert(name);
}
