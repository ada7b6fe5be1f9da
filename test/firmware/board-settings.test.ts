/** Host name, user, key and Wi-Fi: from the options of flash.sh, over the card, to what the board's own programs read. */

import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { runCommand, type Finished } from '../process.ts';
import { createBoard, type Board } from './board.ts';
import { formats } from './card-image.ts';
import { packPackage } from '../update-package.ts';
import { flashCard, projectRoot } from './package.ts';

const key = `ssh-ed25519 ${'A'.repeat(68)} me@laptop`;
const password = ' p"a\\ss w0rd ';
const ssid = 'Müllers "Garten"';

/** What the program does is not looked at here. */
let tarball: string;
let home: string;
let board: Board;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mycel-settings-'));
  writeFileSync(join(home, 'key.pub'), `${key}\n`);
  writeFileSync(join(home, 'password'), `${password}\n`);
  tarball = join(home, 'mycel-0.2.0.tgz');
  writeFileSync(tarball, packPackage({ files: { 'dist/parts/ONE.mjs': 'export {};\n' } }));
});
afterAll(() => rm(home, { recursive: true, force: true }));

const settings = (): string[] => [
  '--hostname',
  'attic',
  '--user',
  'ann',
  '--ssh-key',
  join(home, 'key.pub'),
  '--wifi',
  ssid,
  '--wifi-password-file',
  join(home, 'password'),
  '--wifi-country',
  'DE',
];

