/** Is the clock right? The mesh decides nothing by it, but people, certificates of web services and logs do. */

import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { formatDuration } from '../duration.ts';
import { fail, ok, warn, type Finding } from './finding.ts';
import { listSystemDirectory, readSystemFile, type SystemRoot } from 'mycel';

/** No board with a right clock is older than this program: 2024-01-01, in ms since 1970. */
const earliestMs: number = Date.UTC(2024, 0, 1);

/** How far a clock may be behind a file's date before it is called wrong, in ms. */
const behindMs: number = 24 * 3_600_000;

/** Programs that set the clock. */
const timekeepers: ReadonlySet<string> = new Set([
  'chronyd',
  'ntpd',
  'ntpsec',
  'openntpd',
  'ptp4l',
]);

const howToSync =
  'Connect it to a time server ("timedatectl set-ntp true"), or add a clock module.';

/** `nowMs` is the clock under test; `witnesses` are files that were written on this machine before now. */
export function checkClock(
  nowMs: number,
  witnesses: readonly string[],
  root: SystemRoot,
): Finding[] {
  return [checkDate(nowMs, witnesses), checkSync(root)];
}

function checkDate(nowMs: number, witnesses: readonly string[]): Finding {
  const check = 'clock';
  const now = new Date(nowMs).toISOString().slice(0, 16).replace('T', ' ');
  if (nowMs < earliestMs) {
    return fail(check, `It says ${now} UTC: this board woke up in the past.`, howToSync);
  }
  const youngest = Math.max(
    0,
    ...witnesses.map((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0),
  );
  if (youngest - nowMs > behindMs) {
    return fail(
      check,
      `It says ${now} UTC, but files here were written ${formatDuration(youngest - nowMs)} later.`,
      howToSync,
    );
  }
  return ok(check, `${now} UTC`);
}

function checkSync(root: SystemRoot): Finding {
  const check = 'clock synchronised';
  if (existsSync(join(root, 'run/systemd/timesync/synchronized'))) {
    return ok(check, 'systemd-timesyncd has set it');
  }
  const keeper = listSystemDirectory(root, 'proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => readSystemFile(root, `proc/${pid}/comm`) ?? '')
    .find((command) => timekeepers.has(command));
  if (keeper !== undefined) return ok(check, `${keeper} keeps it`);
  return warn(check, 'Nothing seems to keep the clock right.', howToSync);
}
