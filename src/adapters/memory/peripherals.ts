/** The simulated twin of a board's peripherals: a test, or a laptop, says what is wired to it. */

import { MycelError } from '../../kernel/errors.ts';
import type { PinAddress, Peripherals, SerialLine } from '../../ports/peripherals.ts';

/** The other end of a simulated serial line. */
export interface MemorySerial {
  /** What the device has been told. */
  readonly written: readonly number[];
  /** The device says something. */
  say(bytes: Uint8Array): void;
  unplug(): void;
}

/** The peripherals, and what is wired to them. */
export interface MemoryPeripherals extends Peripherals {
  /** Degrees Celsius; undefined: the sensor is there and answers wrongly. */
  setSensor(sensor: string, celsius: number | undefined): void;
  /** Pins that are not set do not exist. */
  setPin(pin: PinAddress, level: 0 | 1): void;
  level(pin: PinAddress): 0 | 1 | undefined;
  /** A device with 256 registers. */
  addI2c(bus: number, address: number): Uint8Array;
  addSerial(path: string): MemorySerial;
}

/** A board with nothing wired to it. */
export function createMemoryPeripherals(): MemoryPeripherals {
  const sensors = new Map<string, number | undefined>();
  const pins = new Map<string, 0 | 1>();
  const registers = new Map<string, Uint8Array>();
  const lines = new Map<string, MemorySerial & { open(): SerialLine }>();
  const keyOf = ({ chip = 'gpiochip0', line }: PinAddress): string => `${chip} ${line}`;

  function levelOf(pin: PinAddress): 0 | 1 {
    const level = pins.get(keyOf(pin));
    if (level === undefined) throw missing(`pin ${pin.line}`);
    return level;
  }

  function deviceOf(bus: number, address: number): Uint8Array {
    const device = registers.get(`${bus} ${address}`);
    if (device === undefined) throw missing(`I2C device ${address} on bus ${bus}`);
    return device;
  }

  return {
    setSensor: (sensor, celsius) => void sensors.set(sensor, celsius),
    setPin: (pin, level) => void pins.set(keyOf(pin), level),
    level: (pin) => pins.get(keyOf(pin)),
    addI2c(bus, address) {
      const bytes = new Uint8Array(256);
      registers.set(`${bus} ${address}`, bytes);
      return bytes;
    },
    addSerial(path) {
      const line = createLine(path);
      lines.set(path, line);
      return line;
    },
    oneWire: async () => [...sensors.keys()].toSorted(),
    async temperature(sensor) {
      if (!sensors.has(sensor)) throw missing(`1-wire sensor ${sensor}`);
      const celsius = sensors.get(sensor);
      if (celsius === undefined) throw failed(`1-wire sensor ${sensor}`);
      return celsius;
    },
    readPin: async (pin) => levelOf(pin),
    async writePin(pin, level) {
      levelOf(pin);
      pins.set(keyOf(pin), level);
    },
    async readI2c({ bus, address }, register, length) {
      const device = deviceOf(bus, address);
      return Uint8Array.from({ length }, (_, at) => device[(register + at) % 256] ?? 0);
    },
    async writeI2c({ bus, address }, register, bytes) {
      const device = deviceOf(bus, address);
      bytes.forEach((byte, at) => {
        device[(register + at) % 256] = byte;
      });
    },
    async openSerial(path) {
      const line = lines.get(path);
      if (line === undefined) throw missing(`serial line ${path}`);
      return line.open();
    },
  };
}

function createLine(path: string): MemorySerial & { open(): SerialLine } {
  const written: number[] = [];
  const listeners = new Set<(bytes: Uint8Array) => void>();
  const ends: ((reason: string | undefined) => void)[] = [];
  let isOver = false;
  const end = (reason: string | undefined): void => {
    if (isOver) return;
    isOver = true;
    for (const tell of ends.splice(0)) tell(reason);
    listeners.clear();
  };
  return {
    written,
    say: (bytes) => listeners.forEach((listener) => listener(bytes.slice())),
    unplug: () => end('the line is gone'),
    open() {
      isOver = false;
      return {
        async write(bytes) {
          if (isOver) throw failed(`serial line ${path}`);
          written.push(...bytes);
        },
        onBytes(listener) {
          listeners.add(listener);
          return () => void listeners.delete(listener);
        },
        onEnd: (listener) => void ends.push(listener),
        close: async () => end(undefined),
      };
    },
  };
}

function missing(device: string): MycelError {
  return new MycelError('MYCEL_NO_DEVICE', { device, reason: `There is no ${device}.` });
}

function failed(device: string): MycelError {
  return new MycelError('MYCEL_DEVICE_FAILED', {
    device,
    reason: `${device}: it does not answer.`,
  });
}
