/** What the node that runs here says about itself. */

import type { NodeStatus, StateStatus } from 'mycel';

import { connectControl } from '../control-client.ts';
import { formatDuration } from '../duration.ts';
import { toFailure } from '../failure.ts';
import { formatBytes } from '../quantity.ts';
import { fail, ok, warn, type Finding } from './finding.ts';
import { checkReach } from './reach-check.ts';
import { checkVersions } from './versions-check.ts';

/** Its status when it answers, and what to report about it. */
export interface NodeAnswer {
  readonly status: NodeStatus | undefined;
  readonly findings: readonly Finding[];
}

/** Asks through the control socket. No node is not a fault: the doctor is often asked before the first start. */
export async function askNode(dataDir: string): Promise<NodeAnswer> {
  try {
    const client = await connectControl(dataDir);
    try {
      const status = await client.call('status', {});
      const members = await client.call('members', {});
      const discovery = await client.call('discover', {});
      const state = await client.call('state-status', {}).catch(() => undefined);
      return {
        status,
        findings: [
          ...describe(status),
          ...(state === undefined ? [] : [checkStateWear(state.journal)]),
          ...checkReach(status, members, discovery),
          checkVersions(status, members),
        ],
      };
    } finally {
      client.close();
    }
  } catch (error) {
    const failure = toFailure(error);
    if (failure.code === 'MYCEL_NO_NODE') {
      return { status: undefined, findings: [ok('running node', `none in ${dataDir}`)] };
    }
    return {
      status: undefined,
      findings: [fail('running node', failure.message, failure.fix)],
    };
  }
}

function describe(status: NodeStatus): Finding[] {
  return [
    ok(
      'running node',
      `${status.name}, mesh '${status.mesh.name}', ${status.members.alive} alive, up ${formatDuration(status.uptimeMs)}`,
    ),
    ...status.warnings.map((text) => warn('running node', text, 'See "mycel status".')),
  ];
}

/** What a card of 16 GB bears for ten years if each cell can be written 300 times, with half of that left for others. */
const flashBytesPerDayMax: number = 600 * 1024 * 1024;

/** What replicated state does to the disk. */
export function checkStateWear(journal: StateStatus['journal']): Finding {
  const check = 'state on disk';
  const daily = `${formatBytes(journal.flashBytesPerDay)} a day`;
  if (journal.trouble !== undefined) {
    return fail(check, journal.trouble, 'Free some space, or remount the disk writable.');
  }
  if (journal.flashBytesPerDay > flashBytesPerDayMax) {
    return warn(
      check,
      `it writes ${daily} to flash; a small card bears ${formatBytes(flashBytesPerDayMax)}`,
      'Write less often, or put the data directory on a disk.',
    );
  }
  return ok(check, `it writes ${daily} to flash, of ${formatBytes(flashBytesPerDayMax)}`);
}
