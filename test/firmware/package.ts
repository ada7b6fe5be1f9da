/** What ships: the bundled file, and the tarball that `npm pack` makes of it. */

import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { runCommand } from '../process.ts';

const run = promisify(execFile);

/** The project's own directory. */
export const projectRoot: string = fileURLToPath(new URL('../..', import.meta.url));

/** The shipped files, in a directory of their own. */
export interface Shipped {
  readonly directory: string;
  /** `mycel.mjs`. */
  readonly bundle: string;
  /** `mycel-<version>.tgz`. */
  readonly tarball: string;
  remove(): Promise<void>;
}

/** Builds and packs the project as it is now. */
export async function shipMycel(): Promise<Shipped> {
  const directory = await mkdtemp(join(tmpdir(), 'mycel-shipped-'));
  const pack = join(directory, 'pack');
  await mkdir(pack);
  await run(process.execPath, [
    join(projectRoot, 'device/bundle.mjs'),
    join(pack, 'dist/mycel.mjs'),
  ]);
  for (const name of ['package.json', 'README.md']) {
    await cp(join(projectRoot, name), join(pack, name));
  }
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', directory], {
    cwd: pack,
  });
  return {
    directory,
    bundle: join(pack, 'dist/mycel.mjs'),
    tarball: join(directory, stdout.trim().split('\n').at(-1) ?? ''),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** Flashes a boot partition, as it lies in a card reader. @throws with what flash.sh said */
export async function flashCard(
  shipped: Pick<Shipped, 'tarball'>,
  card: string,
  flags: readonly string[],
): Promise<void> {
  const script = join(projectRoot, 'firmware-scripts/flash.sh');
  const argv = ['sh', script, '--bundle', shipped.tarball, '--yes', ...flags, card];
  const { code, stderr } = await runCommand(argv);
  if (code !== 0) throw new Error(stderr);
}