describe('the first boot', () => {
  beforeEach(async () => {
    board = await createBoard();
    for (const [name, text] of Object.entries(formats['Raspberry Pi OS Trixie'] ?? {})) {
      writeFileSync(join(board.card, name), text);
    }
    await flashCard({ tarball }, board.card, settings());
  });
  afterEach(() => board.remove());

  /** Stage 1 as the hook starts it, on a system that has these directories. */
  async function prepare(directories: string): Promise<Finished> {
    const run = `mkdir -p ${directories}; sh /boot/firmware/mycel/firstboot.sh --stage1`;
    const done = await board.run(['sh', '-c', run]);
    expect(done).toMatchObject({ code: 0, stderr: '' });
    return done;
  }

  it('names the board, and lets the user in by key alone', async () => {
    await prepare('/etc/NetworkManager/system-connections /etc/sudoers.d /etc/cloud/cloud.cfg.d');
    expect(board.read('/etc/hostname')).toBe('attic\n');
    expect(board.read('/etc/hosts')).toContain('127.0.1.1\tattic\n');
    expect(board.read('/etc/cloud/cloud.cfg.d/98_mycel.cfg')).toBe('preserve_hostname: true\n');
    expect(board.read('/home/ann/.ssh/authorized_keys')).toBe(`${key}\n`);
    expect(statSync(board.file('/home/ann/.ssh/authorized_keys')).mode & 0o777).toBe(0o600);
    expect(statSync(board.file('/home/ann/.ssh')).mode & 0o777).toBe(0o700);
    const owner = await board.run(['stat', '-c', '%U', '/home/ann/.ssh/authorized_keys']);
    expect(owner.stdout).toBe('ann\n');
    expect(board.read('/etc/sudoers.d/010-mycel-ann')).toBe('ann ALL=(ALL) NOPASSWD: ALL\n');
    expect((await board.run(['passwd', '-S', 'ann'])).stdout).toMatch(/^ann L /);
  });

  it('hands the Wi-Fi to NetworkManager, and takes the password off the card', async () => {
    await prepare('/etc/NetworkManager/system-connections');
    const path = '/etc/NetworkManager/system-connections/mycel-wifi.nmconnection';
    expect(statSync(board.file(path)).mode & 0o777).toBe(0o600);
    const lines = board.read(path).split('\n');
    expect(lines).toContain(`ssid=${ssid}`);
    // GKeyFile: a blank at either end and a backslash are written out.
    expect(lines).toContain(String.raw`psk=\sp"a\\ss w0rd\s`);
    expect(board.read('/etc/modprobe.d/mycel-wifi.conf')).toContain('ieee80211_regdom=DE');
    const left = await board.run(['sh', '-c', 'grep -rl w0rd /boot/firmware /var/lib || true']);
    expect(left.stdout).toBe('');
  });

  it('hands it to netplan where there is no NetworkManager', async () => {
    await prepare('/etc/netplan');
    const path = '/etc/netplan/60-mycel-wifi.yaml';
    expect(statSync(board.file(path)).mode & 0o777).toBe(0o600);
    const script = 'import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))';
    const { stdout } = await runCommand(['/usr/bin/python3', '-c', script], {
      input: board.read(path),
    });
    expect(JSON.parse(stdout)).toMatchObject({
      network: { wifis: { wlan0: { dhcp4: true, 'access-points': { [ssid]: { password } } } } },
    });
  });

  it('hands it to wpa_supplicant where there is neither', async () => {
    await prepare('/etc/wpa_supplicant');
    const text = board.read('/etc/wpa_supplicant/wpa_supplicant-wlan0.conf');
    expect(text).toContain('country=DE\n');
    expect(text).toContain(String.raw`psk=" p\"a\\ss w0rd "`);
  });

  it('says on the card that an image without any of them needs a cable', async () => {
    await prepare('/run/x');
    const status = (): string => readFileSync(join(board.card, 'mycel/status.txt'), 'utf8');
    expect(status()).toContain('no program here can join a Wi-Fi: use a cable');
    // The whole work, on a board without any network.
    const work =
      'ln -s "$1" /usr/local/bin/node; MYCEL_NETWORK_WAIT=1 sh /boot/firmware/mycel/firstboot.sh';
    const done = await board.run(['sh', '-c', work, 'sh', process.execPath]);
    expect(done).toMatchObject({ code: 0 });
    expect(status()).toMatch(
      /^mycel: no network: the Wi-Fi .* was not joined, the image has neither NetworkManager.*\r\nnext: {2}Flash the card again/,
    );
  });

  it.each([
    ['7 (Secrets were required, but not provided)', 'its password is wrong'],
    ['53 (The Wi-Fi network could not be found)', 'it is not in reach, or has another name'],
    ['0 (No reason given)', 'it did not answer'],
  ])('says on the card why the Wi-Fi was not joined: %s', async (said, why) => {
    await prepare('/etc/NetworkManager/system-connections');
    // A test machine has no Wi-Fi to try it on: these are the words of NetworkManager, which is all that is looked at.
    const work = `ln -s "$1" /usr/local/bin/node; printf '#!/bin/sh\necho "%s"\n' "$2" >/usr/local/bin/nmcli
      chmod 755 /usr/local/bin/nmcli; MYCEL_NETWORK_WAIT=0 sh /boot/firmware/mycel/firstboot.sh`;
    const done = await board.run(['sh', '-c', work, 'sh', process.execPath, said]);
    expect(done).toMatchObject({ code: 0 });
    const status = readFileSync(join(board.card, 'mycel/status.txt'), 'utf8');
    expect(status.split('\r\n').slice(0, 2)).toEqual([
      `mycel: no network: the Wi-Fi ${ssid} was not joined, ${why}.`,
      expect.stringContaining('next:  Flash the card again with the right --wifi'),
    ]);
  });

  it('does it once: what the owner changes later stays', async () => {
    await prepare('/etc/NetworkManager/system-connections');
    writeFileSync(
      board.file('/etc/NetworkManager/system-connections/mycel-wifi.nmconnection'),
      'mine\n',
    );
    await prepare('/etc/NetworkManager/system-connections');
    expect(board.read('/etc/NetworkManager/system-connections/mycel-wifi.nmconnection')).toBe(
      'mine\n',
    );
  });
});

