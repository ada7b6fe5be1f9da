import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nextBoot } from '../../../src/adapters/disk/counters.ts';
import { openDiskStore } from '../../../src/adapters/disk/disk-store.ts';
import { createMemoryLog, type MemoryLog } from '../../../src/adapters/memory/log.ts';
import { createMemoryStore } from '../../../src/adapters/memory/store.ts';
import type { Store } from '../../../src/ports/store.ts';
import { storeContract } from '../../contract/store.ts';
import { bundleProgram, startProgram } from '../child.ts';

storeContract('disk', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'mycel-store-'));
  return {
    open: () => openDiskStore(directory, { log: createMemoryLog() }),
    dispose: () => rm(directory, { recursive: true, force: true }),
  };
});

storeContract('memory', async () => {
  const records = new Map<string, Uint8Array>();
  return { open: async () => createMemoryStore(records), dispose: async () => records.clear() };
});

const one = Uint8Array.of(1, 1, 1, 1);
const two = Uint8Array.of(2, 2, 2, 2);
const three = Uint8Array.of(3, 3, 3, 3);

let directory: string;
let log: MemoryLog;
let opened: Store[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mycel-disk-'));
  log = createMemoryLog();
  opened = [];
});
afterEach(async () => {
  for (const store of opened) await store.close();
  await rm(directory, { recursive: true, force: true });
});

async function open(): Promise<Store> {
  const store = await openDiskStore(directory, { log });
  opened.push(store);
  return store;
}

/** Leaves `one` as the previous and `two` as the current content on disk, and closes the store. */
async function writeTwice(): Promise<void> {
  const store = await open();
  await store.write('record', one);
  await store.write('record', two);
  await store.close();
}

describe('a damaged record', () => {
  test('is replaced by the one before it, whatever byte is flipped', async () => {
    await writeTwice();
    const whole = await readFile(join(directory, 'record.rec'));
    const previous = await readFile(join(directory, 'record.prev'));
    for (let at = 0; at < whole.length; at += 1) {
      for (const mask of [0x01, 0x80, 0xff]) {
        const bad = Buffer.from(whole);
        bad[at] = (bad[at] ?? 0) ^ mask;
        await writeFile(join(directory, 'record.rec'), bad);
        await writeFile(join(directory, 'record.prev'), previous);
        const store = await open();
        expect(await store.read('record'), `flip ${mask} at ${at}`).toEqual(one);
        expect(store.damage().map(({ name }) => name)).toContain('record');
        await store.close();
      }
    }
  });

  test('is replaced by the one before it, wherever it was cut off or grew', async () => {
    await writeTwice();
    const whole = await readFile(join(directory, 'record.rec'));
    const previous = await readFile(join(directory, 'record.prev'));
    const longer = Buffer.concat([whole, Buffer.of(0)]);
    const cuts = Array.from({ length: whole.length }, (_, at) => whole.subarray(0, at));
    for (const bad of [...cuts, longer]) {
      await writeFile(join(directory, 'record.rec'), bad);
      await writeFile(join(directory, 'record.prev'), previous);
      const store = await open();
      expect(await store.read('record'), `${bad.length} bytes`).toEqual(one);
      await store.close();
    }
  });

  test('is kept under a clear name, three copies at most, and reported in the log without its content', async () => {
    for (const round of [1, 2, 3, 4, 5]) {
      const store = await open();
      await store.write('record', one);
      await writeFile(join(directory, 'record.rec'), `rotten ${round}`);
      await store.read('record');
      await store.close();
    }
    const aside = (await readdir(directory)).filter((file) => file.includes('damaged')).sort();
    expect(aside).toEqual(['record.damaged-1', 'record.damaged-2', 'record.damaged-3']);
    expect(await readFile(join(directory, 'record.damaged-1'), 'utf8')).toBe('rotten 5');
    expect(await readFile(join(directory, 'record.damaged-3'), 'utf8')).toBe('rotten 3');
    const lines = log.take();
    expect(lines.length).toBeGreaterThan(0);
    expect(JSON.stringify(lines)).not.toContain('rotten');
  });

  test('never takes the place of a whole previous one when a new content is written over it', async () => {
    await writeTwice();
    await writeFile(join(directory, 'record.rec'), 'rotten');
    const store = await open();
    await store.write('record', three);
    await store.close();
    // The new content rots too: what is left must be the last whole one.
    await writeFile(join(directory, 'record.rec'), 'rotten');
    const after = await open();
    expect(await after.read('record')).toEqual(one);
  });

  test('of which both generations are gone reads as nothing, and can be written again', async () => {
    await writeTwice();
    await writeFile(join(directory, 'record.rec'), '');
    await writeFile(join(directory, 'record.prev'), 'rotten');
    const store = await open();
    expect(await store.read('record')).toBeUndefined();
    expect(await store.list()).toEqual([]);
    expect(store.damage()).toHaveLength(3);
    await store.write('record', three);
    expect(await store.read('record')).toEqual(three);
  });

  test('that is a directory, or larger than any record, is set aside as well', async () => {
    await mkdir(join(directory, 'folder.rec'));
    execFileSync('truncate', ['-s', '40M', join(directory, 'large.rec')]);
    const store = await open();
    expect(await store.read('folder')).toBeUndefined();
    expect(await store.read('large')).toBeUndefined();
  });

  test('of a later version of mycel is refused and left alone', async () => {
    await writeTwice();
    const path = join(directory, 'record.rec');
    const newer = await readFile(path);
    newer[4] = 2;
    // The checksum of a version 2 record with the same layout: CRC-32 over version, length and payload.
    const { crc32 } = await import('node:zlib');
    newer.writeUInt32BE(crc32(newer.subarray(13), crc32(newer.subarray(4, 9))), 9);
    await writeFile(path, newer);
    const store = await open();
    await expect(store.read('record')).rejects.toMatchObject({ code: 'MYCEL_STORE_NEWER' });
    await expect(store.write('record', one)).rejects.toMatchObject({ code: 'MYCEL_STORE_NEWER' });
    expect(await readFile(path)).toEqual(newer);
  });
});

