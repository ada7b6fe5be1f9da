import { expect, test } from 'vitest';
import { createMemoryPeripherals } from '../../../src/adapters/memory/peripherals.ts';
import { peripheralsContract } from '../../contract/peripherals.ts';

peripheralsContract('of the simulated twin', async () => {
  const board = createMemoryPeripherals();
  const line = board.addSerial('/dev/ttyS0');
  const echo = { ...board };
  // The other end sends back what it hears.
  echo.openSerial = async (path, options) => {
    const open = await board.openSerial(path, options);
    return {
      ...open,
      async write(bytes) {
        await open.write(bytes);
        line.say(bytes);
      },
    };
  };
  return {
    peripherals: echo,
    setSensor: async (sensor, celsius) => board.setSensor(sensor, celsius),
    setPin: async (pin, level) => board.setPin(pin, level),
    level: async (pin) => board.level(pin) ?? -1,
    serial: { path: '/dev/ttyS0', unplug: line.unplug },
  };
});

test('the registers of a simulated I2C device are read and written in runs', async () => {
  const board = createMemoryPeripherals();
  const registers = board.addI2c(1, 0x76);
  registers.set([0x58, 1, 2], 0xd0);
  expect([...(await board.readI2c({ bus: 1, address: 0x76 }, 0xd0, 3))]).toEqual([0x58, 1, 2]);
  await board.writeI2c({ bus: 1, address: 0x76 }, 0xf4, Uint8Array.of(0x27, 9));
  expect([...registers.subarray(0xf4, 0xf6)]).toEqual([0x27, 9]);
  await expect(board.readI2c({ bus: 1, address: 0x77 }, 0, 1)).rejects.toThrow('MYCEL_NO_DEVICE');
});
