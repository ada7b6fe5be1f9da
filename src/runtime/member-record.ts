/** Who belongs to the mesh, over restarts: a node that has just started owes its first events to those it knew before. */

import type { MeshId, NodeId } from '../kernel/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Store } from '../ports/store.ts';
import { decodeMemberRecord, encodeMemberRecord } from '../wire/member-record.ts';
import type { MemberState } from './mesh-node.ts';

const recordName = 'members';

/** How long changes are gathered for one write, in ms: a mesh that starts is one change. */
const gatherMs = 5_000;

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
  let written = before.toSorted().join(' ');
  const startedAt = clock.now();
  let cancel: (() => void) | undefined;

  async function write(): Promise<void> {
    cancel = undefined;
    const isEarly = clock.now() - startedAt < absenceMs;
    const unseen = isEarly ? before.filter((node) => !states.has(node)) : [];
    const here = [...states].filter(([, state]) => state !== 'dead' && state !== 'left');
    const nodes = [...here.map(([node]) => node), ...unseen].toSorted();
    if (nodes.join(' ') === written) return;
    written = nodes.join(' ');
    try {
      await store.write(recordName, encodeMemberRecord(mesh, nodes));
    } catch (error) {
      log.error({ error }, 'the members could not be written down');
    }
  }

  return {
    before,
    changed() {
      if (isKept) cancel ??= clock.alarm(clock.now() + gatherMs, () => void write());
    },
    async stop() {
      if (cancel === undefined) return;
      cancel();
      await write();
    },
  };
}
