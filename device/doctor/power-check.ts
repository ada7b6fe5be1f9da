/** Is the supply strong enough, and is the board cool enough? The two quiet killers of boards. */

import type { DeviceFacts } from 'mycel';

import { fail, ok, warn, type Finding } from './finding.ts';

/** The Raspberry Pi firmware slows the processor from 80 °C on (softly from 60 °C on a 3B+). */
const hotC = 80;
const warmC = 70;

/** Below this charge a board on battery is about to go. */
const lowBatteryShare = 0.15;

/** Checks supply, temperature and battery; what the board does not tell is not guessed. */
export function checkPower({ power, temperatureC }: DeviceFacts): Finding[] {
  return [
    ...checkSupply(power),
    ...(temperatureC === undefined ? [] : [checkTemperature(temperatureC, power.isThrottled)]),
    ...(power.batteryShare === undefined ? [] : [checkBattery(power.batteryShare, power.source)]),
  ];
}

function checkSupply(power: DeviceFacts['power']): Finding[] {
  const check = 'power';
  const fix = 'Use a stronger power supply and a short, thick cable; unplug what draws power.';
  if (power.isUndervolted === undefined) return [];
  if (power.isUndervolted) {
    return [fail(check, 'The supply is too weak now: the board may crash or lose data.', fix)];
  }
  if (power.wasUndervolted === true) {
    return [warn(check, 'The supply was too weak since the start.', fix)];
  }
  return [ok(check, 'the supply is strong enough')];
}

function checkTemperature(temperatureC: number, isThrottled: boolean | undefined): Finding {
  const check = 'temperature';
  const fix = 'Give it a heat sink, a fan or a cooler place.';
  const said = `${temperatureC} °C`;
  if (temperatureC >= hotC || (isThrottled === true && temperatureC >= warmC)) {
    return fail(check, `${said}: the processor is held back.`, fix);
  }
  return temperatureC >= warmC ? warn(check, `${said}: close to the limit.`, fix) : ok(check, said);
}

function checkBattery(share: number, source: string): Finding {
  const check = 'battery';
  const said = `${Math.round(share * 100)} %${source === 'battery' ? ', discharging' : ''}`;
  return source === 'battery' && share < lowBatteryShare
    ? warn(check, `${said}: the board will stop soon.`, 'Charge it.')
    : ok(check, said);
}
