/** `mycel discover`: what each way of finding nodes sees. */

import type { DiscoveryReport } from 'mycel';

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { formatDuration } from '../duration.ts';
import { formatTable } from '../table.ts';
import { harmless } from '../terminal.ts';

/** Prints every record of every rung, and the rungs that have trouble with their fix. */
export async function discover(context: Context): Promise<void> {
  const report = await callNode(context.dataDir, 'discover', {});
  print(context, report, () => describe(context, report));
}

function describe(context: Context, report: DiscoveryReport): string[] {
  const { style } = context.terminal;
  const rows = report.rungs.flatMap(({ rung, records }) =>
    records.map((record) => [
      rung,
      record.node?.slice(0, 12) ?? '-',
      record.state ?? '-',
      record.meshTag ?? '-',
      record.addresses.map(({ host, port }) => `${host}:${port}`).join(' ') || '-',
      `${formatDuration(record.ageMs)} ago`,
    ]),
  );
  const table =
    rows.length === 0
      ? ['Nobody seen yet.']
      : formatTable(['BY', 'ID', 'STATE', 'MESH TAG', 'ADDRESSES', 'HEARD'], rows);
  const quiet = report.rungs.filter(({ records }) => records.length === 0).map(({ rung }) => rung);
  const troubles = report.rungs.flatMap(({ rung, trouble }) =>
    trouble === undefined
      ? []
      : [`${style('yellow', '!')} ${rung}: ${harmless(`${trouble.reason} ${trouble.fix}`)}`],
  );
  return [
    ...table,
    ...(quiet.length === 0 ? [] : [style('dim', `Nothing by: ${quiet.join(', ')}`)]),
    ...troubles,
  ];
}
