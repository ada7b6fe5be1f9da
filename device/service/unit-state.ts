/** What systemd knows about the service of the node. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

import { Failure } from '../failure.ts';

/** The service as systemd sees it. */
export interface UnitState {
  /** `active`, `activating`, `failed`, `inactive`, … */
  readonly state: string;
  /** Why it ended, when it did: `success`, `exit-code`, `watchdog`, `oom-kill`, … */
  readonly result: string;
  readonly isEnabled: boolean;
  /** What the node said about itself last. */
  readonly status: string;
  readonly pid: number | undefined;
  readonly restarts: number;
  /** Undefined where the kernel does not account memory, as on Raspberry Pi OS. */
  readonly memoryBytes: number | undefined;
  /** When it became active, as systemd writes it. */
  readonly since: string;
}

const properties = [
  'LoadState',
  'ActiveState',
  'Result',
  'UnitFileState',
  'StatusText',
  'MainPID',
  'NRestarts',
  'MemoryCurrent',
  'ActiveEnterTimestamp',
];

/** @throws {Failure} MYCEL_SETUP when systemd does not run here, or the service is not installed. */
export async function readUnitState(unit: string): Promise<UnitState> {
  assertSystemd();
  const { stdout } = await promisify(execFile)('systemctl', [
    'show',
    unit,
    `--property=${properties.join(',')}`,
  ]);
  const facts = new Map(
    stdout.split('\n').map((line): [string, string] => {
      const at = line.indexOf('=');
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
  const fact = (name: string): string => facts.get(name) ?? '';
  if (fact('LoadState') === 'not-found') {
    throw new Failure(
      'MYCEL_SETUP',
      'The service is not installed on this machine.',
      'Install it: sudo mycel service install',
    );
  }
  return {
    state: fact('ActiveState'),
    result: fact('Result'),
    isEnabled: fact('UnitFileState') === 'enabled',
    status: fact('StatusText'),
    pid: wholeOf(fact('MainPID'), 1),
    restarts: wholeOf(fact('NRestarts'), 0) ?? 0,
    memoryBytes: wholeOf(fact('MemoryCurrent'), 0),
    since: fact('ActiveEnterTimestamp'),
  };
}

/** @throws {Failure} MYCEL_SETUP */
export function assertSystemd(): void {
  if (existsSync('/run/systemd/system')) return;
  throw new Failure(
    'MYCEL_SETUP',
    'systemd does not run this machine.',
    'docs/guide/install.md has the scripts for OpenRC and runit; "mycel status" asks the node itself.',
  );
}

/** systemd writes "[not set]", or 2^64 - 1, for what it does not know. */
function wholeOf(text: string, low: number): number | undefined {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) && value >= low ? value : undefined;
}
