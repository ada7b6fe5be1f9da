/** Mains or battery, and whether the supply and the cooling are enough. */

import type { PowerFacts } from '../../ports/hardware.ts';
import { listSystemDirectory, readSystemFile, type SystemRoot } from '../system/system-file.ts';

/** Bits of the Raspberry Pi firmware's `get_throttled` word: now, and since the start. */
const bits = {
  underVoltage: 1 << 0,
  capped: 1 << 1,
  throttled: 1 << 2,
  softLimit: 1 << 3,
  hadUnderVoltage: 1 << 16,
  wasCapped: 1 << 17,
  wasThrottled: 1 << 18,
  hadSoftLimit: 1 << 19,
} as const;

/** Where the Raspberry Pi kernel shows that word as hexadecimal digits. */
const throttledFile = 'sys/devices/platform/soc/soc:firmware/get_throttled';

/** Reads it. */
export function readPower(root: SystemRoot): PowerFacts {
  return { ...readSupply(root), ...readTroubles(root) };
}

function readSupply(root: SystemRoot): Pick<PowerFacts, 'source' | 'batteryShare'> {
  const base = 'sys/class/power_supply';
  const supplies = listSystemDirectory(root, base).map((name) => ({
    type: readSystemFile(root, `${base}/${name}/type`),
    scope: readSystemFile(root, `${base}/${name}/scope`),
    online: readSystemFile(root, `${base}/${name}/online`),
    status: readSystemFile(root, `${base}/${name}/status`),
    capacity: Number(readSystemFile(root, `${base}/${name}/capacity`) ?? Number.NaN),
  }));
  // A wireless mouse shows its battery here too; its scope says that it does not power the machine.
  const battery = supplies.find(({ type, scope }) => type === 'Battery' && scope !== 'Device');
  const isOnMains = supplies.some(({ type, online }) => type !== 'Battery' && online === '1');
  const share = battery === undefined ? Number.NaN : battery.capacity / 100;
  const batteryShare = share >= 0 && share <= 1 ? share : undefined;
  if (isOnMains) return { source: 'mains', batteryShare };
  if (battery?.status === 'Discharging') return { source: 'battery', batteryShare };
  if (battery !== undefined) return { source: 'mains', batteryShare };
  return { source: 'unknown', batteryShare };
}

type Troubles = Pick<
  PowerFacts,
  'isUndervolted' | 'wasUndervolted' | 'isThrottled' | 'wasThrottled'
>;

function readTroubles(root: SystemRoot): Troubles {
  const word = Number.parseInt(readSystemFile(root, throttledFile) ?? '', 16);
  if (Number.isFinite(word)) {
    const has = (mask: number): boolean => (word & mask) !== 0;
    return {
      isUndervolted: has(bits.underVoltage),
      wasUndervolted: has(bits.hadUnderVoltage),
      isThrottled: has(bits.capped | bits.throttled | bits.softLimit),
      wasThrottled: has(bits.wasCapped | bits.wasThrottled | bits.hadSoftLimit),
    };
  }
  const isUndervolted = readVoltageAlarm(root);
  return {
    isUndervolted,
    wasUndervolted: isUndervolted === true ? true : undefined,
    isThrottled: readCooling(root),
    wasThrottled: undefined,
  };
}

/** The mainline driver raspberrypi-hwmon has an alarm that is 1 while the supply is too weak. */
function readVoltageAlarm(root: SystemRoot): boolean | undefined {
  const base = 'sys/class/hwmon';
  const sensor = listSystemDirectory(root, base).find(
    (name) => readSystemFile(root, `${base}/${name}/name`) === 'rpi_volt',
  );
  if (sensor === undefined) return undefined;
  const alarm = readSystemFile(root, `${base}/${sensor}/in0_lcrit_alarm`);
  return alarm === undefined ? undefined : alarm === '1';
}

/** The kernel's thermal governor slows the processor as a cooling device: state 0 is full speed. */
function readCooling(root: SystemRoot): boolean | undefined {
  const base = 'sys/class/thermal';
  const states = listSystemDirectory(root, base)
    .filter((name) => name.startsWith('cooling_device'))
    .filter((name) =>
      /^(cpufreq|thermal-cpufreq|Processor)/.test(
        readSystemFile(root, `${base}/${name}/type`) ?? '',
      ),
    )
    .map((name) => Number(readSystemFile(root, `${base}/${name}/cur_state`)));
  return states.length === 0 ? undefined : states.some((state) => state > 0);
}
