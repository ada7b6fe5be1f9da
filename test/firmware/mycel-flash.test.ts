/** `mycel flash` beside a running node: batches, invites that work, and mistakes that are told before anything is written. */

import { existsSync } from 'node:fs';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from 'vitest';

import { bundleMycel, type Ended, type Live, type Mycel } from '../device/live-mycel.ts';
import { createCardImage, formats, type CardImage } from './card-image.ts';
import { planCards } from '../../device/flash/cards.ts';

let mycel: Mycel;
let anna: Live;
let card: CardImage;

beforeAll(async () => {
  mycel = await bundleMycel();
  anna = await mycel.up('anna', ['--mesh', 'test']);
}, 60_000);
afterAll(() => mycel.stop());
beforeEach(async () => {
  card = await createCardImage(formats['Raspberry Pi OS Trixie'] ?? {}, 6);
});
afterEach(() => card.remove());

const flash = (...args: readonly string[]): Promise<Ended> =>
  mycel.run(['flash', '--data-dir', mycel.dir('anna'), ...args]);
const out = (...path: readonly string[]): string => join(card.directory, 'out', ...path);

describe('mycel flash', () => {
  it('makes a batch: names and invites of their own, one image each, and a sheet for the owner alone', async () => {
    const sheet = join(card.directory, 'sheet.html');
    const batch = [card.path, '--count', '3', '--out', out(), '--name', 'shed-{n}'];
    const done = await flash(...batch, '--sheet', sheet, '--yes', '--json');
    expect(done).toMatchObject({ code: 0 });
    const names = ['shed-01', 'shed-02', 'shed-03'];
    expect(JSON.parse(done.out)).toEqual({
      cards: names.map((name) => ({ name, target: out(`${name}.img`) })),
      written: true,
    });
    const { outside } = await card.digests();
    const invites = new Set<string>();
    for (const name of names) {
      const copy = card.at(out(`${name}.img`));
      expect((await copy.digests()).outside).toBe(outside);
      expect(await copy.read('mycel/card.conf')).toContain(`MYCEL_NAME=${name}\n`);
      invites.add((await copy.read('mycel/invite')) ?? '');
    }
    expect(invites.size).toBe(3);
    const page = await readFile(sheet, 'utf8');
    expect([...invites].every((invite) => page.includes(`<code>${invite}</code>`))).toBe(true);
    expect(page.match(/<svg/g)).toHaveLength(3);
    expect((await stat(sheet)).mode & 0o777).toBe(0o600);
    expect(done.out + done.err).not.toContain('mycel:1:');
    expect(await card.read('mycel/invite')).toBeUndefined();
  });

  it('puts an invite on the card that lets its board in', async () => {
    expect(await flash(card.path, '--yes')).toMatchObject({ code: 0 });
    const file = join(card.directory, 'invite');
    await writeFile(file, (await card.read('mycel/invite')) ?? '');
    const bert = await mycel.up('bert', [], { MYCEL_JOIN_FILE: file });
    await bert.line({ event: 'joined', mesh: 'test' });
    await anna.line({ event: 'member', name: 'bert', state: 'alive' });
    bert.child.kill('SIGTERM');
    await bert.ended;
  });

  it('writes nothing with --dry-run, and says the same for a program', async () => {
    const before = await card.digests();
    const dry = await flash(card.path, '--dry-run', '--count', '2', '--out', out());
    expect(dry).toMatchObject({ code: 0, err: '' });
    expect(dry.out).toContain('name mycel-02');
    const json = await flash(card.path, '--dry-run', '--json');
    expect(JSON.parse(json.out)).toEqual({
      cards: [{ target: card.path, name: null }],
      written: false,
    });
    expect(await card.digests()).toEqual(before);
    expect(existsSync(out())).toBe(false);
  });

  it('writes a plain sheet with a code that a camera can read', async () => {
    const sheet = join(card.directory, 'sheet.txt');
    await flash(card.path, '--yes', '--name', 'attic', '--sheet', sheet);
    const text = await readFile(sheet, 'utf8');
    expect(text).toContain((await card.read('mycel/invite')) ?? 'none');
    expect(text).toMatch(/attic {2}\(.*card\.img\)\nholds 1d from/);
    expect(text).toMatch(/█▀▀▀▀▀█/);
  });

  it('needs no node when it is told what to do about the invite', async () => {
    const alone = ['flash', '--data-dir', mycel.dir('none'), card.path, '--yes'];
    const { code, err } = await mycel.run(alone);
    expect([code, err]).toEqual([3, expect.stringContaining('--no-invite')]);
    expect(await card.read('vendor-data')).toBeUndefined();
    expect(await mycel.run([...alone, '--no-invite'])).toMatchObject({ code: 0 });
    expect(await card.read('mycel/invite')).toBeUndefined();
    expect(await card.read('vendor-data')).toContain('# mycel');
  });

  it('tells every mistake before the first card is written', async () => {
    const before = await card.digests();
    await flash(card.path, '--yes', '--out', out(), '--name', 'taken');
    for (const [args, code, reason] of [
      [[card.path, '/none', '--yes'], 1, 'there is no /none'],
      [[card.path, '--count', '2', '--yes'], 2, '--out DIR'],
      [[card.path, card.path, '--invite', 'mycel:1:a', '--yes'], 2, 'One invite is given'],
      [[card.path, '--out', out(), '--name', 'taken', '--yes'], 1, 'There already is a'],
      [[card.path], 1, 'Nobody is there to be asked.'],
      [[card.path, '--format', 'bios', '--yes'], 2, '--format'],
      [[card.path, '--count', '201', '--out', out(), '--yes'], 2, '--count'],
      [[card.path, '--name', '$x', '--yes'], 1, 'hold a character'],
    ] as const) {
      const done = await flash(...args);
      expect([args, done.code, done.err]).toEqual([args, code, expect.stringContaining(reason)]);
    }
    expect(await card.digests()).toEqual(before);
    expect(await readdir(out())).toEqual(['taken.img']);
  });
});

describe('the names of a batch', () => {
  const plan = (count: number, name?: string): readonly (string | undefined)[] =>
    planCards({ targets: ['/a.img'], count, name, hostname: undefined, out: '/o' }).map(
      (each) => each.name,
    );
  it('are told apart, and sort as they were counted', () => {
    expect(plan(1)).toEqual([undefined]);
    expect(plan(1, 'attic')).toEqual(['attic']);
    expect(plan(2, 'attic')).toEqual(['attic-01', 'attic-02']);
    const many = plan(120, 'b{n}x');
    expect(new Set(many).size).toBe(120);
    expect(many.toSorted((a = '', b = '') => (a < b ? -1 : 1))).toEqual(many);
  });
});
