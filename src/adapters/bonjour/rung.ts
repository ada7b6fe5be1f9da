/** The mDNS rung: nodes are DNS-SD services `_mycel._tcp` that any tool on the LAN can see. */

import type { RemoteInfo } from 'node:dgram';

import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Beacon, Rung, RungHandlers } from '../../ports/discovery.ts';
import { createDoublingTimer } from '../discovery/doubling-timer.ts';
import { isNeighbour } from '../discovery/lan-address.ts';
import { createSightingTable } from '../discovery/sighting-table.ts';
import type { SightingTable } from '../discovery/sighting-table.ts';
import { createSourceGate } from '../discovery/token-bucket.ts';
import type { InterfaceWatch } from '../system/interfaces.ts';
import { loadBonjour } from './guarded-bonjour.ts';
import type { BonjourClass } from './guarded-bonjour.ts';
import {
  beaconRecords,
  checkService,
  readAnswers,
  serviceRecords,
  serviceTypeOf,
  servicesMax,
} from './records.ts';
import type { DnsRecord, MdnsHeard, ServiceSpec } from './records.ts';
import { createResponder } from './responder.ts';
import type { Responder } from './responder.ts';

/** How to build the rung. */
export interface MdnsRungOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly interfaces: InterfaceWatch;
}

/** The rung, with services that can be added and removed while it runs. */
export interface MdnsRung extends Rung {
  /**
   * Publishes another service of this node; the same type and name replaces the earlier one. Told from the first
   * `announce` on, because the service is reached at the node's host name.
   * @throws {MycelError} MYCEL_BAD_OPTION when DNS cannot carry it, or there are 32 already.
   */
  addService(service: ServiceSpec): void;
  /** Withdraws it with a goodbye. Unknown ones are ignored. */
  removeService(service: Pick<ServiceSpec, 'type' | 'name' | 'protocol'>): void;
  /** Every record we publish, per interface: for `mycel discover` and for debugging. */
  dump(): readonly { readonly interface: string; readonly records: readonly DnsRecord[] }[];
}

/** Pause between questions, in ms: 1 s, doubling to a minute. */
const queryMs = [1_000, 60_000] as const;

/**
 * A question that somebody else asked within this share of the pause need not be asked again (RFC 6762 7.3): its answers
 * came to everybody. Whoever missed it asks itself, and the asker asks again within 66 s: well inside of the life of a
 * record. One question a pause serves the whole LAN, however many start together.
 */
const askedFreshShare = 5 / 6;

/** Pause before a taken port is tried again, in ms, doubling. */
const retryMs = [1_000, 30_000] as const;

type Problem = NonNullable<Parameters<RungHandlers['trouble']>[0]>;

