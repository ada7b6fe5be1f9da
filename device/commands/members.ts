/** `mycel members`: the mesh as this node sees it. */

import type { MemberInfo } from 'mycel';

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { memberColours } from '../member-state.ts';
import { formatTable } from '../table.ts';

/** Prints the table, or the JSON array. */
export async function members(context: Context): Promise<void> {
  const all = await callNode(context.dataDir, 'members', {});
  print(context, all.map(toJson), () => memberTable(context, all));
}

/** Exactly the documented fields; what is not known is null. */
function toJson(member: MemberInfo): Record<string, unknown> {
  return {
    id: member.id,
    name: member.name,
    state: member.state,
    address: member.address ?? null,
    incarnation: member.incarnation,
    rttMs: member.rttMs ?? null,
    labels: member.labels,
  };
}

function memberTable(context: Context, all: readonly MemberInfo[]): string[] {
  const { style } = context.terminal;
  const sorted = all.toSorted(
    (left, right) =>
      Number(right.isSelf) - Number(left.isSelf) || left.name.localeCompare(right.name),
  );
  return formatTable(
    ['NAME', 'ID', 'STATE', 'ADDRESS', 'RTT', 'ROLES', 'LABELS', 'VERSION'],
    sorted.map((member) => [
      member.isSelf ? `${member.name} *` : member.name,
      { text: member.id.slice(0, 12), shown: (text) => style('dim', text) },
      {
        text: member.isStalled ? `${member.state} (stalled)` : member.state,
        shown: (text) => style(memberColours[member.state], text),
      },
      member.address ?? '-',
      member.rttMs === undefined ? '-' : `${member.rttMs.toFixed(1)} ms`,
      member.roles.join(',') || '-',
      Object.entries(member.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(' ') || '-',
      member.version,
    ]),
  );
}
