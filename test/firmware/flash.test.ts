/** flash.sh on images and directories of every format: what it writes, what it leaves alone, what it refuses. */

import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { runCommand, type Finished } from '../process.ts';
import { packPackage } from '../update-package.ts';
import { createBoard, type Board } from './board.ts';
import { createCardImage, firstrun, formats, type CardImage } from './card-image.ts';
import { projectRoot, shipMycel, type Shipped } from './package.ts';

let shipped: Shipped;
/** A program of a few bytes: what is put on a card is looked at here, not what it does. */
let small: string;
/** Partitions need not be larger for it, in MiB. */
const smallMib = 6;
let image: CardImage | undefined;
const invite = `mycel:1:${'a'.repeat(60)}`;
const flash = (target: string, flags: readonly string[] = ['--yes']): Promise<Finished> =>
  runCommand([
    'sh',
    join(projectRoot, 'firmware-scripts/flash.sh'),
    '--bundle',
    small,
    '--name',
    'porch',
    '--invite',
    invite,
    ...flags,
    target,
  ]);
async function make(
  files: Readonly<Record<string, string>>,
  mib: number = smallMib,
): Promise<CardImage> {
  image = await createCardImage(files, mib);
  return image;
}

beforeAll(async () => {
  shipped = await shipMycel();
  small = join(shipped.directory, 'small-0.2.0.tgz');
  writeFileSync(small, packPackage({ files: { 'dist/parts/ONE.mjs': 'export {};\n' } }));
}, 60_000);
afterAll(() => shipped.remove());
afterEach(async () => {
  await image?.remove();
  image = undefined;
});

/** The files that may change for each format; everything else on the card belongs to its owner. */
const ours: Readonly<Record<string, readonly string[]>> = {
  'Raspberry Pi OS Trixie': ['vendor-data'],
  Ubuntu: ['vendor-data'],
  'Raspberry Pi OS Bookworm, customised': ['firstrun.sh'],
  'Raspberry Pi OS Bookworm, bare': ['cmdline.txt', 'firstrun.sh'],
  'rpi-preseed': ['rpi-preseed.toml'],
  DietPi: ['Automation_Custom_Script.sh'],
  'something else': [],
};

/** Starts what the image starts at its first boot, as the image would. */
const starters: Readonly<Record<string, string>> = {
  'Raspberry Pi OS Trixie': `sed 1d /boot/firmware/vendor-data >/run/hook; sh /run/hook`,
  Ubuntu: `sed 1d /boot/firmware/vendor-data >/run/hook; sh /run/hook`,
  // The image cuts the script at the line that removes it, and puts its own ending there.
  'Raspberry Pi OS Bookworm, customised': `sed '/rm.*firstrun\\.sh$/,$d' /boot/firmware/firstrun.sh >/run/hook; bash /run/hook`,
  'Raspberry Pi OS Bookworm, bare': `sed '/rm.*firstrun\\.sh$/,$d' /boot/firmware/firstrun.sh >/run/hook; bash /run/hook`,
  'rpi-preseed': `python3 -c 'import tomllib; [print(c) for c in tomllib.load(open("/boot/firmware/rpi-preseed.toml", "rb"))["runcmd"]["late"]]' >/run/hook; sh -e /run/hook`,
  DietPi: 'bash /boot/firmware/Automation_Custom_Script.sh',
  // What the owner types, as flash.sh says.
  'something else': 'sh /boot/firmware/mycel/firstboot.sh --stage1',
};

/** Flags that a format needs. */
const flagsOf: Readonly<Record<string, readonly string[]>> = {
  'something else': ['--yes', '--format', 'generic'],
};

async function expectOk(argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(argv);
  expect(code, stderr).toBe(0);
  return stdout.trim();
}

/** Makes a block device of a file for as long as something needs it. */
async function withDevice(file: string, act: (device: string) => Promise<void>): Promise<void> {
  const device = await expectOk(['losetup', '--find', '--show', file]);
  try {
    await act(device);
  } finally {
    await expectOk(['losetup', '--detach', device]);
  }
}

