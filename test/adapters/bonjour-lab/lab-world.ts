/** The contract's world on real sockets: each station is a process in its own namespace. */

import type { RungStation, RungWorld } from '../../contract/rung.ts';
import { createLab } from './lab.ts';
import type { RungChildOptions } from './rung-child.ts';
import { spawnRung } from './remote-rung.ts';
import type { RemoteRung } from './remote-rung.ts';

/** Builds a world for one kind of rung. */
export function createLabWorld(options: Omit<RungChildOptions, 'seed'>): RungWorld {
  const lab = createLab();
  const stations: RemoteRung[] = [];
  let nextAddress = 1;
  const freeAddress = (): string => `10.77.0.${nextAddress++}`;
  const hostOf = (station: RungStation): RemoteRung['host'] => (station as RemoteRung).host;
  return {
    async station() {
      const host = lab.host(freeAddress());
      const station = await spawnRung(host, { ...options, seed: stations.length + 1 });
      stations.push(station);
      return station;
    },
    cables: {
      pull: (station) => lab.linkDown(hostOf(station)),
      plug: (station) => lab.linkUp(hostOf(station)),
      replug: (station) => lab.replug(hostOf(station)),
      readdress: (station, to) => lab.readdress(hostOf(station), station.address, to),
      freeAddress,
    },
    async close() {
      for (const station of stations) {
        station.signal('SIGKILL');
        await station.ended;
      }
      lab.close();
      const died = stations.map((station) => station.stderr()).join('');
      if (died !== '') throw new Error(`A rung's process complained: ${died}`);
    },
  };
}
