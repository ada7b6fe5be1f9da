/** Discovery without a network: rungs of one process that see each other, the twin of the mDNS and multicast rungs. */

import type { Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Beacon, Rung, RungHandlers, RungName } from '../../ports/discovery.ts';
import { createSightingTable } from '../discovery/sighting-table.ts';
import type { SightingTable } from '../discovery/sighting-table.ts';

/** A node that is not heard for this long is lost, in ms. */
const holdMs = 120_000;

/** How often a rung tells itself again, in ms. */
const repeatMs = 30_000;

/** A LAN in memory. */
export interface MemoryNetwork {
  /** Makes a rung of a node that is reached at `host`. */
  createRung(options: MemoryRungOptions): Rung;
}

/** How to make a rung. */
interface MemoryRungOptions {
  readonly clock: Clock;
  readonly host: string;
  /** @default 'multicast' */
  readonly name?: RungName;
}

interface Station {
  hear(beacon: Beacon, host: string): void;
  forget(node: NodeId): void;
  /** What a newcomer is answered. */
  tell(): void;
}

/** Makes an empty network. Delivery is asynchronous, in order, and never fails. */
export function createMemoryNetwork(): MemoryNetwork {
  const stations = new Set<Station>();

  /** Delivers to everybody else who is still there by then. */
  function shout(sender: Station, deliver: (station: Station) => void): void {
    queueMicrotask(() => {
      for (const station of stations) if (station !== sender) deliver(station);
    });
  }

  function createRung({ clock, host, name = 'multicast' }: MemoryRungOptions): Rung {
    let beacon: Beacon | undefined;
    let handlers: RungHandlers | undefined;
    let table: SightingTable | undefined;
    let toldAt: Millis = -Infinity;
    let cancel = (): void => {};
    let isStopped = false;

    const station: Station = {
      hear(heard, from) {
        const addresses: readonly Address[] = [{ host: from, port: heard.port }];
        const { node, meshTag, state } = heard;
        if (node === beacon?.node) return;
        const verdict = table?.hear({ node, meshTag, state, addresses, holdMs, source: from });
        if (verdict === 'new' && clock.now() > toldAt) tell();
      },
      forget: (node) => table?.forget(node),
      tell,
    };

    function tell(): void {
      cancel();
      if (isStopped || table === undefined) return;
      toldAt = clock.now();
      const said = beacon;
      if (said !== undefined) shout(station, (other) => other.hear(said, host));
      cancel = clock.alarm(clock.now() + repeatMs, tell);
    }

    return {
      name,
      start(given) {
        if (handlers !== undefined || isStopped) return Promise.resolve();
        handlers = given;
        table = createSightingTable({ rung: name, clock, handlers: given });
        stations.add(station);
        tell();
        shout(station, (other) => other.tell());
        return Promise.resolve();
      },
      announce(next) {
        beacon = next;
        tell();
      },
      burst() {
        if (isStopped || table === undefined) return;
        tell();
        shout(station, (other) => other.tell());
      },
      records: () => table?.records() ?? [],
      stop() {
        if (isStopped) return Promise.resolve();
        isStopped = true;
        cancel();
        table?.close();
        stations.delete(station);
        const node = beacon?.node;
        if (node !== undefined && handlers !== undefined) {
          shout(station, (other) => other.forget(node));
        }
        return Promise.resolve();
      },
    };
  }

  return { createRung };
}