/** Builds the rung; the library is loaded and the sockets are opened in `start`. */
export function createMdnsRung(options: MdnsRungOptions): MdnsRung {
  const { clock, random, interfaces } = options;
  const responders = new Map<string, Responder>();
  const working = new Set<Responder>();
  const services = new Map<string, ServiceSpec>();
  const closing = new Set<Promise<void>>();
  const gate = createSourceGate();
  let labels = labelsOf(undefined, []);
  let bonjourClass: BonjourClass | undefined;
  let beacon: Beacon | undefined;
  let handlers: RungHandlers | undefined;
  let table: SightingTable | undefined;
  let problem: Problem | undefined;
  let lastQueryAt: Millis = -Infinity;
  let unsubscribe = (): void => {};
  let stopped: Promise<void> | undefined;

  const queries = createDoublingTimer({
    clock,
    random,
    firstMs: queryMs[0],
    maxMs: queryMs[1],
    ring() {
      const freshMs = (clock.now() - lastQueryAt) * askedFreshShare;
      lastQueryAt = clock.now();
      for (const responder of responders.values()) {
        if (clock.now() - responder.askedAt() >= freshMs) responder.query();
      }
    },
  });
  const retry = createDoublingTimer({
    clock,
    random,
    firstMs: retryMs[0],
    maxMs: retryMs[1],
    ring: sync,
  });

  function say(next: Problem | undefined): void {
    if (next?.reason === problem?.reason || stopped !== undefined) return;
    problem = next;
    handlers?.trouble(next);
  }

  /** One responder per interface; an interface that came, went or changed its address gets a new one. */
  function sync(): void {
    if (bonjourClass === undefined || stopped !== undefined) return;
    const current = interfaces.current();
    const wanted = new Map<string, () => Responder>();
    for (const net of current) {
      const v4 = net.addresses.filter((address) => address.family === 'IPv4');
      const host = v4[0]?.host;
      const key = `${net.name}#${net.index}#${v4.map((address) => address.host).join(',')}`;
      const opened = bonjourClass;
      if (host !== undefined) wanted.set(key, () => open(opened, key, net, host));
    }
    for (const [key, responder] of responders) {
      if (!wanted.has(key)) retire(key, responder);
    }
    for (const [key, create] of wanted) {
      if (!responders.has(key)) responders.set(key, create());
    }
    if (wanted.size === 0) {
      say({
        reason: 'No network interface with an IPv4 address is up.',
        fix: 'Plug in a cable, connect the Wi-Fi, or name the interface to use.',
      });
    }
  }

  function open(opened: BonjourClass, key: string, net: Responder['net'], host: string): Responder {
    const responder: Responder = createResponder({
      bonjourClass: opened,
      clock,
      net,
      host,
      interfaces: () => interfaces.current(),
      admit: (bytes, from) => isWanted(bytes, from),
      answered: (packet, from) => onAnswer(packet, from),
      ready() {
        working.add(responder);
        say(undefined);
        responder.query();
        responder.publish(recordsFor(responder));
      },
      failed(error, isFatal) {
        if (isFatal) {
          retire(key, responder);
          retry.rearm();
        }
        onFailure(error);
      },
    });
    return responder;
  }

  function onFailure(error: Error): void {
    if (working.size === 0) say(problemOf(error));
    // A send that failed is often the first sign of a pulled cable.
    interfaces.refresh();
  }

  function retire(key: string, responder: Responder): void {
    if (responders.get(key) === responder) responders.delete(key);
    working.delete(responder);
    const closed = responder.close(false);
    closing.add(closed);
    void closed.then(() => closing.delete(closed));
  }

  function isWanted(bytes: Buffer, from: RemoteInfo): boolean {
    if (!labels.some((label) => bytes.includes(label))) return false;
    const subnets = interfaces.current().flatMap((net) => net.addresses);
    return isNeighbour(from.address, subnets) && gate.admit(clock.now(), from.address);
  }

  function onAnswer(packet: unknown, from: RemoteInfo): void {
    if (table === undefined || stopped !== undefined) return;
    const { heard, goodbyes } = readAnswers(packet);
    for (const node of goodbyes) if (node !== beacon?.node) table.forget(node, from.address);
    const isGone = new Set(goodbyes);
    for (const said of heard) {
      if (said.node === beacon?.node || isGone.has(said.node)) continue;
      const { node, meshTag, state, holdMs } = said;
      const addresses = addressesOf(said, from.address);
      table.hear({ node, meshTag, state, addresses, holdMs, source: from.address });
    }
  }

  /** Where the packet came from is true; what it says about addresses may be stale or of another LAN. */
  function addressesOf(said: MdnsHeard, source: string): { host: string; port: number }[] {
    const subnets = interfaces.current().flatMap((net) => net.addresses);
    const hints = said.hosts.filter((host) => host !== source && isNeighbour(host, subnets));
    return [source, ...hints].map((host) => ({ host, port: said.port }));
  }

  function recordsFor(responder: Responder): DnsRecord[] {
    if (beacon === undefined) return [];
    const { node } = beacon;
    const hosts = responder.net.addresses
      .filter((address) => address.family === 'IPv4')
      .map((address) => address.host);
    return [
      ...beaconRecords(beacon, hosts),
      ...[...services.values()].flatMap((service) => serviceRecords(node, service)),
    ];
  }

  function publishAll(): void {
    labels = labelsOf(beacon, [...services.values()]);
    // One that is not ready yet publishes when it is.
    for (const responder of working) responder.publish(recordsFor(responder));
  }

  async function stop(): Promise<void> {
    unsubscribe();
    queries.stop();
    retry.stop();
    table?.close();
    const goodbyes = [...responders.values()].map((responder) => responder.close(true));
    responders.clear();
    await Promise.all([...goodbyes, ...closing]);
  }

  return {
    name: 'mdns',
    async start(given) {
      if (handlers !== undefined || stopped !== undefined) return;
      handlers = given;
      table = createSightingTable({ rung: 'mdns', clock, handlers: given });
      bonjourClass = await loadBonjour();
      if (stopped !== undefined) return;
      unsubscribe = interfaces.subscribe(() => {
        sync();
        queries.restart();
      });
      sync();
      lastQueryAt = clock.now();
      queries.rearm();
    },
    announce(next) {
      beacon = next;
      if (stopped === undefined) publishAll();
    },
    burst() {
      if (table !== undefined && stopped === undefined) queries.restart();
    },
    records: () => table?.records() ?? [],
    addService(service) {
      checkService(service);
      const key = keyOf(service);
      if (!services.has(key) && services.size >= servicesMax) {
        const reason = `There are ${servicesMax} services already.`;
        throw new MycelError('MYCEL_BAD_OPTION', { field: 'service', reason });
      }
      services.set(key, service);
      if (stopped === undefined) publishAll();
    },
    removeService(service) {
      const key = keyOf(service);
      const removed = services.get(key);
      if (removed === undefined || stopped !== undefined) return;
      services.delete(key);
      publishAll();
      if (beacon === undefined) return;
      const gone = serviceRecords(beacon.node, removed);
      for (const responder of responders.values()) {
        // The list of types may still hold this one for another service.
        const kept = new Set(responder.records().map((record) => `${record.name} ${record.type}`));
        responder.withdraw(
          gone.filter((record, at) => at === 0 || !kept.has(`${record.name} ${record.type}`)),
        );
      }
    },
    dump: () =>
      [...responders.values()].map((responder) => ({
        interface: responder.net.name,
        records: responder.records(),
      })),
    stop() {
      stopped ??= stop();
      return stopped;
    },
  };
}

function keyOf(service: Pick<ServiceSpec, 'type' | 'name' | 'protocol'>): string {
  return `${service.name}.${serviceTypeOf(service)}`.toLowerCase();
}

/** DNS labels of which a packet must hold one to concern us: the LAN's other mDNS traffic is not even decoded. */
function labelsOf(beacon: Beacon | undefined, services: readonly ServiceSpec[]): string[] {
  const labels = ['_mycel', '_services', ...services.map((service) => `_${service.type}`)];
  return beacon === undefined ? labels : [...labels, beacon.node];
}

function problemOf(error: Error): Problem {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.message;
  if (code === 'EADDRINUSE' || code === 'EACCES') {
    return {
      reason: `UDP port 5353 cannot be opened (${code}): another program keeps mDNS to itself.`,
      fix: 'Stop that program ("ss -ulpn sport = 5353" names it), or for Avahi set disallow-other-stacks=no.',
    };
  }
  return {
    reason: `mDNS cannot be sent or heard (${code}).`,
    fix: 'Check that the network interface is up and that the firewall allows UDP 5353.',
  };
}
