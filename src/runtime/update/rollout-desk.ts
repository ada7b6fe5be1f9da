/** The side of an update that rolls out: signs the orders, sends them, and carries out what the core decides. */

import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Calls } from '../../ports/calls.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import type { Store } from '../../ports/store.ts';
import type { InstallReport, OrderKind } from '../../protocol/rollout/messages.ts';
import { targetsMax } from '../../protocol/rollout/messages.ts';
import { createRollout } from '../../protocol/rollout/rollout.ts';
import type { KeptRollout, RolloutEffect, RolloutInput } from '../../protocol/rollout/rollout.ts';
import { toHex } from '../../wire/bytes.ts';
import { readPackage, versionName } from '../../wire/package.ts';
import {
  decodeReport,
  decodeRolloutRecord,
  encodeRolloutRecord,
  signUpdateOrder,
} from '../../wire/update-order.ts';
import type { RolloutRecord } from '../../wire/update-order.ts';
import type { Blobs } from '../blobs/blobs.ts';
import { drive } from '../drive.ts';
import type { Driver } from '../drive.ts';
import type { PartWorld } from '../parts.ts';

/** How long a node may take to answer an order or a question, in ms. */
const answerMs = 5_000;

const recordName = 'update-rollout';

/** What it needs. */
export interface RolloutWorld {
  readonly self: NodeId;
  readonly calls: Calls;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly store: Store;
  readonly blobs: Blobs;
  home: PartWorld['home'];
  authority: PartWorld['authority'];
}

/** What to roll out, and how. */
export interface RolloutOptions {
  /** The blob that is the package: what `npm pack` of mycel made. */
  readonly blob: string;
  /** Who is to have it. */
  readonly targets: readonly NodeId[];
  /** How many must keep it before anybody else tries it. @default 1 */
  readonly canary?: number;
  /** How many may be on their way at a time. @default a tenth of the targets, at least 1 */
  readonly batch?: number;
  /** How long a node must be well without a break before it keeps it, in ms. @default 30_000 */
  readonly healthyForMs?: number;
  /** How long its trial may last, in ms. @default 180_000 */
  readonly trialMs?: number;
  /** How long one node may take in all, the fetching too, in ms. @default 900_000 */
  readonly patienceMs?: number;
}

/** A roll-out as it stands. */
export interface RolloutStatus {
  readonly version: string;
  readonly number: number;
  readonly targets: KeptRollout['targets'];
  /** Why it goes back, or went; empty otherwise. */
  readonly reason: string;
  /** `running` until it has ended. */
  readonly outcome: 'running' | 'done' | 'rolled-back';
}

/** The desk. */
export interface RolloutDesk {
  start(): Promise<void>;
  stop(): void;
  status(): RolloutStatus | undefined;
  /** @throws {MycelError} MYCEL_NOT_ADMIN, MYCEL_ROLLOUT_BUSY, MYCEL_BAD_PACKAGE, MYCEL_BAD_OPTION, or what a target answered */
  begin(options: RolloutOptions): Promise<RolloutStatus>;
  /** @returns false when nothing was under way */
  cancel(): boolean;
  /** What a node says of its version. @throws {MycelError} */
  ask(node: NodeId): Promise<InstallReport>;
}

