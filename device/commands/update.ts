/** `mycel update`: a version for the boards of the mesh, canaries first, and back everywhere when one is not well with it. */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { RolloutStatus } from 'mycel';

import { print, type Context } from '../context.ts';
import { callNode, connectControl } from '../control-client.ts';
import { controlPayloadBytesMax } from '../control-protocol.ts';
import { uploadBytesMax, type VersionRow } from '../control-updates.ts';
import { Failure, usageFailure } from '../failure.ts';
import type { UpdateFlags } from '../program-updates.ts';
import { formatTable } from '../table.ts';
import { harmless } from '../terminal.ts';

/** Between two looks at the roll-out, in ms. */
const lookMs = 1_000;

/** How long this node may be away while it restarts itself, in ms. */
const awayMs = 120_000;

/** How long npm may take, in ms. */
const npmMs = 300_000;

/** Rolls a package out and waits for the end of it. @throws {Failure} MYCEL_ROLLOUT_FAILED when it was taken back */
export async function update(
  context: Context,
  who: readonly string[],
  flags: UpdateFlags,
): Promise<void> {
  if (who.length > 0 && flags.select !== undefined) {
    throw usageFailure('--select and names do not go together.', 'Give one of them.');
  }
  if (flags.to === undefined) {
    throw usageFailure(
      'Which version?',
      'Give --to FILE.tgz or --to 1.2.3; "mycel update status" shows what runs now.',
    );
  }
  const bytes = await readPackageFile(flags.to);
  checkSum(bytes, flags.sha256);
  // Asked first: a node that updates itself may be restarting a moment after it has begun.
  const names = await namesOf(context);
  const { status, skipped } = await begin(context, bytes, who, flags);
  for (const { name, reason } of skipped) {
    context.terminal.note(`left out  ${harmless(name)}: ${harmless(reason)}`);
  }
  const last = flags.detach === true ? status : await follow(context, status, names);
  print(context, { ...last, skipped }, () => summary(last, flags.detach === true));
  if (last.outcome !== 'rolled-back') return;
  throw new Failure(
    'MYCEL_ROLLOUT_FAILED',
    `The update was taken back: ${named(last.reason, names)}.`,
    'Mend what the reason names, then start it again; "mycel update status" shows every node.',
  );
}

/** Shows every member's version. */
export async function updateStatus(context: Context): Promise<void> {
  const answer = await callNode(context.dataDir, 'update-status', {});
  print(context, answer, () => {
    const { rollout, nodes } = answer;
    const names = new Map(nodes.map(({ id, name }) => [id, name]));
    const rows = nodes.map((node) => [
      node.name,
      node.version,
      node.report?.running ?? '-',
      node.report?.phase ?? '-',
      stateOf(rollout, node),
      node.report?.reason ?? node.problem ?? '',
    ]);
    const table = formatTable(['NODE', 'VERSION', 'RUNS', 'PHASE', 'UPDATE', 'WHY'], rows);
    if (rollout === null) return table;
    const why = rollout.reason === '' ? '' : `: ${named(rollout.reason, names)}`;
    return [...table, `update ${rollout.number} to ${rollout.version}: ${rollout.outcome}${why}`];
  });
}

/** Takes it back. */
export async function updateCancel(context: Context): Promise<void> {
  const { isCancelled } = await callNode(context.dataDir, 'update-cancel', {});
  print(context, { isCancelled }, () => [
    isCancelled ? 'going back; see "mycel update status"' : 'no update is under way',
  ]);
}

function stateOf(rollout: RolloutStatus | null, { id }: VersionRow): string {
  return rollout?.targets.find(({ node }) => node === id)?.state ?? '-';
}

async function readPackageFile(to: string): Promise<Buffer> {
  if (/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(to)) return fetchWithNpm(to);
  const bytes = await readFile(to);
  if (bytes.length <= uploadBytesMax) return bytes;
  throw new Failure(
    'MYCEL_BAD_PACKAGE',
    `${to} has ${bytes.length} bytes; no package of mycel is that large.`,
    'Give the tarball that "npm pack" of mycel makes.',
  );
}

