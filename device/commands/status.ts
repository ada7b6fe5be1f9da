/** `mycel status`: what this node does, what it carries, and what is wrong. */

import type { NodeStatus } from 'mycel';

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { formatDuration } from '../duration.ts';
import { formatBytes } from '../quantity.ts';
import { formatTable } from '../table.ts';
import { harmless } from '../terminal.ts';

/** Loop lag from which on it is shown in yellow, in ms. */
const lagWarnMs = 200;

/** Prints it; the JSON is the library's `NodeStatus` as it is. */
export async function status(context: Context): Promise<void> {
  const now = await callNode(context.dataDir, 'status', {});
  print(context, now, () => describe(context, now));
}

function describe(context: Context, now: NodeStatus): string[] {
  return [
    ...head(context, now),
    ...linkTable(now),
    ...clientTable(now),
    ...evictionTable(now),
    ...trouble(context, now),
  ];
}

function head(context: Context, now: NodeStatus): string[] {
  const { style } = context.terminal;
  const { mesh } = now;
  const counts = Object.entries(now.members)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state}`);
  const marks = [
    mesh.isDev ? style('red', 'OPEN TO EVERYONE (--dev)') : '',
    mesh.isProvisional ? style('yellow', 'provisional: "mycel invite" makes it real') : '',
    mesh.isAdmin ? 'admin' : '',
    mesh.joinWindowMs > 0
      ? style('yellow', `join window open for ${formatDuration(mesh.joinWindowMs)}`)
      : '',
    mesh.probationCode === undefined
      ? ''
      : style('yellow', `waiting for approval, code ${mesh.probationCode}`),
  ].filter((mark) => mark !== '');
  const lag = `${now.loopLagMs.toFixed(0)} ms`;
  const queued = now.links.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0);
  const rows: readonly (readonly [string, string])[] = [
    ['node', `${harmless(now.name)}  ${style('dim', now.node)}`],
    ['mesh', [`${harmless(mesh.name)}  ${style('dim', mesh.id)}`, ...marks].join('  ')],
    ['members', counts.join(', ') || 'none'],
    [
      'ports',
      `MQTT ${now.mqttPort}${now.guestPort === undefined ? '' : `, guests ${now.guestPort}`}`,
    ],
    [
      'process',
      `up ${formatDuration(now.uptimeMs)}, version ${now.version}, ${formatBytes(now.rssBytes)}, loop lag ${now.loopLagMs >= lagWarnMs ? style('yellow', lag) : lag}`,
    ],
    ['overlay', describeOverlay(now)],
    ['queued', `${formatBytes(queued)} on ${now.links.length} links`],
    ['control', describeLine(context, now)],
    [
      'finding',
      now.discovery
        .map(({ rung, trouble: why }) =>
          why === undefined ? rung : style('yellow', `${rung} (${harmless(why)})`),
        )
        .join(', '),
    ],
  ];
  return rows.map(([label, value]) => `${style('bold', label.padEnd(8))} ${value}`);
}

function describeOverlay({ overlay }: NodeStatus): string {
  const { name, active, activeMax, passive } = overlay;
  if (activeMax === undefined) return `${name}, ${active} linked`;
  return `${name}, ${active} of ${activeMax} linked, ${passive} more known`;
}

/** Whether control ever waited for data: the sign of a channel that should have had a connection of its own. */
function describeLine(context: Context, { headOfLine }: NodeStatus): string {
  const { incidents, overMs, longestMs, waits } = headOfLine;
  const told = `${incidents} waited over ${overMs} ms behind data`;
  const shown = incidents === 0 ? told : context.terminal.style('yellow', told);
  return waits === 0 ? shown : `${shown}, the longest of ${waits} for ${longestMs.toFixed(1)} ms`;
}

function evictionTable({ evictions, evictionCount, links }: NodeStatus): string[] {
  if (evictions.length === 0) return [];
  const names = new Map<string, string>(links.map(({ peer, name }) => [peer, name]));
  return [
    '',
    ...formatTable(
      [`LET GO (${evictionCount})`, 'KIND', 'ADDRESS', 'QUEUED', 'WHEN', 'WHY'],
      evictions.map((one) => [
        one.guest ?? names.get(one.who) ?? one.who,
        one.kind,
        one.remote,
        formatBytes(one.queuedBytes),
        `${formatDuration(one.agoMs)} ago`,
        one.reason,
      ]),
    ),
  ];
}

function linkTable({ links }: NodeStatus): string[] {
  if (links.length === 0) return [];
  return [
    '',
    ...formatTable(
      ['LINK TO', 'ID', 'ADDRESS', 'DIALLED BY', 'OPEN FOR', 'RTT', 'QUEUED', 'UNACKED'],
      links.map((link) => [
        link.name,
        link.peer.slice(0, 12),
        link.remote,
        link.isDialler ? 'us' : 'them',
        formatDuration(link.sinceMs),
        link.rttMs === undefined ? '-' : `${link.rttMs.toFixed(1)} ms`,
        formatBytes(link.queuedBytes),
        String(link.unackedCount),
      ]),
    ),
  ];
}

function clientTable({ clients }: NodeStatus): string[] {
  if (clients.length === 0) return [];
  return [
    '',
    ...formatTable(
      ['MQTT CLIENT', 'ZONE', 'ADDRESS', 'QUEUED', 'ON DISK'],
      clients.map((client) => [
        client.clientId,
        client.zone,
        client.remote,
        formatBytes(client.queuedBytes),
        formatBytes(client.diskBytes),
      ]),
    ),
  ];
}

function trouble(context: Context, now: NodeStatus): string[] {
  const { style } = context.terminal;
  const drops = Object.entries(now.metrics.drops).filter(([, count]) => count > 0);
  return [
    ...(drops.length === 0
      ? []
      : [
          '',
          ...formatTable(
            ['DROPPED', 'COUNT'],
            drops
              .toSorted((left, right) => right[1] - left[1])
              .map(([why, count]) => [why, String(count)]),
          ),
        ]),
    ...(now.warnings.length === 0 ? [] : ['']),
    ...now.warnings.map((warning) => `${style('yellow', '!')} ${harmless(warning)}`),
  ];
}
