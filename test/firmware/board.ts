/**
 * A board without a board: this machine's Debian under an overlay, in namespaces of its own, with a boot partition.
 * Everything in it is real (users, systemd as process 1, the kernel's sandbox); killing its process 1 is the power cut.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

import { vi } from 'vitest';

import { runCommand, type Finished } from '../process.ts';

/** A switched-off board. */
export interface Board {
  /** The boot partition, on this machine; the board has it at /boot/firmware. */
  readonly card: string;
  /** Where a file of the board lies on this machine, once the board has written it. */
  file(path: string): string;
  /** Whether the board has this file or link of its own. */
  has(path: string): boolean;
  read(path: string): string;
  /** Copies a file of this machine onto the board. */
  give(from: string, path: string): Promise<void>;
  /** Runs one command in the switched-off root file system, without a network. */
  run(argv: readonly string[], options?: RunOptions): Promise<Finished>;
  /** Switches it on. */
  boot(options?: BootOptions): Promise<BootedBoard>;
  remove(): Promise<void>;
}

/** How one command runs. */
interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Paths that are read-only while it runs. */
  readonly readOnly?: readonly string[];
  /** Longest time it may take, in ms. */
  readonly ms?: number;
}

/** How a board starts. */
interface BootOptions {
  /** The network namespace it is in (`ip netns`); without it a new one with nothing in it. */
  readonly netns?: string;
  /** What becomes process 1. @default systemd */
  readonly init?: readonly [program: string, ...args: string[]];
}

/** A running board. */
export interface BootedBoard {
  /** Runs one command in it, for 30 s at most unless told otherwise. */
  run(argv: readonly string[], ms?: number): Promise<Finished>;
  /** Waits until the command's output fits. */
  until(argv: readonly string[], fits: RegExp): Promise<string>;
  cutPower(): Promise<void>;
}

/** Longest wait for something to happen on a board, in ms. */
const waitMs = 25_000;

/** systemd's programs colour and link even what goes into a pipe. */
const plain = { SYSTEMD_COLORS: '0', SYSTEMD_URLIFY: '0', SYSTEMD_PAGER: '' };

/** The root under the overlay; `MYCEL_BOARD_ROOT` names that of another Debian, as debootstrap makes it. */
const baseRoot = process.env['MYCEL_BOARD_ROOT'] ?? '/';

/** The kernel's file systems, a few devices, and the root made of the overlay. Arguments: home, read-only paths. */
const assemble = `
set -e
home=$1; m=$home/root
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=${baseRoot},upperdir=$home/upper,workdir=$home/work" "$m"
mount -t proc proc "$m/proc"
mount -t sysfs sysfs "$m/sys"
mount -t tmpfs -o mode=755 tmpfs "$m/run"
mount -t tmpfs -o mode=1777 tmpfs "$m/tmp"
mount -t tmpfs -o mode=755 tmpfs "$m/dev"
mkdir "$m/dev/pts" "$m/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$m/dev/pts"; ln -s pts/ptmx "$m/dev/ptmx"
for d in null zero full random urandom tty; do touch "$m/dev/$d"; mount --bind "/dev/$d" "$m/dev/$d"; done
mkdir -p "$m/boot/firmware"
mount --bind "$home/card" "$m/boot/firmware"
for path in $2; do mount --bind "$m$path" "$m$path"; mount -o remount,bind,ro "$m$path"; done
shift 2
`;

const systemd = [
  '/lib/systemd/systemd',
  '--log-target=journal-or-kmsg',
  '--show-status=no',
] as const;

/** systemd needs a tree of control groups to keep its services in; either version will do. */
const startInit = `
mount -t tmpfs -o mode=755 cgroup "$m/sys/fs/cgroup"
mkdir "$m/sys/fs/cgroup/systemd"
if ! mount -t cgroup -o none,name=systemd cgroup "$m/sys/fs/cgroup/systemd"; then
  rmdir "$m/sys/fs/cgroup/systemd"; umount "$m/sys/fs/cgroup"; mount -t cgroup2 cgroup2 "$m/sys/fs/cgroup"
fi
cd "$m"; mkdir -p run/before; pivot_root . run/before; umount -l /run/before
exec env -i container=mycel-test PATH="$PATH" "$@"
`;

