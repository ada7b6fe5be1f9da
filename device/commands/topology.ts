/** `mycel topology`: which overlay the mesh runs, this node's links in it, how it came to that, and how to change it. */

import type { TopologyReport } from 'mycel';

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import type { TopologySetFlags } from '../program-topology.ts';
import { formatTable } from '../table.ts';

/** Prints it. */
export async function topology(context: Context): Promise<void> {
  await show(context, await callNode(context.dataDir, 'topology', {}));
}

/** Changes it. */
export async function topologySet(
  context: Context,
  kind: string,
  { hub: hubs, reason }: TopologySetFlags,
): Promise<void> {
  const args = {
    kind,
    ...(hubs === undefined ? {} : { hubs }),
    ...(reason === undefined ? {} : { reason }),
  };
  await show(context, await callNode(context.dataDir, 'topology-set', args));
}

/** Leaves it to the mesh. */
export async function topologyAuto(context: Context, hint: string | undefined): Promise<void> {
  const args = hint === undefined ? {} : { hint };
  await show(context, await callNode(context.dataDir, 'topology-auto', args));
}

async function show(context: Context, report: TopologyReport): Promise<void> {
  const members = await callNode(context.dataDir, 'members', {});
  const names = new Map<string, string>(members.map(({ id, name }) => [id, name]));
  const nameOf = (id: string): string => names.get(id) ?? id.slice(0, 12);
  print(context, toJson(report), () => linesOf(report, nameOf));
}

function toJson(report: TopologyReport): Record<string, unknown> {
  const { by, leaving, history } = report;
  return {
    ...report,
    by: by ?? null,
    leaving: leaving ?? null,
    history: history.map((one) => ({ ...one, by: one.by ?? null })),
  };
}

function linesOf(report: TopologyReport, nameOf: (id: string) => string): string[] {
  const { kind, leaving, isAuto, hint, hubs, neighbours, links, history } = report;
  const chosen = isAuto ? `, automatic (${hint})` : '';
  const state = leaving === undefined ? '' : `, ${leaving} is being left`;
  const counts = links.map((one) => `${one.count} in ${one.kind}`).join(', ');
  const lines = [
    `${kind}, epoch ${report.epoch}${chosen}${state}: ${report.reason}`,
    `links: ${neighbours.length} (${counts})`,
    ...(neighbours.length === 0 ? [] : [`  ${neighbours.map(nameOf).toSorted().join(', ')}`]),
    ...(hubs.length === 0 ? [] : [`hubs: ${hubs.map(nameOf).toSorted().join(', ')}`]),
  ];
  if (history.length === 0) return lines;
  const rows = history
    .toReversed()
    .map((one) => [
      `${Math.round(one.agoMs / 1000)} s ago`,
      String(one.epoch),
      one.kind,
      one.what === 'rolledBack' ? 'rolled back' : one.what,
      one.by === undefined ? '-' : nameOf(one.by),
      one.reason,
    ]);
  return [...lines, '', ...formatTable(['WHEN', 'EPOCH', 'TOPOLOGY', 'WHAT', 'BY', 'WHY'], rows)];
}
