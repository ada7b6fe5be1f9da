/** What an agent may do with what is wired to its board. */

import * as z from 'zod/mini';
import { MycelError } from '../../kernel/errors.ts';
import type { Peripherals } from '../../ports/peripherals.ts';

const pin = z.strictObject({
  chip: z.optional(z.string().check(z.regex(/^gpiochip\d{1,4}$/))),
  line: z.int().check(z.gte(0), z.lte(4095)),
});
const device = z.strictObject({ bus: z.int(), address: z.int() });
const level = z.union([z.literal(0), z.literal(1)]);
const sensor = z.string().check(z.maxLength(32));
const path = z.string().check(z.maxLength(64));
const bytes = z.instanceof(Uint8Array).check(z.refine((one) => one.length <= 4_096));
const options = z.optional(z.strictObject({ baud: z.optional(z.int()) }));

/** Serial lines that one run of an agent may have open. */
export const agentSerialMax = 4;

/** What the run of an agent has open. */
export interface AgentDevice {
  /** @throws {MycelError} MYCEL_BAD_OPTION, and what the port promises */
  perform(action: string, args: readonly unknown[]): Promise<unknown>;
  /** Closes it. */
  end(): void;
}

/** @param heard what came in on a serial line, and that a line is gone */
export function createAgentDevice(
  io: Peripherals,
  heard: (
    message:
      | { readonly type: 'serial'; readonly path: string; readonly bytes: Uint8Array }
      | { readonly type: 'serial-end'; readonly path: string; readonly reason: string | undefined },
  ) => void,
): AgentDevice {
  const open = new Map<string, Awaited<ReturnType<Peripherals['openSerial']>>>();

  async function openSerial(name: string, how: z.infer<typeof options>): Promise<void> {
    if (open.has(name)) return;
    if (open.size >= agentSerialMax) {
      throw bad(`An agent has ${agentSerialMax} serial lines at most.`);
    }
    const { baud } = how ?? {};
    const line = await io.openSerial(name, baud === undefined ? {} : { baud });
    open.set(name, line);
    line.onBytes((came) => heard({ type: 'serial', path: name, bytes: came }));
    line.onEnd((reason) => {
      if (open.delete(name)) heard({ type: 'serial-end', path: name, reason });
    });
  }

  return {
    async perform(action, args) {
      const [first, second, third] = args;
      switch (action) {
        case 'oneWire':
          return io.oneWire();
        case 'temperature':
          return io.temperature(read(sensor, first));
        case 'readPin':
          return io.readPin(pinOf(first));
        case 'writePin':
          return io.writePin(pinOf(first), read(level, second));
        case 'readI2c':
          return io.readI2c(read(device, first), read(z.int(), second), read(z.int(), third));
        case 'writeI2c':
          return io.writeI2c(read(device, first), read(z.int(), second), read(bytes, third));
        case 'openSerial':
          return openSerial(read(path, first), read(options, second));
        case 'writeSerial': {
          const line = open.get(read(path, first));
          if (line === undefined) throw bad('Open the serial line first.');
          return line.write(read(bytes, second));
        }
        default:
          throw bad(`There is no '${action.slice(0, 32)}' at a board.`);
      }
    },
    end() {
      for (const line of open.values()) line.close().catch(() => {});
      open.clear();
    },
  };
}

function pinOf(value: unknown): { readonly line: number; readonly chip?: string } {
  const { line, chip } = read(pin, value);
  return chip === undefined ? { line } : { line, chip };
}

function read<Read>(schema: z.ZodMiniType<Read>, value: unknown): Read {
  const result = z.safeParse(schema, value);
  if (result.success) return result.data;
  throw bad('An argument is not what it should be.');
}

function bad(reason: string): MycelError {
  return new MycelError('MYCEL_BAD_OPTION', { reason });
}
