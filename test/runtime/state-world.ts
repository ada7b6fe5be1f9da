/** Parts of nodes on a memory mesh: state and events without sockets, on clocks and disks in the hands of the test. */

import { createMemoryClock } from '../../src/adapters/memory/clock.ts';
import type { MemoryClock } from '../../src/adapters/memory/clock.ts';
import { createMemoryJournal } from '../../src/adapters/memory/journal.ts';
import { createMemoryLog } from '../../src/adapters/memory/log.ts';
import { createMemoryMesh } from '../../src/adapters/memory/mesh.ts';
import type { MemoryMesh } from '../../src/adapters/memory/mesh.ts';
import { createMemoryStore } from '../../src/adapters/memory/store.ts';
import { createMetrics } from '../../src/adapters/system/metrics.ts';
import { loadYjs } from '../../src/adapters/yjs/yjs.ts';
import { createStateHandle } from '../../src/agent/state.ts';
import type { StateHandle } from '../../src/agent/state-types.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { LoadDocuments } from '../../src/ports/documents.ts';
import type { Journal, OpenJournal } from '../../src/ports/journal.ts';
import type { PartWorld } from '../../src/runtime/parts.ts';
import { createDocuments } from '../../src/runtime/state/documents.ts';
import { createStateCells } from '../../src/runtime/state/state-cells.ts';
import { createStateRoom } from '../../src/runtime/state/state-room.ts';
import type { StateAlert, StateRoom } from '../../src/runtime/state/state-room.ts';
import { simNodeId } from '../sim/routing-mesh.ts';

/** One node's state. */
export interface Seat {
  readonly room: StateRoom;
  readonly state: StateHandle;
  readonly clock: MemoryClock;
  readonly world: PartWorld;
  readonly alerts: StateAlert[];
  stop(): Promise<void>;
}

/** Seats of one mesh. */
export interface Table {
  readonly mesh: MemoryMesh;
  /** Takes a place; `records` is its disk. */
  sit(
    at: number,
    options?: {
      readonly wallMs?: number;
      readonly disk?: Disk;
      readonly open?: OpenJournal;
      readonly loadDocuments?: LoadDocuments;
    },
  ): Promise<Seat>;
  /** Lets time pass everywhere, and parcels arrive, until nothing moves. */
  settle(ms?: number): Promise<void>;
}

/** Journals by name. */
export type Disk = Map<string, Uint8Array[]>;

const now = Date.UTC(2026, 5, 1);

/** Builds an empty table. */
export function createTable(): Table {
  const mesh = createMemoryMesh();
  const seats = new Set<Seat>();

  return {
    mesh,
    async sit(at, { wallMs = now, disk = new Map() as Disk, open, loadDocuments = loadYjs } = {}) {
      const clock = createMemoryClock(wallMs);
      const port = mesh.join(simNodeId(at));
      const random = createRandom(at + 1);
      const openMemory: OpenJournal = async (name, replay): Promise<Journal> => {
        const records = disk.get(name) ?? [];
        disk.set(name, records);
        return createMemoryJournal(records, replay);
      };
      const alerts: StateAlert[] = [];
      const world = {
        mesh: port,
        clock,
        log: createMemoryLog(),
        metrics: createMetrics(),
        options: { profile: 'loopback' },
        dataDir: '',
        store: createMemoryStore(),
        adapters: { openJournal: () => open ?? openMemory, loadDocuments },
        node: { members: () => [], on: () => () => {} },
        alert: (code: StateAlert['code'], text: string) => alerts.push({ code, text }),
        random: () => random.split(),
      } as unknown as PartWorld;
      const room = createStateRoom(world);
      const documents = createDocuments(world, room);
      await room.part.start();
      const seat: Seat = {
        room,
        clock,
        world,
        alerts,
        state: createStateHandle(room, createStateCells(room, clock), documents),
        async stop() {
          seats.delete(seat);
          mesh.leave(simNodeId(at), 'dead');
          await documents.part.stop();
          await room.part.stop();
        },
      };
      seats.add(seat);
      return seat;
    },
    async settle(ms = 3_000) {
      for (let passed = 0; passed < ms; passed += 10) {
        for (const { clock } of seats) clock.advance(10);
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    },
  };
}
