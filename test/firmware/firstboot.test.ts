/** The first boot: from a flashed card to a member, through power cuts, clones, bad cards and second flashings. */

import { appendFileSync, cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { runCommand, startCommand, type Finished, type Program } from '../process.ts';
import { createBoard, type Board, type BootedBoard } from './board.ts';
import { createLan, type Lan } from './lan.ts';
import { flashCard, shipMycel, type Shipped } from './package.ts';

let shipped: Shipped;
const invite = `mycel:1:${'a'.repeat(60)}`;

beforeAll(async () => {
  shipped = await shipMycel();
}, 60_000);
afterAll(() => shipped.remove());

const flash = (card: string, flags: readonly string[]): Promise<void> =>
  flashCard(shipped, card, flags);

// Boots take their time on a busy machine; each wait inside has its own limit.
describe('a board with cloud-init, as on Raspberry Pi OS and Ubuntu', { timeout: 100_000 }, () => {
  const userData = `#cloud-config
hostname: attic
locale: C.UTF-8
ssh_deletekeys: false
ssh_genkeytypes: [ed25519]
runcmd:
  - [touch, /user-was-here]
`;
  const cloudConfig = `datasource_list: [NoCloud, None]
datasource:
  NoCloud:
    seedfrom: file:///boot/firmware/
`;
  let board: Board;
  let booted: BootedBoard;
  let lan: Lan;
  let outside: Program;
  /** The invite on the card, which its board has used after the first boot. */
  let used: string;
  const status = (): string => readFileSync(join(board.card, 'mycel/status.txt'), 'utf8');
  const outer = (...args: readonly string[]): Promise<Finished> =>
    runCommand([
      process.execPath,
      shipped.bundle,
      ...args,
      '--data-dir',
      join(shipped.directory, 'outside'),
    ]);
  const members = async (): Promise<readonly { id: string; name: string; state: string }[]> => {
    const { stdout } = await outer('members', '--json');
    return JSON.parse(stdout) as { id: string; name: string; state: string }[];
  };
  const isMember = (): Promise<string> =>
    vi.waitFor(
      async () => {
        const found = (await members()).find(({ name }) => name === 'attic');
        expect(found, `${status()}\n${outside.errors()}`).toMatchObject({ state: 'alive' });
        return found?.id ?? '';
      },
      { timeout: 30_000, interval: 100 },
    );

  /** The image as it is sold, with what its owner asked for, and our card on top. */
  async function prepare(): Promise<void> {
    board = await createBoard();
    const made = JSON.parse((await outer('invite', '--json')).stdout) as { invite: string };
    writeFileSync(join(board.card, 'user-data'), userData);
    writeFileSync(join(board.card, 'meta-data'), 'dsmode: local\ninstance_id: rpios-image\n');
    used = made.invite;
    await flash(board.card, ['--name', 'attic', '--invite', used]);
    const wire = `rm -rf /var/lib/cloud; printf '%s' "$1" >/etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg
      cd /lib/systemd/system; for unit in main local network; do
        if [ -f cloud-init-$unit.service ]; then systemctl enable cloud-init-$unit; fi
      done
      for unit in cloud-init cloud-config cloud-final; do
        if [ -f $unit.service ]; then systemctl enable $unit; fi
      done`;
    await board.run(['sh', '-ec', wire, 'sh', cloudConfig]);
  }

  beforeAll(async () => {
    lan = await createLan();
    const up = 'up --json --mesh home --name kitchen --interface eth0 --data-dir'.split(' ');
    const command = ['ip', 'netns', 'exec', lan.outside, process.execPath, shipped.bundle, ...up];
    outside = startCommand([...command, join(shipped.directory, 'outside')]);
    await outside.line((line) => line.includes('"ready"'), 30_000);
    await prepare();
  }, 90_000);
  afterAll(async () => {
    await booted.cutPower();
    outside.child.kill('SIGTERM');
    await outside.ended;
    await board.remove();
    await lan.remove();
  });

  it('becomes a member of the mesh by itself', async () => {
    booted = await board.boot({ netns: lan.inside });
    await isMember();
  });

  it('leaves no invite on the card or on the board, and says how it went', async () => {
    expect(existsSync(join(board.card, 'mycel/invite'))).toBe(false);
    await vi.waitFor(() => expect(board.has('/var/lib/mycel/invite')).toBe(false), 10_000);
    await vi.waitFor(
      () => expect(status()).toMatch(/^mycel: done\. The board is a member of its mesh\./),
      { timeout: 20_000, interval: 100 },
    );
    const journal = await booted.run(['journalctl', '-u', 'mycel-firstboot', '-o', 'cat']);
    expect(journal.stdout).toContain('the invite is gone from the card');
    expect(journal.stdout + status()).not.toContain('mycel:1:');
  });

  it("leaves the user's own configuration alone, and it still runs", async () => {
    await booted.until(['ls', '/user-was-here'], /user-was-here/);
    expect(readFileSync(join(board.card, 'user-data'), 'utf8')).toBe(userData);
    expect((await booted.run(['hostname'])).stdout).toBe('attic\n');
    const schema = await board.run(['cloud-init', 'schema', '-c', '/boot/firmware/user-data']);
    expect(schema).toMatchObject({ code: 0 });
  });

  it('has nothing left to do at the next boot, and is the same member', async () => {
    const before = await isMember();
    await booted.cutPower();
    const said = status();
    booted = await board.boot({ netns: lan.inside });
    await booted.until(['systemctl', 'is-active', 'mycel'], /^active/);
    expect(await isMember()).toBe(before);
    expect(status()).toBe(said);
    const unit = await booted.run(['systemctl', 'show', 'mycel-firstboot', '-P', 'Result']);
    expect(unit.stdout).toBe('success\n');
  });

  it('becomes one all the same when the power is cut in the middle of its first boot', async () => {
    const before = await isMember();
    await booted.cutPower();
    await board.remove();
    await prepare();
    booted = await board.boot({ netns: lan.inside });
    await vi.waitFor(() => expect(status()).toMatch(/^mycel: /), { timeout: 30_000, interval: 5 });
    await booted.cutPower();
    expect(board.has('/var/lib/mycel/identity.rec')).toBe(false);
    booted = await board.boot({ netns: lan.inside });
    await vi.waitFor(
      async () => {
        const fresh = (await members()).filter(
          ({ id, state }) => id !== before && state === 'alive',
        );
        expect(fresh.map(({ name }) => name).toSorted(), status()).toEqual(['attic', 'kitchen']);
      },
      { timeout: 30_000, interval: 100 },
    );
  });

  it('says on the card that its invite was used before, and takes a fresh one from there', async () => {
    await booted.cutPower();
    await flash(board.card, ['--invite', used]);
    booted = await board.boot({ netns: lan.inside });
    const patience = { timeout: 30_000, interval: 100 };
    await vi.waitFor(
      () => expect(status()).toMatch(/^mycel: NOT A MEMBER\. Joining .* \(MYCEL_INVITE_USED\)/),
      patience,
    );
    expect(status()).toMatch(/\nnext: {2}.* Put the text of a fresh "mycel invite" into a file/);
    await booted.cutPower();
    const fresh = JSON.parse((await outer('invite', '--json')).stdout) as { invite: string };
    writeFileSync(join(board.card, 'mycel/invite'), fresh.invite);
    booted = await board.boot({ netns: lan.inside });
    await vi.waitFor(
      () => expect(status()).toMatch(/^mycel: done\. The board is a member of its mesh\./),
      patience,
    );
  });
});

describe('the first boot', () => {
  let board: Board;
  const work = (env: Readonly<Record<string, string>> = {}): Promise<Finished> =>
    board.run(
      [
        'sh',
        '-c',
        'sh /boot/firmware/mycel/firstboot.sh --stage1 && sh /usr/local/lib/mycel/firstboot.sh',
      ],
      { env },
    );
  const card = (name: string): string => join(board.card, 'mycel', name);
  const status = (): string => readFileSync(card('status.txt'), 'utf8');
  /** What the node would have made at its start. */
  const giveIdentity = (): Promise<Finished> =>
    board.run(['sh', '-c', 'echo me >/var/lib/mycel/identity.rec']);
  const hasIdentity = (): boolean => board.has('/var/lib/mycel/identity.rec');

  beforeEach(async () => {
    board = await createBoard();
    writeFileSync(join(board.card, 'user-data'), '#cloud-config\n');
    await flash(board.card, [
      '--name',
      'attic',
      '--invite',
      invite,
      '--args',
      '--label room=attic',
    ]);
  });
  afterEach(() => board.remove());

  it('does nothing when it runs again, and keeps the identity', async () => {
    expect(await work()).toMatchObject({ code: 0 });
    await giveIdentity();
    expect(await work()).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(hasIdentity()).toBe(true);
  });

  it('gives a new identity to a board that is flashed again', async () => {
    await work();
    await giveIdentity();
    await flash(board.card, ['--invite', invite]);
    expect((await work()).stdout).toContain('the identity of an earlier life of this card is gone');
    expect(hasIdentity()).toBe(false);
    expect(board.read('/var/lib/mycel/invite')).toBe(invite);
    expect(board.read('/etc/mycel/env')).toContain('MYCEL_NAME="attic"');
  });

  it('gives a new identity to a copy of the card in another board, with or without its boot partition', async () => {
    const boards = ['first', 'second', 'third'].map((name) => ({ MYCEL_SYSROOT: `/opt/${name}` }));
    for (const name of ['first', 'second', 'third']) {
      await board.run([
        'sh',
        '-c',
        `mkdir -p /opt/${name}/proc/device-tree; printf '${name}\\0' >/opt/${name}/proc/device-tree/serial-number`,
      ]);
    }
    await work(boards[0]);
    await giveIdentity();
    await work(boards[0]);
    expect(hasIdentity()).toBe(true);
    await work(boards[1]);
    expect(hasIdentity()).toBe(false);
    expect(status()).toContain('The node starts now, without an invite.');
    await giveIdentity();
    rmSync(join(board.card, 'mycel'), { recursive: true });
    expect(
      await board.run(['sh', '/usr/local/lib/mycel/firstboot.sh'], { env: boards[1] ?? {} }),
    ).toMatchObject({ code: 0 });
    expect(hasIdentity()).toBe(true);
    await board.run(['sh', '/usr/local/lib/mycel/firstboot.sh'], { env: boards[2] ?? {} });
    expect(hasIdentity()).toBe(false);
  });

  it('takes an invite that is put on the card later, whatever the editor called it', async () => {
    await work();
    await giveIdentity();
    writeFileSync(card('invite.txt'), `${invite}bbb\r\n`);
    expect(await work()).toMatchObject({ code: 0 });
    expect(board.read('/var/lib/mycel/invite')).toBe(`${invite}bbb`);
    expect(existsSync(card('invite.txt'))).toBe(false);
    expect(hasIdentity()).toBe(true);
  });

  it('names a damaged file, changes nothing, and goes on once the card is whole', async () => {
    const whole = readFileSync(card('mycel.tgz'));
    appendFileSync(card('mycel.tgz'), 'x');
    expect((await work()).code).toBe(1);
    expect(status()).toMatch(
      /^mycel: FAILED while checking the card: .*damaged or missing: mycel\.tgz/,
    );
    expect(status()).toMatch(/\nnext: {2}Flash the card again/);
    expect(board.has('/etc/systemd/system/mycel.service')).toBe(false);
    expect(existsSync(card('invite'))).toBe(true);
    writeFileSync(card('mycel.tgz'), whole);
    expect((await work()).code).toBe(0);
  });

  it('says what to do when Node.js is too old, and goes on once it is not', async () => {
    await board.run([
      'sh',
      '-c',
      `printf '#!/bin/sh\necho v18.20.4\n' >/usr/local/bin/node; chmod 755 /usr/local/bin/node`,
    ]);
    expect((await work()).code).toBe(1);
    expect(status()).toMatch(
      /^mycel: FAILED while installing: .* is v18\.20\.4, mycel needs 20\.19/,
    );
    expect(status()).toContain('mycel flash --node FILE');
    await board.run(['rm', '/usr/local/bin/node']);
    expect((await work()).code).toBe(0);
  });

  it('runs no command that somebody wrote into the settings on the card', async () => {
    writeFileSync(card('card.conf'), 'MYCEL_NAME=$(touch /hacked)`touch /hacked`\nFLASH_ID=1\n');
    expect((await work()).code).toBe(1);
    expect(status()).toContain('holds a character that a settings file cannot carry');
    expect(board.has('/hacked')).toBe(false);
  });

  it('gets by with a boot partition that it cannot write to, but does not pretend the invite is gone', async () => {
    const done = await board.run(
      [
        'sh',
        '-c',
        'sh /boot/firmware/mycel/firstboot.sh --stage1; sh /usr/local/lib/mycel/firstboot.sh',
      ],
      { readOnly: ['/boot/firmware'] },
    );
    expect(done.code).toBe(1);
    expect(done.stderr).toContain('next: Make the boot partition writable');
    expect(await board.run(['systemctl', 'is-enabled', 'mycel'])).toMatchObject({
      stdout: 'enabled\n',
    });
    expect(board.read('/var/lib/mycel/invite')).toBe(invite);
  });

  it('needs nothing on the image: Node.js may come on the card', async () => {
    const top = join(shipped.directory, 'node-v20.20.2-linux-x64');
    cpSync(process.execPath, join(top, 'bin/node'), { recursive: true });
    const gzip = '--use-compress-program=gzip -1';
    const tarball = `${top}.tar.gz`;
    await runCommand([
      'tar',
      '-C',
      shipped.directory,
      '-cf',
      tarball,
      gzip,
      'node-v20.20.2-linux-x64',
    ]);
    await flash(board.card, ['--node', tarball]);
    await board.run(['rm', '-f', '/usr/bin/node', '/usr/bin/nodejs', '/usr/local/bin/node']);
    expect(await work()).toMatchObject({ code: 0 });
    expect((await board.run(['/usr/local/bin/mycel', '--version'])).code).toBe(0);
  });
});
