/** Who belongs to the mesh, over restarts: a node that has just started owes its first events to those it knew before. */

import type { MeshId, NodeId } from '../kernel/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Store } from '../ports/store.ts';
import { decodeMemberRecord, encodeMemberRecord } from '../wire/member-record.ts';
import type { MemberState } from './mesh-node.ts';

const recordName = 'members';

/** How long departures are gathered for one write, in ms. */
const gatherMs = 5_000;

/**
 * How long newcomers are, in ms: what is acknowledged in the first moments of the next life is theirs only if they are in the
 * record. Few ever come to a mesh, and those that start together are a handful of writes.
 */
const newcomerMs = 100;

/** How long those of the life before stay in the record without having been seen in this one, in ms: as the outbox waits. */
const absenceMs = 300_000;

/** What it needs. */
export interface MemberRecordWorld {
  readonly adapters: { readonly clock: Clock };
  readonly store: Store;
  readonly log: Log;
  /** Whether this life may write records. */
  readonly isKept: boolean;
}

/** The record at work. */
export interface MemberRecord {
  /** Whom the life before knew. */
  readonly before: readonly NodeId[];
  /** A member has another state. */
  changed(): void;
  /** Writes what has changed and is not written yet. */
  stop(): Promise<void>;
}

/** Who restarts or sleeps belongs to the mesh; the dead and those that left do not. */
const isHere = (state: MemberState): boolean => state !== 'dead' && state !== 'left';

/** Reads what is there, and keeps it up with `states`. Those who restart or sleep stay in it; the dead do not. */
export async function openMemberRecord(
  world: MemberRecordWorld,
  mesh: MeshId,
  states: ReadonlyMap<NodeId, MemberState>,
): Promise<MemberRecord> {
  const { store, log, isKept } = world;
  const { clock } = world.adapters;
  const bytes = isKept ? await store.read(recordName) : undefined;
  const before = bytes === undefined ? [] : decodeMemberRecord(bytes, mesh);
  let written = new Set(before);
  const startedAt = clock.now();
  let cancel: (() => void) | undefined;
  let dueAt = Infinity;

  async function write(): Promise<void> {
    cancel = undefined;
    dueAt = Infinity;
    const isEarly = clock.now() - startedAt < absenceMs;
    const unseen = isEarly ? before.filter((node) => !states.has(node)) : [];
    const here = [...states].filter(([, state]) => isHere(state));
    const nodes = new Set([...here.map(([node]) => node), ...unseen]);
    const isSame = nodes.size === written.size && [...nodes].every((node) => written.has(node));
    if (isSame) return;
    written = nodes;
    try {
      await store.write(recordName, encodeMemberRecord(mesh, [...nodes].toSorted()));
    } catch (error) {
      log.error({ error }, 'the members could not be written down');
    }
  }

  return {
    before,
    changed() {
      if (!isKept) return;
      const isNews = [...states].some(([node, state]) => isHere(state) && !written.has(node));
      const at = clock.now() + (isNews ? newcomerMs : gatherMs);
      if (at >= dueAt) return;
      cancel?.();
      dueAt = at;
      cancel = clock.alarm(at, () => void write());
    },
    async stop() {
      if (cancel === undefined) return;
      cancel();
      await write();
    },
  };
}