describe('where the card is', () => {
  const files = formats['Raspberry Pi OS Trixie'] ?? {};
  const hook = expect.stringContaining('# mycel') as unknown;

  it('a GPT image: the boot partition is found, and nothing outside it changes', async () => {
    image = await createCardImage(files, 36, 'gpt');
    const before = await image.digests();
    const done = await flash(image.path);
    expect(done).toMatchObject({ code: 0, stderr: '' });
    expect(await image.read('vendor-data')).toEqual(hook);
    expect((await image.digests()).outside).toBe(before.outside);
  });

  it.each(['dos', 'gpt'] as const)('a whole device with a table of kind %s', async (table) => {
    const card = await createCardImage(files, 36, table);
    image = card;
    const before = await card.digests();
    await withDevice(card.path, async (device) => {
      expect(await flash(device)).toMatchObject({ code: 0, stderr: '' });
    });
    expect(await card.read('vendor-data')).toEqual(hook);
    expect(await card.read('mycel/SHA256SUMS')).toContain('mycel.tgz');
    expect((await card.digests()).outside).toBe(before.outside);
  });
});

describe.each(Object.keys(formats))('an image of %s', (format) => {
  const files = formats[format] ?? {};

  it('gets mycel and the hook of its format, and starts it on the board', async () => {
    const card = await make(files);
    const before = await card.digests();
    const done = await flash(card.path, flagsOf[format]);
    expect(done).toMatchObject({ code: 0, stderr: '' });
    expect((await card.digests()).outside).toBe(before.outside);
    for (const [name, text] of Object.entries(files)) {
      if (!(ours[format] ?? []).includes(name)) expect(await card.read(name), name).toBe(text);
    }
    expect(await card.read('mycel/invite')).toBe(invite);
    expect(await card.read('mycel/card.conf')).toMatch(
      /\nMYCEL_NAME=porch\nFLASH_ID=[0-9a-f]{16}\n$/,
    );
    const board = await createBoard();
    try {
      await card.extract(board.card);
      const sums = await board.run([
        'sh',
        '-c',
        'cd /boot/firmware/mycel && sha256sum -c SHA256SUMS',
      ]);
      expect(sums.stdout.match(/: OK\n/g)).toHaveLength(7);
      const started = await board.run(['sh', '-c', starters[format] ?? 'false']);
      expect(started).toMatchObject({ code: 0, stderr: '' });
      const enabled = await board.run(['systemctl', 'is-enabled', 'mycel-firstboot']);
      expect(enabled.stdout).toBe('enabled\n');
      // What the owner asked for still happens.
      for (const mark of ['user-was-here', 'imager-was-here']) {
        const script = Object.values(files).join('').includes(mark) && !('user-data' in files);
        if (script) expect(board.has(`/${mark}`), mark).toBe(true);
      }
    } finally {
      await board.remove();
    }
  });

  it('is the same after a second time, but for the id of the flashing', async () => {
    const card = await make(files);
    await flash(card.path, flagsOf[format]);
    const once = await Promise.all((ours[format] ?? []).map((name) => card.read(name)));
    const conf = await card.read('mycel/card.conf');
    expect(await flash(card.path, flagsOf[format])).toMatchObject({ code: 0 });
    expect(await Promise.all((ours[format] ?? []).map((name) => card.read(name)))).toEqual(once);
    expect(await card.read('mycel/card.conf')).not.toBe(conf);
  });
});

