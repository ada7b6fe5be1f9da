/** Images like those that are sold: a partition table, a FAT boot partition with the files of one format, a second partition. */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { runCommand } from '../process.ts';

const gptLoader = '21686148-6449-6E6F-744E-656564454649';
const gptBasic = 'EBD0A0A2-B9E5-4433-87C0-68B6B72699C7';
const gptLinux = '0FC63DAF-8483-4772-8E79-3D69D8477DE4';

/** Where the boot partition begins, in bytes. */
const bootOffset = 4 * 1024 * 1024;

const cmdline = 'console=serial0,115200 console=tty1 root=PARTUUID=deadbeef-02 rootwait';
const common = { 'config.txt': 'arm_64bit=1\n', 'cmdline.txt': `${cmdline}\n` };

/** As Raspberry Pi Imager writes it for Bookworm. */
export const firstrun = `#!/bin/bash

set +e

CURRENT_HOSTNAME=$(cat /etc/hostname | tr -d " \\t\\n\\r")
touch /imager-was-here
rm -f /boot/firstrun.sh
sed -i 's| systemd.run.*||g' /boot/cmdline.txt
exit 0
`;

/** The files of each format. */
export const formats: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'Raspberry Pi OS Trixie': {
    ...common,
    'issue.txt': 'Raspberry Pi reference 2026-06-18\n',
    'meta-data': 'dsmode: local\ninstance_id: rpios-image\n',
    'user-data': '#cloud-config\nhostname: porch\nruncmd:\n  - [touch, /user-was-here]\n',
    'network-config': 'network:\n  version: 2\n  ethernets: {eth0: {dhcp4: true}}\n',
  },
  Ubuntu: {
    'cmdline.txt': 'console=tty1 root=LABEL=writable rootwait\n',
    'config.txt': '[all]\nkernel=vmlinuz\n',
    'meta-data': 'instance-id: nocloud\n',
    'user-data': '#cloud-config\nchpasswd: {expire: true}\n',
    'network-config': 'version: 2\n',
  },
  'Raspberry Pi OS Bookworm, customised': {
    ...common,
    'issue.txt': 'Raspberry Pi reference 2024-11-19\n',
    'cmdline.txt': `${cmdline} systemd.run=/boot/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target\n`,
    'firstrun.sh': firstrun,
  },
  'Raspberry Pi OS Bookworm, bare': {
    ...common,
    'issue.txt': 'Raspberry Pi reference 2024-11-19\n',
  },
  'rpi-preseed': {
    ...common,
    'rpi-preseed.toml':
      '[system]\nhostname = "porch"\n\n[runcmd]\nearly = ["true"]\nlate = [\n  "touch /user-was-here",\n]\n\n[wlan]\nssid = "home"\n',
  },
  DietPi: {
    ...common,
    'dietpi.txt': 'AUTO_SETUP_AUTOMATED=1\n',
    'Automation_Custom_Script.sh': '#!/bin/bash\ntouch /user-was-here\nexit 0\n',
  },
  'something else': { 'extlinux.conf': 'default linux\n' },
};

/** An image file, gone with `remove`. */
export interface CardImage {
  readonly directory: string;
  readonly path: string;
  /** A file of the boot partition, or undefined. */
  read(name: string): Promise<string | undefined>;
  /** Copies the whole boot partition into a directory. */
  extract(directory: string): Promise<void>;
  /** A digest of everything outside the boot partition, and one of the whole. */
  digests(): Promise<{ readonly outside: string; readonly whole: string }>;
  /** A copy of it elsewhere. */
  at(path: string): CardImage;
  remove(): Promise<void>;
}

/** Makes one. `mib` is the size of its boot partition. */
export async function createCardImage(
  files: Readonly<Record<string, string>>,
  mib = 36,
  table: 'dos' | 'gpt' = 'dos',
): Promise<CardImage> {
  // In memory, where there is such a place: every flashing waits for the disk, and whoever else writes to it.
  const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const directory = await mkdtemp(join(place, 'mycel-image-'));
  const path = join(directory, 'card.img');
  const run = async (argv: readonly string[], input = ''): Promise<string> => {
    const { code, stdout, stderr } = await runCommand(argv, { input });
    if (code !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
    return stdout;
  };
  await writeFile(path, '');
  await truncate(path, bootOffset + (mib + 4) * 1024 * 1024);
  const start = bootOffset / 512;
  const second = start + mib * 2048;
  const tables = {
    dos: `label: dos\nlabel-id: 0xdeadbeef\nstart=${start}, size=${mib * 2048}, type=c\nstart=${second}, size=4096, type=83\n`,
    // Something without a file system comes first, as the loader of some boards does.
    gpt: `label: gpt\nstart=2048, size=2048, type=${gptLoader}\nstart=${start}, size=${mib * 2048}, type=${gptBasic}\nstart=${second}, size=4096, type=${gptLinux}\n`,
  };
  await run(['sfdisk', '-q', path], tables[table]);
  const fat = ['mkfs.vfat', '-n', 'bootfs', '--offset', String(start), path, String(mib * 1024)];
  await run(fat);
  const at = `${path}@@${bootOffset}`;
  for (const [name, text] of Object.entries(files)) {
    const from = join(directory, 'files', name);
    await mkdir(dirname(from), { recursive: true });
    await writeFile(from, text);
    await run(['mcopy', '-i', at, from, `::/${name}`]);
  }
  return imageAt(directory, path, second * 512);
}

function imageAt(directory: string, path: string, bootEnd: number): CardImage {
  const at = `${path}@@${bootOffset}`;
  const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
  return {
    directory,
    path,
    async read(name) {
      const to = join(directory, `read-${name.replaceAll('/', '-')}`);
      const { code } = await runCommand(['mcopy', '-n', '-o', '-i', at, `::/${name}`, to]);
      return code === 0 ? readFile(to, 'utf8') : undefined;
    },
    async extract(to) {
      const { code, stderr } = await runCommand(['mcopy', '-s', '-n', '-i', at, '::/', to]);
      if (code !== 0) throw new Error(stderr);
    },
    async digests() {
      const bytes = await readFile(path);
      const outside = Buffer.concat([bytes.subarray(0, bootOffset), bytes.subarray(bootEnd)]);
      return { outside: digest(outside), whole: digest(bytes) };
    },
    at: (copy) => imageAt(directory, copy, bootEnd),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}
