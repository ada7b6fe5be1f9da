/** `mycel device`: what this board is, how it fares, and what is connected to it. */

import type { DeviceFacts } from 'mycel';

import { print, type Context } from '../context.ts';
import { formatBytes } from '../quantity.ts';
import { harmless } from '../terminal.ts';

/** Prints the facts of this machine; no node has to run. */
export async function device(context: Context): Promise<void> {
  const { createHardware, capabilitiesOf } = await import('mycel');
  const facts = createHardware({ dataDir: context.dataDir }).read();
  const capabilities = capabilitiesOf(facts);
  print(context, { ...facts, capabilities }, () => describe(facts, capabilities));
}

function describe(facts: DeviceFacts, capabilities: readonly string[]): string[] {
  const { cpu, memory, temperatureC, disk, networks, accelerators, ports } = facts;
  const lines: [string, string | undefined][] = [
    ['model', `${facts.model ?? 'unknown'} (${facts.architecture})`],
    ['processor', `${cpu.cores} cores${ofMhz(cpu.mhzMax)}, load ${cpu.load}`],
    [
      'memory',
      `${formatBytes(memory.availableBytes)} of ${formatBytes(memory.totalBytes)} available`,
    ],
    ['temperature', temperatureC === undefined ? undefined : `${temperatureC} °C`],
    ['power', powerText(facts)],
    ['disk', disk && diskText(disk)],
    ['networks', networks.map(networkText).join(', ') || undefined],
    [
      'accelerators',
      accelerators.map(({ kind, name }) => `${kind} ${name}`).join(', ') || undefined,
    ],
    ...Object.entries(ports).map(([kind, list]): [string, string | undefined] => [
      wordsOf(kind),
      list.join(', ') || undefined,
    ]),
    ['capabilities', capabilities.join(', ') || undefined],
  ];
  const known = lines.filter((line): line is [string, string] => line[1] !== undefined);
  const width = Math.max(...known.map(([word]) => word.length));
  return known.map(([word, text]) => `${word.padEnd(width)}  ${harmless(text)}`);
}

const ofMhz = (mhz: number | undefined): string => (mhz === undefined ? '' : ` of ${mhz} MHz`);

function powerText({ power }: DeviceFacts): string | undefined {
  const parts = [
    power.source === 'unknown' ? undefined : power.source,
    power.batteryShare === undefined
      ? undefined
      : `battery ${Math.round(power.batteryShare * 100)} %`,
    power.isUndervolted === true ? 'supply too weak now' : undefined,
    power.isUndervolted === false && power.wasUndervolted === true
      ? 'supply was too weak'
      : undefined,
    power.isThrottled === true ? 'held back now' : undefined,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : parts.join(', ');
}

function diskText(disk: NonNullable<DeviceFacts['disk']>): string {
  const wear = disk.wearShare === undefined ? '' : `, ${Math.round(disk.wearShare * 100)} % worn`;
  const room = `${formatBytes(disk.freeBytes)} of ${formatBytes(disk.totalBytes)} free`;
  return `${disk.kind} at ${disk.path}, ${room}${disk.isReadOnly ? ', read-only' : ''}${wear}`;
}

function networkText(network: DeviceFacts['networks'][number]): string {
  const speed = network.linkMbps === undefined ? '' : ` ${network.linkMbps} Mbit/s`;
  const signal = network.signalDbm === undefined ? '' : ` ${network.signalDbm} dBm`;
  return `${network.name} (${network.medium}${speed}${signal})`;
}

/** `gpioChips` as people write it: `gpio chips`. */
function wordsOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
