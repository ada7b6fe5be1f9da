/** `mycel listeners`: who would hear a message on a topic. */

import type { ListenersReport } from 'mycel';

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { formatTable } from '../table.ts';
import { harmless } from '../terminal.ts';

/** Prints it. Nobody listening is an answer, not a failure. */
export async function listeners(context: Context, topic: string): Promise<void> {
  const report = await callNode(context.dataDir, 'listeners', { topic });
  print(context, report, () => linesOf(report));
}

const whys = { filter: '', everything: 'wants everything', unknown: 'has not said yet' } as const;

function linesOf(report: ListenersReport): string[] {
  const { topic, nodes, groups, channels } = report;
  if (nodes.length === 0 && groups.length === 0) return [`Nobody listens to ${harmless(topic)}.`];
  const nameOf = ({ name, isSelf }: { name: string; isSelf: boolean }): string =>
    isSelf ? `${name} (this node)` : name;
  const rows = [
    ...nodes.map((one) => [
      nameOf(one),
      one.why === 'filter' ? one.filters.join(', ') : whys[one.why],
      '',
    ]),
    ...groups.map(({ filter, nodes: members }) => [
      members.map(nameOf).join(', '),
      filter,
      members.length > 1 ? 'one of them' : 'one member',
    ]),
  ];
  return [
    ...formatTable(['NODE', 'FILTER', 'GETS EACH'], rows),
    '',
    `channels: ${channels.signal} at qos 0, ${channels.event} at qos 1`,
  ];
}