/** A fresh board: this machine's packages, none of its services, and no mycel. */
export async function createBoard(): Promise<Board> {
  // An overlay cannot lie on an overlay, which a container's /tmp may be.
  const home = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'mycel-board-'));
  for (const name of ['upper', 'work', 'root', 'card']) await mkdir(join(home, name));
  const file = (path: string): string => join(home, 'upper', path);
  const has = (path: string): boolean => existsSync(file(path));
  const run = (argv: readonly string[], options: RunOptions = {}): Promise<Finished> => {
    const script = `${assemble} exec chroot "$m" "$@"`;
    const readOnly = (options.readOnly ?? []).join(' ');
    const apart = ['unshare', '--mount', '--pid', '--net', '--uts', '--fork', '--kill-child'];
    return runCommand([...apart, 'sh', '-c', script, 'sh', home, readOnly, ...argv], {
      env: { ...plain, ...options.env },
      ...(options.ms === undefined ? {} : { ms: options.ms }),
    });
  };
  const board: Board = {
    card: join(home, 'card'),
    file,
    has,
    read: (path) => readFileSync(file(path), 'utf8'),
    async give(from, path) {
      await mkdir(dirname(file(path)), { recursive: true });
      await cp(from, file(path), { recursive: true });
    },
    run,
    boot: (options) => boot(home, options),
    remove: () => rm(home, { recursive: true, force: true }),
  };
  const cleaned = await run([
    'sh',
    '-ec',
    `rm -rf /etc/systemd/system /lib/systemd/system/multi-user.target.wants /usr/local/lib/mycel /usr/local/bin/mycel \
      /var/lib/mycel /var/lib/mycel-firstboot /etc/mycel /etc/sysusers.d/mycel.conf /var/log/journal
     sed -i /^mycel:/d /etc/passwd /etc/group /etc/shadow
     mkdir -p /etc/systemd/system
     ln -s /lib/systemd/system/multi-user.target /etc/systemd/system/default.target
     # What only a machine with hardware needs.
     for unit in systemd-udevd systemd-udev-trigger systemd-modules-load systemd-sysctl systemd-random-seed \
       systemd-networkd-wait-online systemd-timesyncd systemd-remount-fs; do
       ln -s /dev/null /etc/systemd/system/$unit.service
     done
     tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id; : >/etc/fstab`,
  ]);
  if (cleaned.code !== 0) throw new Error(`no board here (root is needed): ${cleaned.stderr}`);
  return board;
}

async function boot(home: string, options: BootOptions = {}): Promise<BootedBoard> {
  const { netns, init = systemd } = options;
  const network =
    netns === undefined ? ['unshare', '--net'] : ['ip', 'netns', 'exec', netns, 'unshare'];
  const [command, ...args] = [...network, '--mount', '--pid', '--cgroup', '--uts', '--ipc'];
  const script = `${assemble}${startInit}`;
  const child = spawn(
    command,
    [...args, '--fork', '--kill-child', 'sh', '-c', script, 'sh', home, '', ...init],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4000)));
  const first = await firstProcess(child, basename(init[0]), () => said);
  const run = (argv: readonly string[], ms = 30_000): Promise<Finished> =>
    runCommand(['nsenter', '--target', String(first), '--all', '--root', '--wd', '--', ...argv], {
      env: plain,
      ms,
    });
  return {
    run,
    until: (argv, fits) =>
      vi.waitFor(
        async () => {
          const { stdout, stderr } = await run(argv);
          if (fits.test(stdout)) return stdout;
          throw new Error(`${argv.join(' ')} said: ${stdout}${stderr}\nprocess 1: ${said}`);
        },
        { timeout: waitMs, interval: 100 },
      ),
    async cutPower() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'close');
      process.kill(first, 'SIGKILL');
      await gone;
    },
  };
}

/** The process that is number 1 inside; the first process that the outer one has. */
function firstProcess(child: ChildProcess, wanted: string, said: () => string): Promise<number> {
  return vi.waitFor(
    () => {
      const pid = String(child.pid);
      const [only] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
      const name =
        only === undefined || only === '' ? '' : readFileSync(`/proc/${only}/comm`, 'utf8');
      if (name.trim() !== wanted) throw new Error(`the board does not start: ${said()}`);
      return Number(only);
    },
    { timeout: waitMs, interval: 20 },
  );
}
