/** The memory twin keeps the contract of a rung. */

import { EventEmitter, once } from 'node:events';

import { createMemoryNetwork } from '../../../src/adapters/memory/rung.ts';
import { createSystemClock } from '../../../src/adapters/system/clock.ts';
import type { Clock } from '../../../src/ports/clock.ts';
import { rungContract } from '../../contract/rung.ts';
import type { RungEvent, RungStation, RungWorld } from '../../contract/rung.ts';

/** A clock that can die: after that, no alarm of it rings. */
function createMortalClock(speed: number): Clock & { die(): void; alarms: Set<object> } {
  const clock = createSystemClock();
  const alarms = new Set<object>();
  let isDead = false;
  return {
    alarms,
    die: () => void (isDead = true),
    now: () => clock.now() * speed,
    wallMs: () => clock.wallMs(),
    alarm(at, ring) {
      const alarm = {};
      alarms.add(alarm);
      const cancel = clock.alarm(at / speed, () => {
        alarms.delete(alarm);
        if (!isDead) ring();
      });
      return () => {
        alarms.delete(alarm);
        cancel();
      };
    },
  };
}

function createWorld(speed: number): RungWorld {
  const network = createMemoryNetwork();
  const stations: { stop(): Promise<unknown> }[] = [];

  function createStation(): RungStation {
    const clock = createMortalClock(speed);
    const address = `10.0.0.${stations.length + 1}`;
    const rung = network.createRung({ clock, host: address });
    const events: RungEvent[] = [];
    const bus = new EventEmitter();
    const push = (event: RungEvent): void => {
      events.push(event);
      bus.emit('event');
    };
    const station: RungStation = {
      address,
      events,
      start: () =>
        rung.start({
          seen: (sighting) => push({ event: 'seen', sighting, at: Date.now() }),
          lost: (node) => push({ event: 'lost', node, at: Date.now() }),
          trouble: (problem) => {
            push({
              event: 'trouble',
              ...(problem === undefined ? {} : { problem }),
              at: Date.now(),
            });
          },
        }),
      announce: (beacon) => Promise.resolve(rung.announce(beacon)),
      burst: () => Promise.resolve(rung.burst()),
      records: () => Promise.resolve(rung.records()),
      async stop() {
        await rung.stop();
        return [...clock.alarms].map(() => 'alarm');
      },
      vanish: () => Promise.resolve(clock.die()),
      async waitFor(words, isIt, withinMs, from = 0) {
        const signal = AbortSignal.timeout(withinMs);
        for (let at = from; ; at += 1) {
          while (at >= events.length) {
            await once(bus, 'event', { signal }).catch((error: unknown) => {
              throw new Error(`Not within ${withinMs} ms: ${words}.`, { cause: error });
            });
          }
          const event = events[at];
          if (event !== undefined && isIt(event)) return event;
        }
      },
    };
    stations.push(station);
    return station;
  }

  return {
    station: () => Promise.resolve(createStation()),
    async close() {
      await Promise.all(stations.map((station) => station.stop()));
    },
  };
}

rungContract('memory', (speed) => Promise.resolve(createWorld(speed)), false);
