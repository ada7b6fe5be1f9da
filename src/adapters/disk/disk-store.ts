/**
 * Records on disk that survive a power cut at any instant: a new content is complete and synced before it takes the
 * name, the one before it is kept, and a damaged file is set aside instead of believed.
 */

import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { MycelError } from '../../kernel/errors.ts';
import { invariant } from '../../kernel/invariant.ts';
import type { Log } from '../../ports/log.ts';
import type { Store } from '../../ports/store.ts';
import { asStoreError, makeDirectory, syncDirectory } from './directory.ts';
import { takeLock, type ProcessLock } from './process-lock.ts';
import { decodeRecord, encodeRecord, recordBytesMax, type RecordVerdict } from './record.ts';

/** Records one directory may hold; a write of one more is refused with MYCEL_STORE_FULL. */
const recordsMax = 4096;

/** Damaged copies kept per record; the oldest goes. */
const damagedMax = 3;

/** Reports of damage kept for `damage()`; the oldest goes. */
const damageReportsMax = 64;

/** What a record may be called: it becomes a file name on any file system. */
const nameShape = /^[a-z0-9][a-z0-9_-]{0,95}$/;

/** Everything this store ever writes: `<name>.rec`, `.prev`, `.tmp`, `.damaged-<n>`. Other files are left alone. */
const ownFile = /^([a-z0-9][a-z0-9_-]{0,95})\.(rec|prev|tmp|damaged-\d)$/;

/** What the store needs besides the directory. */
export interface DiskStoreOptions {
  readonly log: Log;
}

/**
 * Opens (and creates, mode 0700) a data directory and takes its lock.
 * @throws {MycelError} MYCEL_DATA_DIR_OPEN when others can read or swap the secrets in it, MYCEL_DATA_DIR_BUSY when
 *   another living process has it, MYCEL_STORE_READ_ONLY, MYCEL_STORE_FULL or MYCEL_STORE_FAILED.
 */
export async function openDiskStore(directory: string, options: DiskStoreOptions): Promise<Store> {
  const root = resolve(directory);
  try {
    await makeDirectory(root);
    await refuseOpenDirectory(root);
    const lock = await takeLock(root);
    try {
      const names = await tidyLeftovers(root);
      return new DiskStore(root, lock, names, options.log);
    } catch (error) {
      await lock.release();
      throw error;
    }
  } catch (error) {
    throw asStoreError(error, root);
  }
}

class DiskStore implements Store {
  readonly #root: string;
  readonly #lock: ProcessLock;
  readonly #log: Log;
  /** Records that exist, by name. */
  readonly #names: Set<string>;
  /** Records whose current file was found whole, or written, by this process. A subset of #names. */
  readonly #verified = new Set<string>();
  /** The last queued action of a record; actions on one record run one after the other. */
  readonly #tails = new Map<string, Promise<unknown>>();
  /** The write of a record that has not begun: a later content replaces the one that waits. */
  readonly #waiting = new Map<string, { bytes: Uint8Array; done: Promise<void> }>();
  #damage: { name: string; action: string }[] = [];
  #isClosed = false;

