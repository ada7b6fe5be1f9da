/** `mycel flash`: cards whose boards install themselves and join by themselves. The writing is done by flash.sh. */

import { constants } from 'node:fs';
import { access, copyFile, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';

import type { Context } from '../context.ts';
import { connectControl, type ControlClient } from '../control-client.ts';
import { Failure } from '../failure.ts';
import { runScript } from '../firmware.ts';
import { planCards, type Card } from '../flash/cards.ts';
import { htmlSheet, textSheet, type SheetEntry } from '../flash/sheet.ts';
import { readInvite } from '../invite-source.ts';
import type { FlashFlags } from '../program-board.ts';
import { harmless } from '../terminal.ts';

/** How long the invite of a card holds, in ms: a day to carry it to its place. */
const ttlMsDefault = 24 * 3_600_000;

/** Shows what will be written, asks, and writes each card with an invite of its own. */
export async function flash(
  context: Context,
  targets: readonly string[],
  flags: FlashFlags,
): Promise<void> {
  const { terminal } = context;
  const cards = planCards({
    targets: targets.map((target) => resolve(target)),
    count: flags.count,
    name: flags.name,
    hostname: flags.hostname,
    out: flags.out === undefined ? undefined : resolve(flags.out),
  });
  if (typeof flags.invite === 'string' && cards.length > 1) {
    throw new Failure(
      'MYCEL_USAGE',
      'One invite is given for several cards.',
      'Leave --invite out: the running node makes one for each card.',
    );
  }
  const program = await realpath(process.argv[1] ?? '');
  // Every mistake that can be known is told before the first card is touched or an invite is made.
  for (const card of cards) await check(context, card, program, flags);
  if (flags.dryRun === true) {
    if (context.json) terminal.line(JSON.stringify({ cards: cards.map(told), written: false }));
    return;
  }
  const node = flags.invite === true ? await connectInviter(context.dataDir) : undefined;
  let entries: readonly SheetEntry[];
  try {
    if (flags.yes !== true) await ask(cards.length);
    entries = await writeAll(context, cards, program, flags, node);
  } finally {
    node?.close();
  }
  if (flags.sheet !== undefined && entries.length > 0) {
    const render = /\.html?$/.test(flags.sheet) ? htmlSheet : textSheet;
    await writeFile(flags.sheet, render(entries, new Date()), { mode: 0o600 });
    terminal.note(`The sheet is in ${flags.sheet}. It holds secrets until the boards have joined.`);
  }
  if (context.json) terminal.line(JSON.stringify({ cards: cards.map(told), written: true }));
  if (entries.length > 0) {
    terminal.note('Keep this node running until they have joined: a restart voids open invites.');
  }
}

async function writeAll(
  context: Context,
  cards: readonly Card[],
  program: string,
  flags: FlashFlags,
  node: ControlClient | undefined,
): Promise<readonly SheetEntry[]> {
  const secrets = await mkdtemp(join(tmpdir(), 'mycel-invite-'));
  const inviteFile = join(secrets, 'invite');
  const entries: SheetEntry[] = [];
  try {
    for (const card of cards) {
      const made = await node?.call('invite', { ttlMs: flags.ttl ?? ttlMsDefault });
      const invite =
        made?.invite ??
        (typeof flags.invite === 'string' ? await readInvite(flags.invite) : undefined);
      // By a file: what is on a command line, every user of this machine can read.
      if (invite !== undefined) await writeFile(inviteFile, invite, { mode: 0o600 });
      if (card.source !== undefined) await copyImage(card.source, card.target);
      await run(context, card, program, flags, [
        '--yes',
        ...(invite === undefined ? [] : ['--invite', `@${inviteFile}`]),
      ]);
      if (made === undefined) continue;
      const { target, name = target } = card;
      entries.push({ name, target, invite: made.invite, expiresInMs: made.expiresInMs });
    }
  } finally {
    await rm(secrets, { recursive: true, force: true });
  }
  return entries;
}

/** The node that makes the invites. */
async function connectInviter(dataDir: string): Promise<ControlClient> {
  try {
    return await connectControl(dataDir);
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'MYCEL_NO_NODE') throw error;
    const fix = 'Start it with "mycel up", or give --invite INVITE or --no-invite.';
    throw new Failure('MYCEL_NO_NODE', `${error.message} It would make the invites.`, fix);
  }
}

async function copyImage(source: string, target: string): Promise<void> {
  await mkdir(join(target, '..'), { recursive: true });
  await copyFile(source, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
}

/** The plan of one card, as flash.sh sees it: it refuses what it would refuse later. */
async function check(
  context: Context,
  card: Card,
  program: string,
  flags: FlashFlags,
): Promise<void> {
  if (card.source !== undefined && (await exists(card.target))) {
    throw new Failure(
      'MYCEL_SETUP',
      `There already is a ${card.target}.`,
      'Move it away, or give another --out or --name.',
    );
  }
  const source = { ...card, target: card.source ?? card.target };
  await run(context, source, program, flags, ['--dry-run']);
}

async function run(
  context: Context,
  card: Card,
  program: string,
  flags: FlashFlags,
  more: readonly string[],
): Promise<void> {
  const option = (flag: string, value: string | undefined): string[] =>
    value === undefined ? [] : [flag, value];
  await runScript({
    script: 'flash.sh',
    env: {},
    args: [
      '--bundle',
      program,
      ...option('--name', card.name),
      ...option('--args', flags.args),
      ...option('--node', flags.node === undefined ? undefined : resolve(flags.node)),
      ...option('--format', flags.format),
      ...(flags.offline === true ? ['--offline'] : []),
      ...option('--hostname', card.hostname),
      ...option('--user', flags.user),
      ...option('--ssh-key', flags.sshKey && resolve(flags.sshKey)),
      ...option('--wifi', flags.wifi),
      ...option('--wifi-password-file', flags.wifiPasswordFile && resolve(flags.wifiPasswordFile)),
      ...option('--wifi-country', flags.wifiCountry),
      ...more,
      card.target,
    ],
    line: (text) => {
      if (!context.json) context.terminal.line(harmless(text));
    },
  });
}

/** @throws {Failure} MYCEL_SETUP when nobody says yes. */
async function ask(count: number): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new Failure(
      'MYCEL_SETUP',
      'Nobody is there to be asked.',
      'Look at the plan with --dry-run, then give --yes.',
    );
  }
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await prompt.question(
    `Write ${count === 1 ? 'this card' : 'these cards'}? [y/N] `,
  );
  prompt.close();
  if (/^y/i.test(answer)) return;
  throw new Failure('MYCEL_SETUP', 'Nothing was written.', 'Run it again when you are ready.');
}

function told({ target, name }: Card): { readonly target: string; readonly name: string | null } {
  return { target, name: name ?? null };
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
