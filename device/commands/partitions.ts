/** `mycel partitions`: who is missed now, and what healed splits have merged. */

import type { MergeReport } from 'mycel';

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { formatDuration } from '../duration.ts';
import { harmless } from '../terminal.ts';

/** Prints the history. */
export async function partitions(context: Context): Promise<void> {
  const answer = await callNode(context.dataDir, 'partitions', {});
  print(context, answer, () => [
    ...answer.missing.map(
      ({ node, sinceMs }) =>
        `missing ${node.slice(0, 12)} for ${formatDuration(Date.now() - sinceMs)}; it is asked for, for ever`,
    ),
    ...(answer.reports.length === 0
      ? ['no split has healed yet']
      : answer.reports.flatMap(describe)),
  ]);
}

function describe(report: MergeReport): string[] {
  const { healedAt, splitAt, mergedMs, peers } = report;
  const merged = mergedMs === undefined ? 'not all equal yet' : `equal after ${mergedMs} ms`;
  const lines = [
    `${new Date(healedAt).toISOString()} healed after ${formatDuration(healedAt - splitAt)}: ${peers.map((peer) => peer.slice(0, 12)).join(', ')}; ${merged}`,
    `  ${report.keysMerged} keys merged, ${report.valuesOverridden.length} values overridden, ${report.valuesKept.length} kept, ${report.messagesReplayed} messages replayed, ${report.singletonsStopped} singletons stopped`,
  ];
  if (report.valuesOverridden.length > 0) {
    lines.push(`  overridden: ${report.valuesOverridden.map(harmless).join(', ')}`);
  }
  return lines;
}
