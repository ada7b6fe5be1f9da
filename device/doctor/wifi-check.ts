/** Is the Wi-Fi good enough for a mesh? Weak signal and power saving delay every message. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import type { DeviceFacts } from 'mycel';

import { ok, warn, type Finding } from './finding.ts';

/** Below this a Wi-Fi link repeats and stalls, in dBm. */
const weakDbm = -75;

/** Time that `iw` gets, in ms. */
const iwMs = 1_000;

/** Checks every Wi-Fi interface that is up. */
export async function checkWifi({ networks }: DeviceFacts): Promise<Finding[]> {
  const wifi = networks.filter(({ medium }) => medium === 'wifi');
  const findings = await Promise.all(
    wifi.map(async ({ name, signalDbm }) => {
      const saves = await savesPower(name);
      return [
        ...(signalDbm === undefined ? [] : [checkSignal(name, signalDbm)]),
        ...(saves === undefined ? [] : [checkSaving(name, saves)]),
      ];
    }),
  );
  return findings.flat();
}

function checkSignal(name: string, dbm: number): Finding {
  const check = `Wi-Fi signal ${name}`;
  if (dbm >= weakDbm) return ok(check, `${dbm} dBm`);
  return warn(
    check,
    `${dbm} dBm is weak: messages will be late and some links will break.`,
    'Move the board or the access point, or use a cable.',
  );
}

function checkSaving(name: string, isOn: boolean): Finding {
  const check = `Wi-Fi power save ${name}`;
  if (!isOn) return ok(check, 'off');
  return warn(
    check,
    'It is on: messages to this board wait half a second to two seconds.',
    `Run "sudo iw dev ${name} set power_save off", or start the node with "--profile wifi".`,
  );
}

/** Asks `iw`; undefined where it is not installed or does not know. */
async function savesPower(name: string): Promise<boolean | undefined> {
  try {
    const { stdout } = await promisify(execFile)('iw', ['dev', name, 'get', 'power_save'], {
      timeout: iwMs,
    });
    return /Power save: (on|off)/.exec(stdout)?.[1] === 'on';
  } catch {
    return undefined;
  }
}
