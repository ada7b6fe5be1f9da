/** A process with one rung, steered by lines of JSON: it runs inside of a network namespace. */

import { createInterface } from 'node:readline';

import { createMdnsRung } from '../../../src/adapters/bonjour/rung.ts';
import { createMulticastRung } from '../../../src/adapters/multicast/rung.ts';
import { createInterfaceWatch } from '../../../src/adapters/system/interfaces.ts';
import { createSystemClock } from '../../../src/adapters/system/clock.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import type { Clock } from '../../../src/ports/clock.ts';
import type { Beacon } from '../../../src/ports/discovery.ts';
import type { ServiceSpec } from '../../../src/adapters/bonjour/records.ts';

/** A line from the test. */
export type RungCommand =
  | { readonly do: 'start' | 'burst' | 'records' | 'dump' | 'stop' | 'memory' | 'now' }
  | { readonly do: 'announce'; readonly beacon: Beacon }
  | { readonly do: 'addService' | 'removeService'; readonly service: ServiceSpec };

/** What the test says on the command line. */
export interface RungChildOptions {
  readonly kind: 'mdns' | 'multicast';
  /** How many times faster the rung's clock runs. */
  readonly speed: number;
  readonly seed: number;
  readonly names?: readonly string[];
  readonly periodMs?: number;
}

const options = JSON.parse(process.argv[2] ?? '{}') as RungChildOptions;
const lines = createInterface({ input: process.stdin });

function fastClock(speed: number): Clock {
  const system = createSystemClock();
  return {
    now: () => system.now() * speed,
    wallMs: () => system.wallMs(),
    alarm: (at, ring) => system.alarm(at / speed, ring),
  };
}

const interfaces = createInterfaceWatch({
  periodMs: options.periodMs ?? 1_000,
  ...(options.names === undefined ? {} : { names: options.names }),
});
const build = options.kind === 'mdns' ? createMdnsRung : createMulticastRung;
const clock = fastClock(options.speed);
const startedAt = clock.now();
const rung = build({
  clock,
  random: createRandom(options.seed),
  interfaces,
});

/** Sockets, timers and look-ups that are alive; the process owns none of these but for the rung. */
function handles(): string[] {
  const ours = new Set(['UDPWrap', 'Timeout', 'GetAddrInfoReqWrap', 'QueryReqWrap']);
  return process.getActiveResourcesInfo().filter((name) => ours.has(name));
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function run(command: RungCommand): Promise<unknown> {
  switch (command.do) {
    case 'start':
      return rung.start({
        seen: (sighting) => say({ event: 'seen', sighting, at: Date.now() }),
        lost: (node) => say({ event: 'lost', node, at: Date.now() }),
        trouble: (problem) => say({ event: 'trouble', problem, at: Date.now() }),
      });
    case 'announce':
      return rung.announce(command.beacon);
    case 'burst':
      return rung.burst();
    case 'records':
      return rung.records();
    case 'dump':
      return 'dump' in rung ? rung.dump() : [];
    case 'addService':
      return 'addService' in rung ? rung.addService(command.service) : undefined;
    case 'removeService':
      return 'removeService' in rung ? rung.removeService(command.service) : undefined;
    case 'memory':
      return process.memoryUsage().heapUsed;
    case 'now':
      return clock.now() - startedAt;
    case 'stop': {
      await rung.stop();
      interfaces.stop();
      // The kernel's side of a closed socket is gone two turns of the loop later.
      for (let turn = 0; turn < 2; turn += 1) await new Promise((next) => setImmediate(next));
      return handles();
    }
  }
}

lines.on('line', (line) => {
  const { id, ...command } = JSON.parse(line) as RungCommand & { id: number };
  void run(command as RungCommand).then(
    (result) => say({ id, result: result ?? null }),
    (error: unknown) => say({ id, error: String(error) }),
  );
});
lines.on('close', () => process.exit(0));
say({ event: 'up' });