describe('flash.sh', () => {
  it('changes no bit of the image with --dry-run, or when nobody is there to say yes', async () => {
    const card = await make(formats['Raspberry Pi OS Trixie'] ?? {});
    const before = await card.digests();
    const dry = await flash(card.path, ['--dry-run']);
    expect(dry).toMatchObject({ code: 0, stderr: '' });
    expect(dry.stdout).toContain('cloud-init, name porch, with an invite\n');
    expect(dry.stdout).toContain('  write vendor-data\n');
    const unasked = await flash(card.path, []);
    expect(unasked).toMatchObject({ code: 1 });
    expect(unasked.stderr).toContain('nobody is there to be asked');
    expect(await card.digests()).toEqual(before);
  });

  it('adds its command to a preseed without a runcmd, with an empty one, and with one in front of others', async () => {
    for (const toml of [
      '[system]\nhostname = "a"\n',
      '[runcmd]\nlate = []\n[wlan]\n',
      '[runcmd]\nlate_retries = 5\n\n[wlan]\nssid = "[runcmd]"\n',
      '[runcmd]\nlate = ["true"] # mine\n',
      '',
    ]) {
      const card = await make({ 'rpi-preseed.toml': toml });
      expect(await flash(card.path)).toMatchObject({ code: 0, stderr: '' });
      const read = 'import sys, tomllib, json; print(json.dumps(tomllib.loads(sys.stdin.read())))';
      const parsed = await runCommand(['python3', '-c', read], {
        input: (await card.read('rpi-preseed.toml')) ?? '',
      });
      const { runcmd } = JSON.parse(parsed.stdout) as { runcmd: { late: string[] } };
      expect(runcmd.late[0], toml).toBe('sh /boot/firmware/mycel/firstboot.sh --stage1');
      await card.remove();
    }
  });

  it('puts its line where Bookworm does not cut it off, and before any early exit', async () => {
    const card = await make({
      ...formats['Raspberry Pi OS Bookworm, customised'],
      'firstrun.sh': firstrun.replace('rm -f', 'echo rm -f x\nrm -f'),
    });
    await flash(card.path);
    const lines = ((await card.read('firstrun.sh')) ?? '').split('\n');
    const hook = lines.findIndex((line) => line.endsWith('# mycel'));
    const cut = lines.findIndex((line) => /rm.*firstrun\.sh$/.test(line));
    expect(hook).toBeGreaterThan(lines.indexOf('touch /imager-was-here'));
    expect(hook).toBeLessThan(cut);
  });

  it('writes to a mounted boot partition as well, with room for what the image needs', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'mycel-card-'));
    for (const [name, text] of Object.entries(formats['DietPi'] ?? {})) {
      writeFileSync(join(directory, name), text);
    }
    const bundle = ['--yes', '--bundle', shipped.bundle];
    expect(await flash(directory, bundle)).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(join(directory, 'mycel/invite'), 'utf8')).toBe(invite);
    await rm(directory, { recursive: true });
  });
});

