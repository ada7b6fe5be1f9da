/** The side of an update that installs: takes signed orders, and carries out what the core decides. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { MeshId } from '../../kernel/ids.ts';
import { invariant } from '../../kernel/invariant.ts';
import type { Calls } from '../../ports/calls.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import type { Store } from '../../ports/store.ts';
import type { Versions } from '../../ports/versions.ts';
import { createInstallation } from '../../protocol/rollout/installation.ts';
import type {
  InstallationEffect,
  InstallationInput,
  KeptOrder,
} from '../../protocol/rollout/installation.ts';
import type { InstallReport } from '../../protocol/rollout/messages.ts';
import { doesRun, readPackage, versionName } from '../../wire/package.ts';
import {
  decodeInstallRecord,
  encodeInstallRecord,
  encodeReport,
  readUpdateOrder,
} from '../../wire/update-order.ts';
import type { InstallRecord, UpdateOrder } from '../../wire/update-order.ts';
import type { Blobs } from '../blobs/blobs.ts';
import { drive } from '../drive.ts';
import type { Driver } from '../drive.ts';
import type { MeshNode, NodeOptions } from '../mesh-node.ts';
import type { PartWorld } from '../parts.ts';
import { dutiesMax } from './duties.ts';
import type { Duties } from './duties.ts';
import { troubleOf } from './health.ts';
import type { Launch } from './launch.ts';

/** Starts that one trial has: a power cut takes one, and so does a version that does not last. */
export const trialStarts = 3;

/** How long the members hold a node that restarts for asleep instead of dead, in ms. */
const restartMs = 30_000;

/** Orders that may wait for the disk; one admin sends one at a time. */
const askedMax = 8;

const recordName = 'update-order';

/** What it needs. */
export interface InstallWorld {
  readonly node: MeshNode;
  readonly calls: Calls;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly store: Store;
  readonly blobs: Blobs;
  readonly versions: Versions;
  readonly duties: Duties;
  readonly options: Pick<NodeOptions, 'launch' | 'probe'>;
  home: PartWorld['home'];
  authority: PartWorld['authority'];
  /** The process is to end and to be started again. */
  restart(): void;
}

/** The desk. */
export interface InstallDesk {
  start(): Promise<void>;
  stop(): void;
  report(): InstallReport;
}

