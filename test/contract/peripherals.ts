/** What peripherals promise; run on the simulated twin, and on what of a real board can be had here. */

import { describe, expect, test } from 'vitest';
import type { MycelError } from '../../src/kernel/errors.ts';
import type { Peripherals, PinAddress } from '../../src/ports/peripherals.ts';

/** A board as the contract needs it. */
export interface Bench {
  readonly peripherals: Peripherals;
  /** Wires a thermometer; undefined: one that answers wrongly. */
  setSensor(sensor: string, celsius: number | undefined): Promise<void>;
  /** Wires a pin to something with this level. */
  setPin(pin: PinAddress, level: 0 | 1): Promise<void>;
  /** The level that the board puts on a pin. */
  level(pin: PinAddress): Promise<number>;
  /** A serial line whose other end answers each line in capitals, and can be pulled out. */
  readonly serial: { readonly path: string; unplug(): void };
}

const code = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: unknown) => (error as MycelError).code,
  );

/** Runs the contract. */
export function peripheralsContract(kind: string, make: () => Promise<Bench>): void {
  describe(`peripherals ${kind}`, () => {
    test('thermometers are listed and read; a wrong answer is told from a missing sensor', async () => {
      const bench = await make();
      const { peripherals } = bench;
      expect(await peripherals.oneWire()).toEqual([]);
      await bench.setSensor('28-0316a2794bff', 21.437);
      await bench.setSensor('28-0000000000aa', -7.062);
      await bench.setSensor('10-00000000beef', undefined);
      expect(await peripherals.oneWire()).toEqual([
        '10-00000000beef',
        '28-0000000000aa',
        '28-0316a2794bff',
      ]);
      expect(await peripherals.temperature('28-0316a2794bff')).toBe(21.437);
      expect(await peripherals.temperature('28-0000000000aa')).toBe(-7.062);
      expect(await code(peripherals.temperature('10-00000000beef'))).toBe('MYCEL_DEVICE_FAILED');
      expect(await code(peripherals.temperature('28-0000000000bb'))).toBe('MYCEL_NO_DEVICE');
    });

    test('pins are read and written, and there are no others than there are', async () => {
      const bench = await make();
      const { peripherals } = bench;
      await bench.setPin({ line: 4 }, 1);
      await bench.setPin({ line: 5 }, 0);
      expect(await peripherals.readPin({ line: 4 })).toBe(1);
      expect(await peripherals.readPin({ chip: 'gpiochip0', line: 5 })).toBe(0);
      await peripherals.writePin({ line: 5 }, 1);
      expect(await bench.level({ line: 5 })).toBe(1);
      await peripherals.writePin({ line: 5 }, 0);
      expect(await bench.level({ line: 5 })).toBe(0);
      expect(await code(peripherals.readPin({ line: 4_000 }))).toBe('MYCEL_NO_DEVICE');
      expect(await code(peripherals.writePin({ chip: 'gpiochip9', line: 4 }, 1))).toBe(
        'MYCEL_NO_DEVICE',
      );
    });

    test('a serial line carries every byte both ways, and says when it is gone', async () => {
      const bench = await make();
      const line = await bench.peripherals.openSerial(bench.serial.path, { baud: 115_200 });
      const heard: number[] = [];
      line.onBytes((bytes) => heard.push(...bytes));
      const every = Uint8Array.from({ length: 256 }, (_, at) => at);
      await line.write(every);
      await expect.poll(() => heard.length, { timeout: 5_000 }).toBe(256);
      expect(heard).toEqual([...every]);
      const ended = new Promise<string | undefined>((resolve) => line.onEnd(resolve));
      bench.serial.unplug();
      expect(await ended).toBeDefined();
      expect(await code(line.write(every))).toBe('MYCEL_DEVICE_FAILED');
      await line.close();
    });

    test('a serial line that is closed ends without a reason', async () => {
      const bench = await make();
      const line = await bench.peripherals.openSerial(bench.serial.path);
      const ended = new Promise<string | undefined>((resolve) => line.onEnd(resolve));
      await line.close();
      await line.close();
      expect(await ended).toBeUndefined();
      expect(await code(bench.peripherals.openSerial('/dev/ttyUSB99'))).toBe('MYCEL_NO_DEVICE');
    });
  });
}
