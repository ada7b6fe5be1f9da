/** `mycel service`: the node as a service of this machine. The work is done by the scripts that also run without Node. */

import { spawn } from 'node:child_process';
import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';

import { print, type Context } from '../context.ts';
import { Failure } from '../failure.ts';
import { runScript, type ScriptRun } from '../firmware.ts';
import type { InstallFlags, LogFlags, UninstallFlags } from '../program-board.ts';
import { formatBytes } from '../quantity.ts';
import { assertSystemd, readUnitState, type UnitState } from '../service/unit-state.ts';
import { harmless } from '../terminal.ts';

const unit = 'mycel.service';

/** Installs, updates or repairs the service: the same call for all three. */
export async function installService(context: Context, flags: InstallFlags): Promise<void> {
  const isLive = flags.root === undefined;
  await runSteps(context, {
    script: 'install.sh',
    env: {
      MYCEL_BUNDLE: await realpath(process.argv[1] ?? ''),
      MYCEL_NAME: flags.name,
      MYCEL_ARGS: flags.args,
      MYCEL_JOIN: flags.join?.startsWith('@') ? `@${resolve(flags.join.slice(1))}` : flags.join,
      // The Node.js of another system is looked for there.
      MYCEL_NODE: pathOf(flags.node) ?? (isLive ? process.execPath : undefined),
      MYCEL_START: flags.start ? undefined : 'no',
      ...placeOf(flags),
    },
  });
  if (isLive && flags.dryRun !== true) context.terminal.note('next: mycel service status');
}

/** Takes it off; what cannot be made again stays unless `--purge` says otherwise. */
export async function uninstallService(context: Context, flags: UninstallFlags): Promise<void> {
  await runSteps(context, {
    script: 'uninstall.sh',
    env: { MYCEL_PURGE: flags.purge === true ? '1' : undefined, ...placeOf(flags) },
  });
}

/** @throws {Failure} MYCEL_NO_NODE when the service is installed but does not run. */
export async function serviceStatus(context: Context): Promise<void> {
  const now = await readUnitState(unit);
  print(context, now, () => describe(context, now));
  if (now.state === 'active' || now.state === 'activating') return;
  throw new Failure(
    'MYCEL_NO_NODE',
    `The service does not run (${now.state}, ${now.result}).`,
    'See why with "mycel service logs", start it with: sudo systemctl start mycel',
  );
}

/** Hands over to journalctl: it can page, follow and print JSON. */
export async function serviceLogs(context: Context, flags: LogFlags): Promise<void> {
  assertSystemd();
  const args = ['-u', unit, '-u', 'mycel-firstboot.service', '-n', String(flags.lines)];
  if (flags.follow === true) args.push('-f');
  if (context.json) args.push('-o', 'json');
  if (!context.terminal.isTty) args.push('--no-pager');
  const code = await new Promise<number | null>((done, reject) => {
    // Ctrl-C goes to both; journalctl ends by itself and so do we.
    const ignore = (): void => undefined;
    process.on('SIGINT', ignore);
    const child = spawn('journalctl', args, { stdio: 'inherit' });
    child.once('error', reject);
    child.once('close', (ended) => {
      process.off('SIGINT', ignore);
      done(ended);
    });
  });
  if (code === 0 || code === null || code === 130) return;
  throw new Failure(
    'MYCEL_SETUP',
    'The journal could not be read.',
    'Run it with sudo, or as a member of the group systemd-journal.',
  );
}

function placeOf(flags: { readonly root?: string; readonly dryRun?: boolean }): ScriptRun['env'] {
  return {
    MYCEL_ROOT: pathOf(flags.root),
    MYCEL_DRY_RUN: flags.dryRun === true ? '1' : undefined,
  };
}

function pathOf(given: string | undefined): string | undefined {
  return given === undefined ? undefined : resolve(given);
}

/** A script says "  wrote    /path": the word is what was done. */
async function runSteps(context: Context, run: Omit<ScriptRun, 'line'>): Promise<void> {
  const steps: { readonly did: string; readonly what: string }[] = [];
  await runScript({
    ...run,
    line(text) {
      if (!context.json) context.terminal.line(harmless(text));
      const step = /^ {2}(would \w+|\w+) +(.*)$/.exec(text);
      if (step !== null) steps.push({ did: step[1] ?? '', what: step[2] ?? '' });
    },
  });
  if (context.json) context.terminal.line(JSON.stringify({ steps }));
}

function describe(context: Context, now: UnitState): string[] {
  const { style } = context.terminal;
  const colour = now.state === 'active' ? 'green' : now.state === 'failed' ? 'red' : 'yellow';
  const rows: readonly (readonly [string, string])[] = [
    ['service', `${style(colour, now.state)}${now.since === '' ? '' : ` since ${now.since}`}`],
    ['at boot', now.isEnabled ? 'starts' : style('yellow', 'does not start')],
    ['says', harmless(now.status) || '-'],
    [
      'process',
      [
        now.pid === undefined ? 'none' : String(now.pid),
        ...(now.memoryBytes === undefined ? [] : [formatBytes(now.memoryBytes)]),
        `${now.restarts} restarts`,
      ].join(', '),
    ],
  ];
  return rows.map(([label, value]) => `${style('bold', label.padEnd(8))} ${value}`);
}