describe('a crash between two steps of a write', () => {
  test('before the new file has its name leaves the old content', async () => {
    await writeTwice();
    await writeFile(join(directory, 'record.tmp'), 'half a rec');
    const store = await open();
    expect(await store.read('record')).toEqual(two);
    expect(await readdir(directory)).not.toContain('record.tmp');
  });

  test('between the two renames leaves the old content, without a report of damage', async () => {
    await writeTwice();
    await copyFile(join(directory, 'record.rec'), join(directory, 'record.prev'));
    await rm(join(directory, 'record.rec'));
    const store = await open();
    expect(await store.list()).toEqual(['record']);
    expect(await store.read('record')).toEqual(two);
    expect(store.damage()).toEqual([]);
    await store.write('record', three);
    expect(await store.read('record')).toEqual(three);
  });

  test('200 kills at random points lose no acknowledged record and leave none unreadable', async () => {
    const bundle = await bundleProgram(new URL('writer.ts', import.meta.url).pathname);
    let acknowledged = -1;
    let midWrite = 0;
    try {
      for (let round = 0; round < 200; round += 1) {
        const size = [16, 1000, 60_000][round % 3] ?? 16;
        const program = startProgram(bundle.file, [directory, `${acknowledged + 1}`, `${size}`]);
        const wanted = 1 + Math.floor(Math.random() * 6);
        await program.line(() => program.lines.length > wanted, 20_000);
        // Half of them a random while later, half aimed at the moment when a draft shows.
        const draft = join(directory, 'record.tmp');
        const turns = Math.floor(Math.random() * 12);
        const giveUp = performance.now() + 200;
        if (round % 2 === 0) {
          for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
        } else while (!existsSync(draft) && performance.now() < giveUp);
        program.child.kill('SIGKILL');
        await program.ended;
        acknowledged = Number(program.lines.at(-1));
        if (existsSync(draft)) midWrite += 1;
        const store = await open();
        const content = await store.read('record');
        if (content === undefined) throw new Error(`round ${round}: nothing left`);
        const number = Buffer.from(content).readUInt32BE();
        // The write in flight may have made it or not; nothing older than the acknowledged one may show.
        expect([acknowledged, acknowledged + 1]).toContain(number);
        expect(store.damage()).toEqual([]);
        await store.close();
        acknowledged = number;
      }
    } finally {
      await bundle.dispose();
    }
    expect(acknowledged).toBeGreaterThan(200);
    expect(midWrite, 'many kills must have hit the middle of a write').toBeGreaterThan(20);
  }, 180_000);
});

