/** The contract of every rung that hears a LAN: the same laws for the memory twin and for real sockets. */

import { createHash } from 'node:crypto';

import { afterEach, describe, expect, test } from 'vitest';

import { nodeIdFromHash } from '../../src/kernel/ids.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import type { Beacon, RungRecord, Sighting } from '../../src/ports/discovery.ts';

/** What a rung reported, with the wall clock of the host that all stations share. */
export type RungEvent =
  | { readonly event: 'up' }
  | { readonly event: 'seen'; readonly sighting: Sighting; readonly at: number }
  | { readonly event: 'lost'; readonly node: NodeId; readonly at: number }
  | {
      readonly event: 'trouble';
      readonly problem?: { readonly reason: string; readonly fix: string };
      readonly at: number;
    };

/** A rung somewhere on the LAN of a world. */
export interface RungStation {
  readonly address: string;
  readonly events: readonly RungEvent[];
  start(): Promise<void>;
  announce(beacon: Beacon): Promise<void>;
  burst(): Promise<void>;
  records(): Promise<readonly RungRecord[]>;
  /** Stops the rung; returns the handles it left behind. */
  stop(): Promise<readonly string[]>;
  /** Dies without a word. */
  vanish(): Promise<void>;
  /** The first event from index `from` on that fits. */
  waitFor(
    words: string,
    isIt: (event: RungEvent) => boolean,
    withinMs: number,
    from?: number,
  ): Promise<RungEvent>;
}

/** A LAN. */
export interface RungWorld {
  station(): Promise<RungStation>;
  /** Cables, where the world has any. */
  readonly cables?: {
    pull(station: RungStation): void;
    plug(station: RungStation): void;
    /** A new adapter with the old address. */
    replug(station: RungStation): void;
    readdress(station: RungStation, to: string): void;
    /** An address nobody has. */
    freeAddress(): string;
  };
  close(): Promise<void>;
}

/** A beacon of a made-up node. */
export function beaconOf(label: string, port = 1883): Beacon {
  const hash = createHash('sha256').update(label).digest();
  return {
    node: nodeIdFromHash(hash),
    meshTag: hash.toString('hex').slice(0, 16),
    state: 'member',
    port,
  };
}

/** Whether the event says that this beacon was seen, at this address if given. */
export function sees(beacon: Beacon, host?: string): (event: RungEvent) => boolean {
  return (event) =>
    event.event === 'seen' &&
    event.sighting.node === beacon.node &&
    event.sighting.state === beacon.state &&
    event.sighting.meshTag === beacon.meshTag &&
    (host === undefined ||
      (event.sighting.addresses[0]?.host === host &&
        event.sighting.addresses[0].port === beacon.port));
}

/** Whether the event says that this node was lost. */
export function loses(beacon: Beacon): (event: RungEvent) => boolean {
  return (event) => event.event === 'lost' && event.node === beacon.node;
}