/** npm knows where packages are, and checks what it gets; only this board needs the way there. */
async function fetchWithNpm(version: string): Promise<Buffer> {
  const directory = await mkdtemp(join(tmpdir(), 'mycel-update-'));
  try {
    const args = ['pack', `mycel@${version}`, '--silent', '--pack-destination', directory];
    await new Promise<void>((resolve, reject) => {
      execFile('npm', args, { timeout: npmMs }, (error, _, complaint) => {
        if (error === null) return resolve();
        const line = complaint.trim().split('\n')[0] ?? '';
        const why = error.code === 'ENOENT' ? 'there is no npm here' : line || error.message;
        reject(
          new Failure(
            'MYCEL_BAD_PACKAGE',
            `Version ${version} cannot be had: ${why.slice(0, 200)}.`,
            'Get its tarball on another machine ("npm pack") and give the file.',
          ),
        );
      });
    });
    const [file] = await readdir(directory);
    return await readFile(join(directory, file ?? ''));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function checkSum(bytes: Buffer, wanted: string | undefined): void {
  if (wanted === undefined) return;
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found === wanted.toLowerCase()) return;
  throw new Failure(
    'MYCEL_BAD_PACKAGE',
    `The package has the checksum ${found}, not the one that was given.`,
    'It was changed or cut short: get it again. Nothing was installed.',
  );
}

async function begin(
  context: Context,
  bytes: Buffer,
  who: readonly string[],
  flags: UpdateFlags,
): Promise<{
  readonly status: RolloutStatus;
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
}> {
  const client = await connectControl(context.dataDir);
  try {
    for (let at = 0; at < bytes.length; at += controlPayloadBytesMax) {
      const base64 = bytes.subarray(at, at + controlPayloadBytesMax).toString('base64');
      await client.call('update-part', { at, base64 });
    }
    const { select, canary, batch, healthyFor, trial, patience } = flags;
    return await client.call('update-begin', {
      ...(who.length === 0 ? {} : { who }),
      ...(select === undefined ? {} : { select }),
      ...(canary === undefined ? {} : { canary }),
      ...(batch === undefined ? {} : { batch }),
      ...(healthyFor === undefined ? {} : { healthyForMs: healthyFor }),
      ...(trial === undefined ? {} : { trialMs: trial }),
      ...(patience === undefined ? {} : { patienceMs: patience }),
    });
  } finally {
    client.close();
  }
}

async function namesOf(context: Context): Promise<ReadonlyMap<string, string>> {
  const members = await callNode(context.dataDir, 'members', {});
  return new Map(members.map(({ id, name }) => [id, name]));
}

/** Tells what changes until it has ended. This node restarts, too, when it is one of the targets. */
async function follow(
  context: Context,
  begun: RolloutStatus,
  names: ReadonlyMap<string, string>,
): Promise<RolloutStatus> {
  const told = new Map<string, string>();
  let last = begun;
  let seenAt = performance.now();
  for (;;) {
    for (const { node, state, reason } of last.targets) {
      const line = reason === '' ? state : `${state}: ${reason}`;
      if (state === 'waiting' || told.get(node) === line) continue;
      told.set(node, line);
      context.terminal.note(`${harmless(names.get(node) ?? node)}  ${harmless(line)}`);
    }
    if (last.outcome !== 'running') return last;
    await sleep(lookMs);
    try {
      const { rollout } = await callNode(context.dataDir, 'update-status', {});
      seenAt = performance.now();
      if (rollout !== null && rollout.number === begun.number) last = rollout;
    } catch (error) {
      const isAway = error instanceof Failure && awayCodes.has(error.code);
      if (!isAway || performance.now() - seenAt > awayMs) throw error;
    }
  }
}

const awayCodes: ReadonlySet<string> = new Set([
  'MYCEL_NO_NODE',
  'MYCEL_CONTROL_LOST',
  'MYCEL_NO_ANSWER',
  'MYCEL_NOT_RUNNING',
]);

function summary(status: RolloutStatus, isDetached: boolean): string[] {
  const { version, outcome, targets } = status;
  if (isDetached) return [`update to ${version} has begun; see "mycel update status"`];
  if (outcome === 'done') return [`${targets.length} nodes keep ${version}`];
  const left = targets.filter(({ state }) => state === 'reverting').length;
  return left === 0 ? [] : [`${left} nodes could not be reached; they are asked until they answer`];
}

/** A reason begins with the id of the node it is about. */
function named(reason: string, names: ReadonlyMap<string, string>): string {
  const [id = ''] = reason.split(':', 1);
  const name = names.get(id);
  return harmless(name === undefined ? reason : `${name}${reason.slice(id.length)}`);
}
