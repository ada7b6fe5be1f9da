/**
 * Versions as directories of `versions/`, with two symbolic links and a trial file that `firmware-scripts/launch.sh` reads:
 * `current` and `previous` name a directory, `trial` holds a name and how many starts are left, `given-up` a name.
 */

import { lstat, open, readFile, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { invariant } from '../../kernel/invariant.ts';
import type { Versions, VersionsView } from '../../ports/versions.ts';
import { asStoreError, makeDirectory, syncDirectory } from './directory.ts';

const nameShape = /^[a-z0-9][a-z0-9.+-]{0,94}$/;

/** Names that are not versions. */
const reserved: ReadonlySet<string> = new Set(['current', 'previous', 'trial', 'given-up']);

/** Opens the directory, which need not be there yet. */
export function createVersions(directory: string): Versions {
  const at = (...parts: readonly string[]): string => join(directory, ...parts);

  async function guarded<Result>(act: () => Promise<Result>): Promise<Result> {
    try {
      return await act();
    } catch (error) {
      throw asStoreError(error, directory);
    }
  }

  async function put(path: string, content: Uint8Array | string): Promise<void> {
    const file = await open(`${path}.new`, 'w', 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
  }

  /** A link is replaced by renaming another one over it: there is no moment without it. */
  async function point(link: string, name: string): Promise<void> {
    await rm(at(`${link}.new`), { force: true });
    await symlink(name, at(`${link}.new`));
    await rename(at(`${link}.new`), at(link));
    await syncDirectory(directory);
  }

  async function unlink(...names: readonly string[]): Promise<void> {
    for (const name of names) await rm(at(name), { force: true });
    await syncDirectory(directory);
  }

  async function target(link: string): Promise<string | undefined> {
    const name = await readlink(at(link)).catch(() => undefined);
    return name !== undefined && isName(name) ? name : undefined;
  }

  async function word(file: string): Promise<string | undefined> {
    const text = await readFile(at(file), 'utf8').catch(() => '');
    const [name = ''] = text.trim().split(' ');
    return isName(name) ? name : undefined;
  }

  async function view(): Promise<VersionsView> {
    return {
      current: await target('current'),
      previous: await target('previous'),
      trial: await word('trial'),
      givenUp: await word('given-up'),
    };
  }

  async function sweep(keep: readonly (string | undefined)[]): Promise<void> {
    for (const name of await readdir(directory)) {
      if (reserved.has(name) || keep.includes(name)) continue;
      await rm(at(name), { recursive: true, force: true });
    }
    await syncDirectory(directory);
  }

  return {
    view,
    has: async (name) =>
      isName(name) &&
      (await lstat(at(name)).then(
        (found) => found.isDirectory(),
        () => false,
      )),
    install: (name, { program, sums }) =>
      guarded(async () => {
        check(name);
        await makeDirectory(directory);
        const { current, previous } = await view();
        // Room for one more is made first: cards are small, and a cut may have left a half.
        await sweep([current, previous]);
        const draft = `${name}.part`;
        await makeDirectory(at(draft));
        const folders = new Set([...program.keys()].map((path) => dirname(at(draft, path))));
        for (const folder of folders) await makeDirectory(folder);
        for (const [path, content] of program) await put(at(draft, path), content);
        await put(at(draft, 'SHA256SUMS'), sums);
        for (const folder of folders) await syncDirectory(folder);
        if (name !== current && name !== previous) await rename(at(draft), at(name));
        await syncDirectory(directory);
      }),
    try: (name, starts) =>
      guarded(async () => {
        check(name);
        await unlink('given-up');
        await put(at('trial'), `${name} ${starts}\n`);
        await syncDirectory(directory);
      }),
    keep: (name) =>
      guarded(async () => {
        check(name);
        const { current } = await view();
        if (current !== name) {
          // First what one goes back to, then the switch itself.
          if (current === undefined) await unlink('previous');
          else await point('previous', current);
          await point('current', name);
        }
        await unlink('trial', 'given-up');
        const { previous } = await view();
        await sweep([name, previous]);
      }),
    drop: () => guarded(() => unlinkIfThere()),
    revert: (name) =>
      guarded(async () => {
        const { current, previous } = await view();
        if (current === name) {
          if (previous === undefined) await unlink('current');
          else await point('current', previous);
        }
        await unlinkIfThere();
      }),
  };

  async function unlinkIfThere(): Promise<void> {
    const isThere = await lstat(directory).then(
      () => true,
      () => false,
    );
    if (isThere) await unlink('trial');
  }
}

function isName(name: string): boolean {
  return nameShape.test(name) && !reserved.has(name);
}

function check(name: string): void {
  invariant(isName(name), 'a version has a plain name');
}