/** Builds it. */
export function createRolloutDesk(world: RolloutWorld): RolloutDesk {
  const { self, calls, clock, log, metrics, store, blobs } = world;
  const core = createRollout();
  const waiting = new Set<NodeId>();
  let driver: Driver<RolloutInput> | undefined;
  let about: Omit<RolloutRecord, 'kept'> | undefined;

  function status(): RolloutStatus | undefined {
    const view = core.view();
    if (view === undefined) return undefined;
    const { plan, targets, reason, outcome } = view;
    const { version, number } = plan;
    return { version, number, targets, reason, outcome: outcome ?? 'running' };
  }

  async function ask(node: NodeId): Promise<InstallReport> {
    const bytes = await calls.call(node, 'update.report', new Uint8Array(), {
      deadlineMs: answerMs,
    });
    return reportOf(bytes, node);
  }

  /** One order at a time to each node: the next one is due when the core says so. */
  function order(node: NodeId, kind: OrderKind): void {
    const view = core.view();
    if (view === undefined || about === undefined || waiting.has(node)) return;
    const { number, version } = view.plan;
    const { release, healthyForMs, trialMs } = about;
    const { keys } = world.authority();
    const signed = signUpdateOrder(keys.edSeed, {
      mesh: world.home().mesh,
      node,
      author: toHex(keys.edPublic),
      order: { kind, number, version, healthyForMs, trialMs },
      release,
    });
    waiting.add(node);
    calls
      .call(node, 'update.order', signed, { deadlineMs: answerMs })
      .then((bytes) => reportOf(bytes, node))
      .catch((error: unknown) => refusalOf(error, number))
      .then((report) => {
        waiting.delete(node);
        if (report !== undefined) driver?.feed({ type: 'reported', node, report });
      })
      .catch((error: unknown) => log.error({ error, node }, 'an order of an update'));
  }

  function run(effect: RolloutEffect): void | Promise<void> {
    switch (effect.type) {
      case 'persist': {
        if (about === undefined) return;
        return store.write(recordName, encodeRolloutRecord({ ...about, kept: effect.kept }));
      }
      case 'order':
        return order(effect.node, effect.kind);
      case 'finished': {
        const { outcome, reason } = effect;
        log.warn({ outcome, reason }, 'the update over the mesh has ended');
        return;
      }
    }
  }

  async function begin(options: RolloutOptions): Promise<RolloutStatus> {
    if (!world.authority().isAdmin()) throw new MycelError('MYCEL_NOT_ADMIN');
    if (status()?.outcome === 'running') throw new MycelError('MYCEL_ROLLOUT_BUSY');
    const targets = orderOf(options.targets, self);
    const { healthyForMs = 30_000, trialMs = 180_000, patienceMs = 900_000 } = options;
    if (targets.length === 0 || targets.length > targetsMax) {
      throw badOption(`An update has 1 to ${targetsMax} nodes.`);
    }
    if (!(healthyForMs < trialMs && trialMs < patienceMs && patienceMs <= 86_400_000)) {
      throw badOption('A node must be well for less than its trial, and that less than the whole.');
    }
    const { version, programHash } = await readPackage(blobs.get(options.blob));
    const reports = await Promise.all(targets.map(ask));
    // Whoever holds the higher number wins, whichever admin it was.
    const last = Math.max(status()?.number ?? 0, ...reports.map((report) => report.number));
    // Others may have begun one in the meantime.
    if (status()?.outcome === 'running') throw new MycelError('MYCEL_ROLLOUT_BUSY');
    about = {
      release: { blob: options.blob, version, programHash },
      healthyForMs,
      trialMs,
    };
    driver?.feed({
      type: 'begun',
      plan: {
        number: last + 1,
        version: versionName(version, programHash),
        targets,
        canary: options.canary ?? 1,
        batch: options.batch ?? Math.max(1, Math.floor(targets.length / 10)),
        patienceMs,
        revertPatienceMs: patienceMs,
      },
    });
    const begun = status();
    if (begun === undefined) throw new MycelError('MYCEL_NOT_RUNNING');
    return begun;
  }

  return {
    status,
    begin,
    ask,
    cancel() {
      if (status()?.outcome !== 'running') return false;
      driver?.feed({ type: 'cancelled' });
      return true;
    },
    async start() {
      const bytes = await store.read(recordName);
      const record = bytes && decodeRolloutRecord(bytes);
      driver = drive(core, {
        clock,
        tick: { type: 'tick' },
        run,
        failed: (effect, error) => log.error({ effect: effect.type, error }, 'an update'),
        overflowed: () => metrics.drop('update', 'inbox full'),
      });
      if (record === undefined) return;
      about = record;
      driver.feed({ type: 'restored', kept: record.kept });
    },
    stop: () => driver?.stop(),
  };
}

/** Whoever rolls out comes last: it restarts when everybody else is done. */
function orderOf(targets: readonly NodeId[], self: NodeId): NodeId[] {
  const others = [...new Set(targets)].filter((node) => node !== self);
  return targets.includes(self) ? [...others, self] : others;
}

function reportOf(bytes: Uint8Array, node: NodeId): InstallReport {
  const report = decodeReport(bytes);
  if (report === undefined) throw new MycelError('MYCEL_BAD_BYTES', { node });
  return report;
}

/** A node that says no has failed; one that says nothing is asked again. */
function refusalOf(error: unknown, number: number): InstallReport | undefined {
  if (!MycelError.is(error)) return undefined;
  const { code } = error;
  const isNo = code === 'MYCEL_UPDATE_REFUSED' || code === 'MYCEL_NOT_UPDATABLE';
  return isNo ? { number, phase: 'failed', running: '', reason: error.message } : undefined;
}

function badOption(reason: string): MycelError {
  return new MycelError('MYCEL_BAD_OPTION', { reason });
}