describe('flash.sh', () => {
  const flash = (target: string, flags: readonly string[]): Promise<Finished> =>
    runCommand([
      'sh',
      join(projectRoot, 'firmware-scripts/flash.sh'),
      '--bundle',
      tarball,
      '--yes',
      ...flags,
      target,
    ]);

  it('puts the unit straight into the root file system of an Armbian card', async () => {
    const root = join(home, 'armbian');
    for (const path of ['etc/systemd/system', 'boot'])
      mkdirSync(join(root, path), { recursive: true });
    writeFileSync(join(root, 'etc/armbian-release'), 'BOARD=orangepi\n');
    expect(await flash(root, settings())).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(join(root, 'boot/mycel/card.conf'), 'utf8')).toContain('HOST_NAME=attic\n');
    expect(statSync(join(root, 'boot/mycel')).mode & 0o777).toBe(0o700);
    const unit = 'etc/systemd/system/mycel-firstboot.service';
    expect(readFileSync(join(root, unit), 'utf8')).toBe(
      readFileSync(join(projectRoot, 'firmware-scripts/mycel-firstboot.service'), 'utf8'),
    );
  });

  it('makes a seed disk for cloud images, whose secrets move to the machine', async () => {
    const seed = join(home, 'seed.img');
    const invite = `mycel:1:${'b'.repeat(60)}`;
    expect(await flash(seed, ['--format', 'nocloud', '--invite', invite])).toMatchObject({
      code: 0,
      stderr: '',
    });
    const at = async (name: string): Promise<string> =>
      (await runCommand(['mtype', '-i', seed, `::/${name}`])).stdout;
    writeFileSync(join(home, 'user-data'), await at('user-data'));
    const checked = await runCommand(['cloud-init', 'schema', '-c', join(home, 'user-data')]);
    expect(checked).toMatchObject({ code: 0 });
    expect(await at('meta-data')).toMatch(/^instance-id: mycel-[0-9a-f]{16}\n$/);
    // The kernel of a test machine may know no FAT; what the hook asks for is the label.
    const disk = join(home, 'disk.img');
    const copy =
      'mkdir "$2"; mcopy -s -n -i "$1" ::/ "$2"; truncate -s 32M "$3"; mkfs.ext4 -q -L CIDATA -d "$2" "$3"';
    const copied = await runCommand(['sh', '-ec', copy, 'sh', seed, join(home, 'seed'), disk]);
    expect(copied).toMatchObject({ code: 0 });
    board = await createBoard();
    const loop = (await runCommand(['losetup', '-f', '--show', disk])).stdout.trim();
    try {
      const start = `mknod ${loop} b 7 ${loop.replace('/dev/loop', '')}
        sed 1d /root/vendor-data >/run/hook; sh /run/hook; mount -L CIDATA /mnt; ls /mnt/mycel`;
      await board.give(join(home, 'seed/vendor-data'), '/root/vendor-data');
      const done = await board.run(['sh', '-c', start]);
      expect(done).toMatchObject({ code: 0, stderr: '' });
      expect(done.stdout).toContain('firstboot.sh\n');
      expect(done.stdout).not.toContain('invite');
      expect(board.read('/boot/mycel/invite')).toBe(invite);
      const enabled = await board.run(['systemctl', 'is-enabled', 'mycel-firstboot']);
      expect(enabled.stdout).toBe('enabled\n');
    } finally {
      await runCommand(['losetup', '-d', loop]);
      await board.remove();
    }
  });

  it.each([
    [['--hostname', 'a_b'], /no host name/],
    [['--user', 'root', '--ssh-key', '/x'], /no name for a user/],
    [['--user', 'ann'], /a user needs a key/],
    [['--user', 'ann', '--ssh-key', '/etc/hostname'], /holds no public key/],
    [['--wifi-country', 'DE'], /but no Wi-Fi/],
    [['--wifi', 'a'.repeat(33)], /longer than 32 bytes/],
    [['--wifi', 'home', '--wifi-country', 'Germany'], /no country/],
    [['--wifi', 'home', '--wifi-password-file', '/etc/hostname'], /not one of WPA/],
    [['--offline'], /--offline without Node\.js/],
  ])('refuses %j, and writes nothing', async (flags, reason) => {
    const card = await mkdtemp(join(home, 'card-'));
    for (const [name, text] of Object.entries(formats['DietPi'] ?? {})) {
      writeFileSync(join(card, name), text);
    }
    writeFileSync(join(home, 'short'), 'x\n');
    const given = flags.map((flag) => (flag === '/etc/hostname' ? join(home, 'short') : flag));
    const { code, stderr } = await flash(card, given);
    expect([code, stderr]).toEqual([1, expect.stringMatching(reason)]);
    expect(stderr).toMatch(/\n {2}next: .+\n$/);
    expect(() => statSync(join(card, 'mycel'))).toThrow();
  });
});