describe('a disk that fails', () => {
  let mount: string;

  beforeEach(async () => {
    mount = join(directory, 'mount');
    await mkdir(mount);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k,mode=0700', 'tmpfs', mount]);
  });
  afterEach(async () => {
    for (const store of opened) await store.close();
    execFileSync('umount', [mount]);
  });

  test('because it is full says MYCEL_STORE_FULL, keeps the old content and works again with room', async () => {
    const store = await openDiskStore(mount, { log });
    opened.push(store);
    await store.write('record', one);
    const filler = join(mount, 'filler');
    await writeFile(filler, Buffer.alloc(400_000)).catch(() => undefined);
    const large = Buffer.alloc(50_000, 5);
    await expect(store.write('record', large)).rejects.toMatchObject({ code: 'MYCEL_STORE_FULL' });
    expect(await store.read('record')).toEqual(one);
    expect(await readdir(mount)).not.toContain('record.tmp');
    await rm(filler);
    await store.write('record', large);
    expect(await store.read('record')).toEqual(Uint8Array.from(large));
  });

  test('because it is full at the start says so too', async () => {
    await writeFile(join(mount, 'filler'), Buffer.alloc(400_000)).catch(() => undefined);
    await expect(openDiskStore(mount, { log })).rejects.toMatchObject({ code: 'MYCEL_STORE_FULL' });
  });

  test('because it became read-only says MYCEL_STORE_READ_ONLY and still reads', async () => {
    const store = await openDiskStore(mount, { log });
    opened.push(store);
    await store.write('record', one);
    await store.write('rotten', one);
    await writeFile(join(mount, 'rotten.rec'), 'rotten');
    execFileSync('mount', ['-o', 'remount,ro', mount]);
    await expect(store.write('record', two)).rejects.toMatchObject({
      code: 'MYCEL_STORE_READ_ONLY',
    });
    await expect(store.remove('record')).rejects.toMatchObject({ code: 'MYCEL_STORE_READ_ONLY' });
    expect(await store.read('record')).toEqual(one);
    expect(await store.read('rotten')).toBeUndefined();
    await expect(openDiskStore(join(mount, 'sub'), { log })).rejects.toMatchObject({
      code: 'MYCEL_STORE_READ_ONLY',
    });
    execFileSync('mount', ['-o', 'remount,rw', mount]);
    await store.write('record', two);
    expect(await store.read('record')).toEqual(two);
  });

  test('under a path that cannot be a directory says MYCEL_STORE_FAILED', async () => {
    await writeFile(join(directory, 'file'), '');
    await expect(openDiskStore(join(directory, 'file'), { log })).rejects.toMatchObject({
      code: 'MYCEL_STORE_FAILED',
    });
  });
});

describe('the data directory', () => {
  test('and its files are readable by their owner only', async () => {
    const fresh = join(directory, 'deep', 'data');
    const store = await openDiskStore(fresh, { log });
    opened.push(store);
    await store.write('identity', one);
    await store.write('identity', two);
    expect((await stat(fresh)).mode & 0o777).toBe(0o700);
    for (const file of await readdir(fresh)) {
      expect((await stat(join(fresh, file))).mode & 0o777, file).toBe(0o600);
    }
  });

  test('is refused when others can read a record in it, and says the chmod that mends it', async () => {
    await writeTwice();
    await chmod(directory, 0o755);
    await chmod(join(directory, 'record.prev'), 0o644);
    const refusal = await open().catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'MYCEL_DATA_DIR_OPEN' });
    const fix = (refusal as { fix: string }).fix;
    expect(fix).toContain('chmod');
    execFileSync('sh', ['-c', fix.replace('Run: ', '')]);
    expect(await (await open()).read('record')).toEqual(two);
  });

  test('is refused when others can swap a record in it', async () => {
    await chmod(directory, 0o777);
    await expect(open()).rejects.toMatchObject({ code: 'MYCEL_DATA_DIR_OPEN' });
  });

  test('with files of others in it is left as it is', async () => {
    await writeFile(join(directory, 'notes.txt'), 'mine');
    await writeFile(join(directory, 'other.tmp.bak'), 'mine');
    const store = await open();
    expect(await store.list()).toEqual([]);
    await store.close();
    expect((await readdir(directory)).sort()).toEqual(['notes.txt', 'other.tmp.bak']);
  });
});

describe('the boot counter', () => {
  test('goes up by one with every start', async () => {
    for (const boot of [1, 2, 3]) {
      const store = await open();
      expect(await nextBoot(store)).toBe(boot);
      await store.close();
    }
  });

  test('never repeats a number, whichever one, two or three of its four files are damaged, also twice', async () => {
    const files = ['boot.rec', 'boot.prev', 'boot-copy.rec', 'boot-copy.prev'];
    let last = 0;
    for (let mask = 0; mask < 15; mask += 1) {
      const first = await open();
      const boot = await nextBoot(first);
      expect(boot, `mask ${mask}`).toBeGreaterThan(last);
      last = boot;
      await first.close();
      for (const [at, file] of files.entries()) {
        if (((mask >> at) & 1) === 1) await writeFile(join(directory, file), 'rotten');
      }
      // A start that dies after it read, and set aside, what was damaged.
      const dying = await open();
      await dying.read('boot');
      await dying.read('boot-copy');
      await dying.close();
    }
  });

  test('that is damaged beyond repair stops the node instead of starting again at 1', async () => {
    const store = await open();
    await nextBoot(store);
    await nextBoot(store);
    await store.close();
    for (const file of ['boot.rec', 'boot.prev', 'boot-copy.rec', 'boot-copy.prev']) {
      await writeFile(join(directory, file), 'rotten');
    }
    for (const _attempt of [1, 2]) {
      const again = await open();
      await expect(nextBoot(again)).rejects.toMatchObject({ code: 'MYCEL_BOOT_COUNTER_LOST' });
      await again.close();
    }
  });
});
