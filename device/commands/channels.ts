/** `mycel channels`: the kinds of traffic between this node and others, what waits in each and what was lost; and how to change them. */

import type { NodeStatus } from 'mycel';

import { readConfigFile } from '../config-file.ts';
import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { formatBytes } from '../quantity.ts';
import { formatTable } from '../table.ts';

type Channel = NodeStatus['channels'][number];

/** Gives the running node the channels of its configuration file. */
export async function channelsApply(context: Context, config: string | undefined): Promise<void> {
  const { channels: wanted = {} } = await readConfigFile(config, context.dataDir);
  await callNode(context.dataDir, 'channels-set', { json: JSON.stringify(wanted) });
  await channels(context);
}

/** Prints it; the JSON is the `channels` of the library's `NodeStatus`. */
export async function channels(context: Context): Promise<void> {
  const now = await callNode(context.dataDir, 'status', {});
  const names = new Map<string, string>(now.links.map(({ peer, name }) => [peer, name]));
  const nameOf = (peer: string): string => names.get(peer) ?? peer.slice(0, 12);
  print(context, now.channels, () => linesOf(now.channels, nameOf));
}

/** A line a channel. */
export function linesOf(
  list: NodeStatus['channels'],
  nameOf: (peer: string) => string,
): readonly string[] {
  const rows = list.map((one) => [
    one.name,
    one.class,
    String(one.priority),
    one.overflow,
    `${formatBytes(one.queuedBytes)} in ${one.queuedCount}, of ${formatBytes(one.queueBytesMax)} a peer`,
    String(one.count),
    describeDrops(one),
    describeConnections(one, nameOf),
  ]);
  const headers = ['CHANNEL', 'CLASS', 'PRIORITY', 'WHEN FULL', 'WAITS', 'SENT', 'DROPPED'];
  return formatTable([...headers, 'OWN CONNECTION'], rows);
}

function describeDrops({ drops }: Channel): string {
  const told = Object.entries(drops).map(([reason, count]) => `${count} ${reason}`);
  return told.length === 0 ? '0' : told.join(', ');
}

function describeConnections({ lanes }: Channel, nameOf: (peer: string) => string): string {
  const of = (state: string): string[] =>
    lanes.filter(({ connection }) => connection === state).map(({ peer }) => nameOf(peer));
  const [open, opening] = [of('own'), of('opening')];
  const told = [
    ...(open.length === 0 ? ['closed'] : [`open to ${open.join(', ')}`]),
    ...(opening.length === 0 ? [] : [`opening to ${opening.join(', ')}`]),
  ];
  return told.join('; ');
}