  constructor(root: string, lock: ProcessLock, names: Set<string>, log: Log) {
    this.#root = root;
    this.#lock = lock;
    this.#names = names;
    this.#log = log;
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    return await this.#queue(name, () => this.#load(name));
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    this.#mustBeUsable(name);
    if (bytes.length > recordBytesMax) {
      throw new MycelError('MYCEL_STORE_FAILED', {
        name,
        reason: `The record "${name}" would have ${bytes.length} bytes; ${recordBytesMax} is the most.`,
      });
    }
    const content = Uint8Array.from(bytes);
    const waiting = this.#waiting.get(name);
    if (waiting !== undefined) {
      waiting.bytes = content;
      return await waiting.done;
    }
    const entry = { bytes: content, done: Promise.resolve() };
    entry.done = this.#queue(name, async () => {
      if (this.#waiting.get(name) === entry) this.#waiting.delete(name);
      await this.#save(name, entry.bytes);
    });
    this.#waiting.set(name, entry);
    await entry.done;
  }

  async remove(name: string): Promise<void> {
    // Contents that are only waiting are written first, so that their writers get their answer.
    this.#waiting.delete(name);
    await this.#queue(name, async () => {
      // The older generation goes first: after a crash in between, the record is still the newest one, never an older one.
      for (const suffix of ['prev', 'tmp', ...damagedSuffixes()]) {
        await rm(this.#path(name, suffix), { force: true });
      }
      await syncDirectory(this.#root);
      await rm(this.#path(name, 'rec'), { force: true });
      await syncDirectory(this.#root);
      this.#names.delete(name);
      this.#verified.delete(name);
    });
  }

  async list(): Promise<readonly string[]> {
    this.#mustBeOpen();
    return [...this.#names].sort();
  }

  damage(): readonly { readonly name: string; readonly action: string }[] {
    return this.#damage;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await Promise.allSettled(this.#tails.values());
    await this.#lock.release();
  }

  /** Runs after whatever is already going on with this record. */
  #queue<Result>(name: string, action: () => Promise<Result>): Promise<Result> {
    this.#mustBeUsable(name);
    const before = this.#tails.get(name) ?? Promise.resolve();
    const result = before.then(action, action).catch((error: unknown) => {
      throw asStoreError(error, this.#root);
    });
    // The chain itself never rejects: every caller hears of its own failure only.
    const tail: Promise<void> = result
      .then(
        () => undefined,
        () => undefined,
      )
      .then(() => {
        if (this.#tails.get(name) === tail) this.#tails.delete(name);
      });
    this.#tails.set(name, tail);
    return result;
  }

  async #save(name: string, bytes: Uint8Array): Promise<void> {
    if (!this.#names.has(name) && this.#names.size >= recordsMax) {
      throw new MycelError('MYCEL_STORE_FULL', {
        name,
        reason: `It holds ${recordsMax} records already.`,
      });
    }
    // A damaged current file must not take the place of a whole previous one.
    if (this.#names.has(name) && !this.#verified.has(name)) await this.#load(name);
    const draft = this.#path(name, 'tmp');
    try {
      await writeSynced(draft, encodeRecord(bytes));
      if (this.#verified.has(name)) await rename(this.#path(name, 'rec'), this.#path(name, 'prev'));
      this.#verified.delete(name);
      await rename(draft, this.#path(name, 'rec'));
      await syncDirectory(this.#root);
    } catch (error) {
      await rm(draft, { force: true }).catch(() => undefined);
      throw error;
    }
    this.#names.add(name);
    this.#verified.add(name);
  }

  async #load(name: string): Promise<Uint8Array | undefined> {
    if (!this.#names.has(name)) return undefined;
    const current = await readVerdict(this.#path(name, 'rec'));
    if (current?.type === 'whole') {
      this.#verified.add(name);
      return current.payload;
    }
    refuseNewer(name, current);
    if (current !== undefined) await this.#setAside(name, 'rec', current.reason);
    const previous = await readVerdict(this.#path(name, 'prev'));
    if (previous?.type === 'whole') {
      if (current !== undefined) this.#report(name, 'the content before the last write is used');
      return previous.payload;
    }
    refuseNewer(name, previous);
    if (previous !== undefined) await this.#setAside(name, 'prev', previous.reason);
    if (current !== undefined || previous !== undefined)
      this.#report(name, 'nothing is left of it');
    this.#names.delete(name);
    return undefined;
  }

  /** Renames a damaged file to `<name>.damaged-1`; 1 becomes 2, 2 becomes 3, 3 goes. */
  async #setAside(name: string, suffix: 'rec' | 'prev', reason: string): Promise<void> {
    this.#verified.delete(name);
    for (let slot = damagedMax; slot > 1; slot -= 1) {
      await rename(
        this.#path(name, `damaged-${slot - 1}`),
        this.#path(name, `damaged-${slot}`),
      ).catch(() => undefined);
    }
    const aside = this.#path(name, 'damaged-1');
    // On a read-only disk the file stays where it is; it is reported and not believed all the same.
    const isMoved = await rename(this.#path(name, suffix), aside).then(
      () => true,
      () => false,
    );
    const place = isMoved
      ? `set aside as ${name}.damaged-1`
      : 'left where it is (cannot be renamed)';
    this.#report(name, `${name}.${suffix}: ${reason}; ${place}`);
  }

  #report(name: string, action: string): void {
    this.#damage = [...this.#damage, { name, action }].slice(-damageReportsMax);
    this.#log.warn({ record: name, action }, 'a record on disk was damaged');
  }

  #path(name: string, suffix: string): string {
    return join(this.#root, `${name}.${suffix}`);
  }

  #mustBeUsable(name: string): void {
    invariant(nameShape.test(name), `"${name}" is not a record name (${nameShape.source})`);
    this.#mustBeOpen();
  }

  #mustBeOpen(): void {
    if (!this.#isClosed) return;
    throw new MycelError('MYCEL_STORE_FAILED', { reason: 'It is closed.' });
  }
}

/** Refuses a directory in which other users could read a record, or swap one for their own. */
async function refuseOpenDirectory(root: string): Promise<void> {
  const mode = (await stat(root)).mode;
  let problem = (mode & 0o022) === 0 ? undefined : `${root} can be changed by other users.`;
  if ((mode & 0o011) !== 0) {
    for (const file of await readdir(root)) {
      if (problem !== undefined) break;
      if (!ownFile.test(file)) continue;
      const open = ((await stat(join(root, file))).mode & 0o077) !== 0;
      if (open) problem = `${join(root, file)} can be read by other users.`;
    }
  }
  if (problem === undefined) return;
  throw new MycelError('MYCEL_DATA_DIR_OPEN', {
    directory: root,
    reason: problem,
    fix: `Run: chmod -R go= '${root}'`,
  });
}

/** Removes drafts that a crash left behind and returns the names of the records. */
async function tidyLeftovers(root: string): Promise<Set<string>> {
  const names = new Set<string>();
  for (const file of await readdir(root)) {
    const [, name, suffix] = ownFile.exec(file) ?? [];
    if (name === undefined) continue;
    if (suffix === 'rec' || suffix === 'prev') names.add(name);
    if (suffix === 'tmp') await rm(join(root, file), { force: true });
  }
  return names;
}

async function readVerdict(path: string): Promise<RecordVerdict | undefined> {
  let file;
  try {
    file = await open(path, 'r');
    const size = (await file.stat()).size;
    // A record is never this large: do not read gigabytes to find that out.
    if (size > recordBytesMax + 64) return { type: 'damaged', reason: `it has ${size} bytes` };
    return decodeRecord(await file.readFile());
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'ENOENT') return undefined;
    // A bad block makes the file unreadable, not the store.
    if (code === 'EIO' || code === 'EISDIR')
      return { type: 'damaged', reason: `${code} reading it` };
    throw error;
  } finally {
    await file?.close();
  }
}

function refuseNewer(
  name: string,
  verdict: RecordVerdict | undefined,
): asserts verdict is Extract<RecordVerdict, { type: 'damaged' | 'whole' }> | undefined {
  if (verdict?.type !== 'newer') return;
  throw new MycelError('MYCEL_STORE_NEWER', { name, version: verdict.version });
}

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

function damagedSuffixes(): string[] {
  return Array.from({ length: damagedMax }, (_, at) => `damaged-${at + 1}`);
}
