/** Tasks whose auctioneer is gone, and how another node takes them over. */

import { rendezvousOrder } from '../../kernel/hash.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { isOver } from '../../protocol/agreement/ledger.ts';
import type { PartWorld } from '../parts.ts';
import type { Auctions } from './auctions.ts';
import type { TaskLedger } from './task-ledger.ts';
import type { TaskShelf } from './task-shelf.ts';
import { laterTask } from './task-types.ts';
import type { TaskRecord } from './task-types.ts';
import type { TaskWord } from './task-words.ts';

/** Each node that could take over a task waits so much longer than the one before it, in ms. */
const takeoverStepMs = 800;

/** What taking over needs. */
export interface TakeoverWorld {
  readonly world: PartWorld;
  readonly shelf: TaskShelf;
  readonly ledger: TaskLedger;
  readonly auctions: Auctions;
  send(to: NodeId, word: TaskWord): void;
  isStopped(): boolean;
}

/** Taking over. */
export interface Takeover {
  /** A node is gone: its tasks are waited for in line. */
  lost(node: NodeId): void;
  /** Looks for what is on the group's table and conducted by nobody: of this node's last life, or of one that never came back. */
  recover(): Promise<void>;
}

/** Builds it. */
export function createTakeover(parts: TakeoverWorld): Takeover {
  const { world, shelf, ledger, auctions, send } = parts;
  const { clock, log, mesh, metrics } = world;

  const isOrphan = (record: TaskRecord): boolean =>
    !isOver(record.ledger.state) &&
    (record.auctioneer === mesh.self
      ? !auctions.has(record.ledger.spec.id)
      : !mesh.peers().includes(record.auctioneer));

  /** The first in line goes at once; the next ones only if it has not. */
  function inherit(record: TaskRecord): void {
    const { id } = record.ledger.spec;
    const line = rendezvousOrder(`auctioneer ${id}`, [mesh.self, ...mesh.peers()]);
    const delay = line.indexOf(mesh.self) * takeoverStepMs;
    clock.alarm(clock.now() + delay, () => {
      const known = shelf.get(id) ?? record;
      if (parts.isStopped() || !isOrphan(known)) return;
      takeOver(known).catch((error: unknown) =>
        log.warn({ error, task: id }, 'a task could not be taken over'),
      );
    });
  }

  async function takeOver(known: TaskRecord): Promise<void> {
    const { spec } = known.ledger;
    const there = spec.effect === 'idempotent' ? undefined : await ledger.look(spec.id);
    const base = there === undefined ? known : laterTask(there.record, known);
    if (!isOrphan(base)) return void shelf.put(base, true);
    const next: TaskRecord = {
      ...base,
      auctioneer: mesh.self,
      term: base.term + 1,
      count: base.count + 1,
      at: clock.wallMs(),
      reason: `taken over from ${base.auctioneer.slice(0, 12)}, which is gone`,
    };
    const outcome = await ledger.enter(
      next,
      there?.version ?? 0,
      () => !parts.isStopped() && isOrphan(known),
    );
    if ('lost' in outcome) {
      shelf.put(outcome.lost.record, true);
      if (isOrphan(outcome.lost.record)) inherit(outcome.lost.record);
      return;
    }
    if (parts.isStopped() || auctions.has(spec.id)) return;
    metrics.count('tasks.takeovers');
    log.info(
      { task: spec.id, from: base.auctioneer },
      'a task of a node that is gone is taken over',
    );
    const { winner } = next.ledger;
    if (winner !== undefined) send(winner as NodeId, { t: 'moved', task: spec.id, to: mesh.self });
    auctions.open(outcome.entered, false);
  }

  return {
    lost(node) {
      for (const record of shelf.all()) {
        if (record.auctioneer === node && isOrphan(record)) inherit(record);
      }
    },
    async recover() {
      for (const { record } of await ledger.all()) {
        shelf.put(record, false);
        const known = shelf.get(record.ledger.spec.id) ?? record;
        if (isOrphan(known)) inherit(known);
      }
    },
  };
}