/** Holds a rung to the contract. `createWorld` is called for each law; `speed` is how much faster its clock runs. */
export function rungContract(
  name: string,
  createWorld: (speed: number) => Promise<RungWorld>,
  hasCables: boolean,
): void {
  describe(`${name} as a rung`, () => {
    let world: RungWorld | undefined;
    afterEach(async () => {
      await world?.close();
      world = undefined;
    });

    async function pair(speed = 1): Promise<readonly [RungStation, RungStation]> {
      world = await createWorld(speed);
      const left = await world.station();
      const right = await world.station();
      await left.start();
      await right.start();
      return [left, right];
    }
    const here = beaconOf('here');
    const there = beaconOf('there', 1884);

    test('two stations see each other, at the address they really have', async () => {
      const [left, right] = await pair();
      await left.announce(here);
      await right.announce(there);
      await left.waitFor('left sees right', sees(there, right.address), 5_000);
      await right.waitFor('right sees left', sees(here, left.address), 5_000);
      const records = await right.records();
      expect(records.map((record) => record.node)).toEqual([here.node]);
      expect(records[0]?.addresses[0]).toEqual({ host: left.address, port: here.port });
    });

    test('a newcomer sees a station that has long been quiet within a second', async () => {
      const [left, right] = await pair();
      await left.announce(here);
      await right.waitFor('the beacon is out', sees(here), 5_000);
      const newcomer = await (world as RungWorld).station();
      const startedAt = Date.now();
      await newcomer.start();
      await newcomer.announce(there);
      const seen = await newcomer.waitFor('newcomer sees left', sees(here), 5_000);
      const known = await left.waitFor('left sees the newcomer', sees(there), 5_000);
      expect('at' in seen ? seen.at - startedAt : Infinity).toBeLessThan(1_000);
      expect('at' in known ? known.at - startedAt : Infinity).toBeLessThan(1_000);
    });

    test('a station that only listens sees others and is seen by nobody', async () => {
      const [left, right] = await pair();
      await left.announce(here);
      await right.burst();
      await right.waitFor('right sees left', sees(here), 5_000);
      expect(await left.records()).toEqual([]);
    });

    test('a changed beacon replaces the old one', async () => {
      const [left, right] = await pair();
      await left.announce(here);
      await right.waitFor('right sees left', sees(here), 5_000);
      const open: Beacon = { ...here, state: 'open', meshTag: 'feedfacefeedface' };
      await left.announce(open);
      await right.waitFor('right sees the change', sees(open), 5_000);
      expect((await right.records()).map((record) => record.state)).toEqual(['open']);
    });

    test('who stops is lost at once, and leaves no handle behind', async () => {
      const [left, right] = await pair();
      await left.announce(here);
      await right.waitFor('right sees left', sees(here), 5_000);
      expect(await left.stop()).toEqual([]);
      await right.waitFor('right loses left', loses(here), 2_000);
      expect(await right.records()).toEqual([]);
      expect(await right.stop()).toEqual([]);
    });

    test('a station that was never started or announced stops cleanly', async () => {
      world = await createWorld(1);
      const idle = await world.station();
      expect(await idle.stop()).toEqual([]);
      const mute = await world.station();
      await mute.start();
      expect(await mute.stop()).toEqual([]);
    });

    test('who vanishes without a goodbye expires, and who lives does not', async () => {
      const [left, right] = await pair(12);
      const third = await (world as RungWorld).station();
      const living = beaconOf('living');
      await third.start();
      await left.announce(here);
      await right.announce(there);
      await third.announce(living);
      await left.waitFor('left sees right', sees(there), 5_000);
      await left.waitFor('left sees the third', sees(living), 5_000);
      await right.vanish();
      await left.waitFor('left loses right', loses(there), 20_000);
      expect(left.events.some(loses(living))).toBe(false);
      expect((await left.records()).map((record) => record.node)).toEqual([living.node]);
    });

    test('nothing is reported once stop has resolved', async () => {
      const [left, right] = await pair();
      await left.announce(here);
      await right.waitFor('right sees left', sees(here), 5_000);
      await right.stop();
      const count = right.events.length;
      await left.announce({ ...here, state: 'open' });
      await left.burst();
      await left.stop();
      expect(right.events.length).toBe(count);
    });

    if (!hasCables) return;

    test('a pulled cable does no harm, and both are found again after it is back', async () => {
      const [left, right] = await pair();
      const { cables } = world as RungWorld;
      await left.announce(here);
      await right.announce(there);
      await left.waitFor('left sees right', sees(there), 5_000);
      cables?.pull(left);
      await left.burst();
      await right.burst();
      const changed: Beacon = { ...there, state: 'open' };
      await right.announce(changed);
      cables?.plug(left);
      await left.waitFor('left sees the change', sees(changed), 15_000);
      const news: Beacon = { ...here, state: 'open' };
      await left.announce(news);
      await right.waitFor('right hears left again', sees(news), 5_000);
    });

    test('an adapter that is unplugged and plugged in again is used again', async () => {
      const [left, right] = await pair();
      const { cables } = world as RungWorld;
      await left.announce(here);
      await right.announce(there);
      await left.waitFor('left sees right', sees(there), 5_000);
      cables?.replug(left);
      const changed: Beacon = { ...there, state: 'open' };
      await right.announce(changed);
      await left.waitFor('left sees the change', sees(changed), 15_000);
      const news: Beacon = { ...here, state: 'open' };
      await left.announce(news);
      await right.waitFor('right hears left again', sees(news, left.address), 15_000);
    });

    test('a new address is told and takes the first place', async () => {
      const [left, right] = await pair();
      const { cables } = world as RungWorld;
      await left.announce(here);
      await right.waitFor('right sees left', sees(here, left.address), 5_000);
      const to = cables?.freeAddress() ?? '';
      cables?.readdress(left, to);
      await right.waitFor('right sees the new address', sees(here, to), 15_000);
    });
  });
}