/** Builds it. */
export function createInstallDesk(world: InstallWorld): InstallDesk {
  const { node, calls, clock, log, metrics, store, blobs, versions, duties } = world;
  const core = createInstallation();
  let driver: Driver<InstallationInput> | undefined;
  let record: InstallRecord | undefined;
  /** Orders that the core is being asked about, by number. */
  const asked = new BoundedMap<number, Uint8Array>(askedMax);
  let fetching = new AbortController();
  let ends: (() => void)[] = [];

  function launch(): Launch {
    const given = world.options.launch;
    if (given !== undefined) return given;
    throw new MycelError('MYCEL_NOT_UPDATABLE');
  }

  /** Who signed it, whom it is for, what it names: nothing of an order is believed before. */
  function check(bytes: Uint8Array): UpdateOrder {
    const update = readUpdateOrder(bytes);
    if (update === undefined) throw refused('Its signature is not right.');
    const { mesh, node: to, author, order, release } = update;
    if (mesh !== (world.home().mesh satisfies MeshId)) throw refused('It is of another mesh.');
    if (to !== node.id) throw refused('It is for another node.');
    if (!world.authority().isAdminKey(author)) {
      throw refused('Whoever signed it is no admin of this mesh.');
    }
    if (order.version !== versionName(release.version, release.programHash)) {
      throw refused('Its version is not that of its package.');
    }
    return update;
  }

  async function persist(kept: KeptOrder): Promise<void> {
    const isSame = record?.kept.order.number === kept.order.number;
    const signed = isSame ? record?.signed : asked.get(kept.order.number);
    invariant(signed !== undefined, 'the core was told of this order');
    const before = isSame ? undefined : record && readUpdateOrder(record.signed)?.release.blob;
    // What was true before the first trial: one that just came up has neither links nor agents yet.
    const { peers, done } = isSame && record !== undefined ? record : { peers: 0, done: [] };
    record = {
      signed,
      kept,
      peers: Math.max(peers, node.status().links.length),
      done: [...new Set([...done, ...duties.done()])].slice(0, dutiesMax),
    };
    await store.write(recordName, encodeInstallRecord(record));
    const blob = readUpdateOrder(signed)?.release.blob;
    // One package is kept at hand for other nodes, not every one there ever was.
    if (before !== undefined && before !== blob) await blobs.remove(before);
  }

  async function install(): Promise<void> {
    const { order, release, author } = check(record?.signed ?? new Uint8Array());
    log.info({ version: order.version, author: author.slice(0, 16) }, 'fetching a version');
    if (await versions.has(order.version)) return;
    const { signal } = fetching;
    const found = await readPackage(blobs.get(release.blob, { signal }));
    if (found.programHash !== release.programHash || found.version !== release.version) {
      throw new MycelError('MYCEL_BAD_PACKAGE', { reason: 'It is not the one that was signed.' });
    }
    const { nodeVersion } = launch();
    if (!doesRun(found, nodeVersion)) {
      const [major, minor] = found.nodeFloor;
      throw new MycelError('MYCEL_BAD_PACKAGE', {
        reason: `It needs Node.js ${major}.${minor}, here is ${nodeVersion}.`,
      });
    }
    await versions.install(order.version, found);
  }

  function installLater(number: number): void {
    fetching = new AbortController();
    const { signal } = fetching;
    install().then(
      () => driver?.feed({ type: 'installed', number }),
      (error: unknown) => {
        if (signal.aborted) return;
        log.error({ error }, 'the version was not installed');
        const reason = error instanceof Error ? error.message : String(error);
        driver?.feed({ type: 'refused', number, reason });
      },
    );
  }

  function probe(): void {
    const health = {
      node,
      probe: world.options.probe,
      duties,
      peersBefore: () => record?.peers ?? 0,
      dutiesBefore: () => record?.done ?? [],
    };
    void troubleOf(health).then((trouble) => driver?.feed({ type: 'probed', trouble }));
  }

  async function restart(): Promise<void> {
    await node
      .sleep(restartMs)
      .catch((error: unknown) => log.info({ error }, 'nobody was told of the restart'));
    world.restart();
  }

  function run(effect: InstallationEffect): void | Promise<void> {
    switch (effect.type) {
      case 'persist':
        return persist(effect.kept);
      case 'install':
        return installLater(effect.order.number);
      case 'abandon':
        return fetching.abort(new MycelError('MYCEL_NOT_RUNNING'));
      case 'try':
        return versions.try(effect.version, trialStarts);
      case 'probe':
        return probe();
      case 'keep':
        log.info({ version: effect.version }, 'the new version is kept');
        return versions.keep(effect.version);
      case 'drop':
        return versions.drop();
      case 'revert':
        return versions.revert(effect.version);
      case 'restart':
        return restart();
    }
  }

  async function readRecord(): Promise<void> {
    const bytes = await store.read(recordName);
    record = bytes && decodeInstallRecord(bytes);
  }

  return {
    report: () => core.view(),
    async start() {
      ends = [
        calls.serve('update.report', async () => {
          launch();
          return encodeReport(core.view());
        }),
        calls.serve('update.order', async (body) => {
          const { order } = check(body);
          launch();
          asked.set(order.number, body.slice());
          driver?.feed({ type: 'ordered', order });
          return encodeReport(core.view());
        }),
      ];
      const { launch: given } = world.options;
      if (given === undefined) return;
      await readRecord();
      const { givenUp } = await versions.view();
      driver = drive(core, {
        clock,
        tick: { type: 'tick' },
        run,
        failed: (effect, error) => log.error({ effect: effect.type, error }, 'an update'),
        overflowed: () => metrics.drop('update', 'inbox full'),
      });
      const { running, isTrial } = given;
      driver.feed({ type: 'started', running, isTrial, givenUp, kept: record?.kept });
    },
    stop() {
      for (const end of ends) end();
      fetching.abort(new MycelError('MYCEL_NOT_RUNNING'));
      driver?.stop();
    },
  };
}

function refused(reason: string): MycelError {
  return new MycelError('MYCEL_UPDATE_REFUSED', { reason });
}
