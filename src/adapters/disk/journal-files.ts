/** The few things a journal asks of a file system, so that its tests can cut the power anywhere. */

import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** A file that is written at its end. */
export interface JournalFile {
  write(bytes: Uint8Array, at: number): Promise<void>;
  /** What was written survives a power cut when this resolves. */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

/** A directory. */
export interface JournalFiles {
  /** The whole content; undefined when there is no such file. */
  read(name: string): Promise<Buffer | undefined>;
  /** Opens for writing; what is there stays unless `isFresh`. */
  open(name: string, isFresh: boolean): Promise<JournalFile>;
  rename(from: string, to: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** Makes renames durable. */
  sync(): Promise<void>;
}

/** The directory on this computer's disk; it is made when it is missing. */
export function diskFiles(directory: string): JournalFiles {
  return {
    async read(name) {
      try {
        return await readFile(join(directory, name));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    async open(name, isFresh) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const path = join(directory, name);
      const file = await open(path, isFresh ? 'w' : 'r+', 0o600).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        return open(path, 'w+', 0o600);
      });
      return {
        async write(bytes, at) {
          for (let done = 0; done < bytes.length;) {
            const left = bytes.length - done;
            done += (await file.write(bytes, done, left, at + done)).bytesWritten;
          }
        },
        sync: () => file.datasync(),
        truncate: (length) => file.truncate(length),
        close: () => file.close(),
      };
    },
    rename: (from, to) => rename(join(directory, from), join(directory, to)),
    remove: (name) => rm(join(directory, name), { force: true }),
    async sync() {
      const handle = await open(directory, 'r');
      try {
        await handle.sync();
      } catch (error) {
        // Some file systems cannot sync a directory; they are as good as they get.
        const code = (error as NodeJS.ErrnoException).code ?? '';
        if (!['EINVAL', 'ENOTSUP', 'EPERM'].includes(code)) throw error;
      } finally {
        await handle.close();
      }
    },
  };
}