describe('flash.sh refuses', () => {
  const trixie = formats['Raspberry Pi OS Trixie'] ?? {};
  const cards: readonly (readonly [
    string,
    Readonly<Record<string, string>>,
    readonly string[],
    RegExp,
  ])[] = [
    [
      'a card of a system it does not know',
      { 'readme.txt': 'x' },
      [],
      /does not look like the boot partition/,
    ],
    [
      'a cmdline.txt of two lines',
      { ...trixie, 'cmdline.txt': 'a\nb\n' },
      [],
      /more than one line/,
    ],
    [
      "somebody else's vendor-data",
      { ...trixie, 'vendor-data': '#cloud-config\npackages: [vim]\n' },
      [],
      /not from mycel/,
    ],
    [
      'a user-data that switches vendor-data off',
      { ...trixie, 'user-data': '#cloud-config\nvendor_data:\n  enabled: false\n' },
      [],
      /switches vendor-data off/,
    ],
    [
      'a firstrun.sh that nothing runs',
      { ...formats['Raspberry Pi OS Bookworm, customised'], 'cmdline.txt': 'root=x\n' },
      [],
      /cmdline\.txt does not run it/,
    ],
    [
      'a preseed it does not understand',
      { 'rpi-preseed.toml': 'runcmd.late = ["x"]\n' },
      [],
      /does not understand/,
    ],
    [
      'an automation script that is no shell',
      { 'dietpi.txt': '', 'Automation_Custom_Script.sh': '#!/usr/bin/python3\n' },
      [],
      /not a shell script/,
    ],
    ['an invite that is none', trixie, ['--invite', 'hello'], /not an invite/],
    [
      'a name that would break the settings',
      trixie,
      ['--name', 'a"b'],
      /a character that the card cannot carry/,
    ],
    ['a program that is none', trixie, ['--bundle', '/etc/hostname'], /not the mycel program/],
    ['a Node.js that is none', trixie, ['--node', '/etc/hostname'], /not named like a tarball/],
    ['a format it does not know', trixie, ['--format', 'bios'], /no format bios/],
  ];
  it.each(cards)('%s, and changes nothing', async (_, files, flags, reason) => {
    const card = await make(files);
    const before = await card.digests();
    const { code, stderr } = await flash(card.path, ['--yes', ...flags]);
    expect([code, stderr]).toEqual([1, expect.stringMatching(reason)]);
    expect(stderr).toMatch(/^mycel flash: .+\n {2}next: .+\n$/);
    expect(await card.digests()).toEqual(before);
  });

  it('a full card, and changes nothing', async () => {
    const card = await make(trixie);
    const before = await card.digests();
    const large = join(shipped.directory, 'large-0.2.0.tgz');
    const files = { 'dist/parts/ONE.mjs': randomBytes(smallMib * 1024 * 1024) };
    writeFileSync(large, packPackage({ files }));
    const { code, stderr } = await flash(card.path, ['--yes', '--bundle', large]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/the boot partition has \d+ KiB free, \d+ are needed/);
    expect(await card.digests()).toEqual(before);
  });

  const images: readonly (readonly [string, (path: string) => void, RegExp])[] = [
    ['a file that is no image', (path) => writeFileSync(path, 'hello'), /no partition table/],
    ['an empty file', (path) => writeFileSync(path, ''), /no partition table/],
    [
      'an image without a boot partition',
      (path) => {
        const bytes = readFileSync(path);
        bytes[450] = 0x83;
        writeFileSync(path, bytes);
      },
      /no FAT boot partition/,
    ],
    [
      'an image whose boot partition is cut off',
      (path) => writeFileSync(path, readFileSync(path).subarray(0, 4096)),
      /no FAT boot partition/,
    ],
    [
      'an image that says GPT and has none',
      (path) => {
        const bytes = readFileSync(path);
        bytes[450] = 0xee;
        writeFileSync(path, bytes);
      },
      /no FAT boot partition/,
    ],
  ];
  it.each(images)('%s', async (_, spoil, reason) => {
    const card = await make(trixie);
    spoil(card.path);
    const { code, stderr } = await flash(card.path);
    expect([code, stderr]).toEqual([1, expect.stringMatching(reason)]);
    expect(stderr).toMatch(/\n {2}next: .+\n$/);
  });

  it('a device whose file system is in use, and changes nothing', async () => {
    const card = await make(trixie);
    const disk = join(card.directory, 'disk');
    await expectOk(['mke2fs', '-q', '-t', 'ext4', disk, '16M']);
    await withDevice(disk, async (device) => {
      const place = join(card.directory, 'place');
      mkdirSync(place);
      await expectOk(['mount', device, place]);
      try {
        const { code, stderr } = await flash(device);
        expect([code, stderr]).toEqual([1, expect.stringContaining(`is in use: ${place}`)]);
        expect(readdirSync(place)).toEqual(['lost+found']);
      } finally {
        await expectOk(['umount', place]);
      }
    });
  });

  it('a compressed image, a target that is not there, two targets, none', async () => {
    writeFileSync(join(shipped.directory, 'a.img.xz'), 'x');
    expect((await flash(join(shipped.directory, 'a.img.xz'))).stderr).toContain('unxz');
    expect((await flash('/none')).stderr).toContain('there is no /none');
    expect((await flash('/a', ['/b'])).stderr).toContain('more than one target');
    expect(
      (await runCommand(['sh', join(projectRoot, 'firmware-scripts/flash.sh')])).stderr,
    ).toContain('no target');
  });

  describe('on the computer it runs on', () => {
    let board: Board;
    beforeEach(async () => {
      board = await createBoard();
      for (const [name, text] of Object.entries(trixie))
        writeFileSync(join(board.card, name), text);
      mkdirSync(board.file('/opt'), { recursive: true });
      cpSync(join(projectRoot, 'firmware-scripts'), board.file('/opt/scripts'), {
        recursive: true,
      });
    });
    afterEach(() => board.remove());

    it.each([
      ['its own boot partition', '/boot/firmware', /where this computer starts from/],
      ['the same by another name', '/run/other', /where this computer starts from/],
      ['its root', '/', /where this computer starts from/],
      ['a device that cannot be read', '/run/disk', /no partition table/],
      ['a locked card', '/run/locked', /not writable/],
    ])('%s', async (_, target, reason) => {
      const { code, stderr } = await board.run([
        'sh',
        '-c',
        `ln -s /boot/firmware /run/other; mknod /run/disk b 250 0
         mkdir /run/locked; mount -t tmpfs tmpfs /run/locked; mount -o remount,ro /run/locked
         sh /opt/scripts/flash.sh --yes ${target}`,
      ]);
      expect([code, stderr]).toEqual([1, expect.stringMatching(reason)]);
    });
  });
});
