/** What an earlier life of this node left in the journal of its outbox. */

import type { Millis } from '../../kernel/core.ts';
import type { MeshId, NodeId } from '../../kernel/ids.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { Leftover } from '../../protocol/routing/leftover.ts';
import type { Part } from '../../protocol/routing/messages.ts';
import type { OutboxConfig } from '../../protocol/routing/outbox-types.ts';
import { bringBytes } from '../../protocol/routing/overflow.ts';
import { withoutTorn } from '../../protocol/routing/parts.ts';
import { envelopeShare, readEnvelope } from '../../wire/envelope.ts';
import { readOutboxEntry } from '../../wire/outbox-entry.ts';
import type { OutboxOptions } from '../message-types.ts';

/** How far the numbers of a resumed stream are ahead of the last one known to be used: whatever was used is below. */
const resumeAhead: number = 2 ** 38;

/** Bytes of an earlier life's events that are kept in memory at once; the others stay on the disk until they are sent. */
const readBytesMax: number = 1024 * 1024;

/** What a journal held when it was read. */
export interface Found {
  readonly leftover: Leftover | undefined;
  readonly places: readonly Place[];
}

/** An event is at this place in the journal, or behind it; one before it is not. */
export interface Place {
  readonly seq: number;
  readonly at: number;
}

/** Nothing. */
const nothingFound: Found = { leftover: undefined, places: [] };

/** What the last process still owed, for the first life of this one. */
export async function readFound(
  world: { readonly journal: EventLog | undefined; readonly isFirst: boolean },
  mesh: MeshId,
  at: Millis,
): Promise<Found> {
  if (world.journal === undefined || !world.isFirst) return nothingFound;
  return readLeftover(world.journal, mesh, at);
}

/** What an earlier life of this node in this mesh still owed. */
export async function readLeftover(journal: EventLog, mesh: MeshId, at: Millis): Promise<Found> {
  let isOurs = false;
  let settled = 0;
  let last = 0;
  let boot = 0;
  let held = 0;
  const events = new Map<number, Kept>();
  const owners = new Map<string, readonly NodeId[]>();
  for (let from = 0, some = await journal.read(0, bringBytes); some.length > 0;) {
    for (const placed of some) {
      const entry = readOutboxEntry(placed.entry);
      from = journal.after(placed);
      if (entry?.kind === 'stream') isOurs = entry.mesh === mesh;
      if (!isOurs || entry === undefined) continue;
      if (entry.kind === 'mark') {
        settled = Math.max(settled, entry.settled);
        last = Math.max(last, entry.last);
      } else if (entry.kind === 'event') {
        if (entry.boot !== boot) {
          // A stream of a later life: the one before had nothing left.
          boot = entry.boot;
          events.clear();
          settled = 0;
          last = 0;
          held = 0;
        }
        last = Math.max(last, entry.seq);
        const { seq, raw } = entry;
        // A hundred thousand events are owed to the same few.
        const key = entry.owed.join();
        const owed = owners.get(key) ?? entry.owed;
        owners.set(key, owed);
        const share = envelopeShare(raw);
        // What is for a group may have to go to another member of it, which is decided here.
        const isHere = share !== undefined || held < readBytesMax;
        if (isHere) held += raw.length;
        events.set(seq, {
          seq,
          owed,
          share,
          bytes: raw.length,
          at: placed.at,
          raw: isHere ? raw : undefined,
          part: readEnvelope(raw)?.part,
        });
      }
    }
    some = await journal.read(from, bringBytes);
  }
  const left = [...events.values()].filter((one) => one.seq > settled && one.owed.length > 0);
  left.sort((one, other) => one.seq - other.seq);
  const whole = withoutTorn(left, ({ part }) => part);
  if (whole.length === 0 || last > 2 ** 48 - 2 * resumeAhead) return nothingFound;
  const leftover = { boot, nextSeq: last + resumeAhead, at, events: whole };
  return { leftover, places: whole.map((one) => ({ seq: one.seq, at: one.at })) };
}

type Kept = Leftover['events'][number] & { readonly at: number; readonly part: Part | undefined };

/** What the outbox makes of a node's options. */
export function outboxOf({ memoryBytes, diskBytes, whenFull }: OutboxOptions): OutboxConfig {
  return {
    ...(memoryBytes === undefined ? {} : { bytesMax: memoryBytes }),
    ...(diskBytes === undefined ? {} : { awayBytesMax: diskBytes }),
    ...(whenFull === undefined ? {} : { whenFull }),
  };
}
