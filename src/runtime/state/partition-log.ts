/** Partitions and what healing them merged: one report a split, kept for people. */

import type { NodeId } from '../../kernel/ids.ts';
import { parseAddress, byRecency } from '../../protocol/replication/cell.ts';
import type { CellFact } from '../../protocol/replication/replica-state.ts';
import type { NodePart, PartWorld } from '../parts.ts';
import type { StateRoom } from './state-room.ts';

/** What came of one split. */
export interface MergeReport {
  /** When the first of these peers was missed, and when the first one was back; wall time in ms. */
  readonly splitAt: number;
  readonly healedAt: number;
  /** Until the state was equal with all of them; undefined: not within the time a report waits. */
  readonly mergedMs: number | undefined;
  readonly peers: readonly NodeId[];
  /** Keys that changed here by what the others had written. */
  readonly keysMerged: number;
  /** Registers whose value of this side gave way to a later one of the other side. */
  readonly valuesOverridden: readonly string[];
  /** Registers where the other side's value gave way to the one of this side. */
  readonly valuesKept: readonly string[];
  /** Messages delivered here that had waited for the end of the split. */
  readonly messagesReplayed: number;
  /** Singletons that ran here and were stopped during the split, because another node may run them. */
  readonly singletonsStopped: number;
}

/** Reports kept; the oldest goes. */
const reportsMax = 64;

/** Names of keys in one report; more are only counted. */
const namesMax = 32;

/** A report is closed at the latest so long after the heal, in ms. */
const mergeMsMax = 30_000;

/** Peers whose absence is remembered. */
const absentMax = 4096;

const record = 'partitions';

/** The log. */
export interface PartitionLog {
  readonly part: NodePart;
  /** Latest last. */
  reports(): readonly MergeReport[];
  /** Peers that are missed now, with the wall time since when. */
  missing(): readonly { readonly node: NodeId; readonly sinceMs: number }[];
  onReport(listener: (report: MergeReport) => void): () => void;
}

interface Open {
  readonly splitAt: number;
  readonly healedAt: number;
  readonly startedAt: number;
  readonly peers: Set<NodeId>;
  readonly agreed: Set<NodeId>;
  readonly keys: Set<string>;
  readonly overridden: Set<string>;
  readonly kept: Set<string>;
  readonly receivedBefore: number;
  cancel(): void;
}

/** Builds it. */
export function createPartitionLog(world: PartWorld, room: StateRoom): PartitionLog {
  const { clock, log, mesh, store } = world;
  const absent = new Map<NodeId, number>();
  const listeners = new Set<(report: MergeReport) => void>();
  let reports: MergeReport[] = [];
  let open: Open | undefined;
  let stops: (() => void)[] = [];

  /** Of 'singleton.stopped', when the first of those that are missed went. */
  let stoppedBefore = 0;

  const counter = (name: string): number => world.metrics.snapshot().counters[name] ?? 0;

  function lost(node: NodeId): void {
    if (absent.size === 0 && open === undefined) stoppedBefore = counter('singleton.stopped');
    if (absent.size < absentMax && !absent.has(node)) absent.set(node, clock.wallMs());
  }

  function back(node: NodeId): void {
    const since = absent.get(node);
    if (since === undefined) return;
    absent.delete(node);
    open ??= {
      splitAt: since,
      healedAt: clock.wallMs(),
      startedAt: clock.now(),
      peers: new Set(),
      agreed: new Set(),
      keys: new Set(),
      overridden: new Set(),
      kept: new Set(),
      receivedBefore: counter('mesh.received'),
      cancel: clock.alarm(clock.now() + mergeMsMax, () => close(false)),
    };
    open.peers.add(node);
  }

  function learned(facts: readonly CellFact[]): void {
    if (open === undefined) return;
    for (const { address, live } of facts) {
      const parsed = parseAddress(address);
      if (parsed === undefined) continue;
      const key = parsed.path.join('/');
      open.keys.add(key);
      const entries = room.entries(address);
      // Two live writes of one register: both sides wrote it.
      if (parsed.type !== 'register' || entries.length < 2 || live.length === 0) continue;
      const [winner] = [...entries].sort(byRecency);
      const isTheirs = live.some(
        ({ replica, count }) => replica === winner?.replica && count === winner.count,
      );
      (isTheirs ? open.overridden : open.kept).add(key);
    }
  }

  function agreed(node: NodeId): void {
    if (open === undefined) return;
    if (!open.peers.has(node)) return;
    open.agreed.add(node);
    if (open.agreed.size === open.peers.size) close(true);
  }

  function close(isMerged: boolean): void {
    const done = open;
    if (done === undefined) return;
    open = undefined;
    done.cancel();
    const report: MergeReport = {
      splitAt: done.splitAt,
      healedAt: done.healedAt,
      mergedMs: isMerged ? Math.round(clock.now() - done.startedAt) : undefined,
      peers: [...done.peers],
      keysMerged: done.keys.size,
      valuesOverridden: [...done.overridden].slice(0, namesMax),
      valuesKept: [...done.kept].slice(0, namesMax),
      messagesReplayed: counter('mesh.received') - done.receivedBefore,
      singletonsStopped: counter('singleton.stopped') - stoppedBefore,
    };
    reports = [...reports, report].slice(-reportsMax);
    log.info({ ...report }, 'a split of the mesh has healed');
    for (const listener of listeners) listener(report);
    store
      .write(record, new TextEncoder().encode(JSON.stringify(reports)))
      .catch((error: unknown) => {
        log.warn({ error }, 'the reports of partitions could not be written');
      });
  }

  return {
    part: {
      async start() {
        reports = readReports(await store.read(record));
        stops = [
          mesh.onChange((change) => {
            if (change.kind === 'down' && change.reason === 'dead') lost(change.node);
            else if (change.kind === 'down') absent.delete(change.node);
            else if (change.kind === 'up') back(change.node);
            else if (change.kind === 'moved') absent.clear();
          }),
          room.onLearned(({ facts }) => learned(facts)),
          room.onAgreed(agreed),
        ];
      },
      async stop() {
        for (const end of stops) end();
        stops = [];
        open?.cancel();
        open = undefined;
        absent.clear();
      },
    },
    reports: () => reports,
    missing: () => [...absent].map(([node, sinceMs]) => ({ node, sinceMs })),
    onReport(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** What a record holds; a damaged one holds nothing. */
function readReports(bytes: Uint8Array | undefined): MergeReport[] {
  if (bytes === undefined) return [];
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return Array.isArray(value) ? (value as MergeReport[]).slice(-reportsMax) : [];
  } catch {
    return [];
  }
}
