/** The demo's live table. */

import { memberColours } from '../member-state.ts';
import { formatTable } from '../table.ts';
import type { Terminal } from '../terminal.ts';
import type { DemoRow } from './demo-mesh.ts';

/** The whole picture, as lines. `rates` are messages a second by node name. */
export function drawDemo(
  terminal: Terminal,
  rows: readonly DemoRow[],
  rates: ReadonlyMap<string, number>,
): string[] {
  const { style } = terminal;
  const port = rows.find(({ isUp }) => isUp)?.mqttPort;
  const table = formatTable(
    ['NODE', 'PROCESS', 'MQTT', 'SEES', 'LOAD', 'MEMORY', 'TEMP', 'MSG/S'],
    rows.map((row) => [
      row.name,
      {
        text: row.isUp ? 'up' : 'down',
        shown: (text) => style(row.isUp ? 'green' : 'red', text),
      },
      row.mqttPort === undefined ? '-' : String(row.mqttPort),
      {
        text: [...row.sees].map(([name, state]) => `${name} ${state}`).join(', ') || '-',
        shown: (text) => colourStates(terminal, text),
      },
      row.facts.get('load') ?? '-',
      withUnit(row.facts.get('memory'), 'MiB'),
      withUnit(row.facts.get('temperature'), '°C'),
      row.isUp ? (rates.get(row.name) ?? 0).toFixed(1) : '-',
    ]),
  );
  return [
    style('bold', "mycel demo: three nodes on this machine, paired by invites, mesh 'demo'"),
    '',
    ...table,
    '',
    port === undefined ? 'No node is up: press r.' : `Listen in:  ${listenLine(port)}`,
    style('dim', 'k kill -9 a node   r revive   q quit'),
  ];
}

/** What to paste into another terminal. */
export function listenLine(port: number): string {
  return `mosquitto_sub -h 127.0.0.1 -p ${port} -t 'demo/#' -v`;
}

function withUnit(value: string | undefined, unit: string): string {
  return value === undefined ? '-' : `${value} ${unit}`;
}

function colourStates({ style }: Terminal, text: string): string {
  return text.replace(/\b(alive|suspect|dead|left|dormant)\b/g, (state) =>
    style(memberColours[state as keyof typeof memberColours], state),
  );
}
