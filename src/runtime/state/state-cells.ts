/** Writes to cells by what they mean, and listings: what the public handles are made of. */

import { MycelError } from '../../kernel/errors.ts';
import {
  addressOf,
  canonical,
  parseAddress,
  pathSeparator,
  readBounded,
  readCell,
} from '../../protocol/replication/cell.ts';
import type { CellAddress, CellType, Plain } from '../../protocol/replication/cell.ts';
import {
  addMember,
  assign,
  clear,
  grant,
  increment,
  raise,
  removeMember,
  spend,
} from '../../protocol/replication/writes.ts';
import { weighValue } from '../../protocol/replication/weight.ts';
import { isPlain } from '../../wire/state-facts.ts';
import type { StateRoom } from './state-room.ts';

export { addressOf, isPlain, parseAddress, weighValue };
export type { CellAddress, CellType, Plain };

/** Members of one set; of more, make a map. */
export const setMembersMax = 1024;

/**
 * Replicas that one counter has pages of. A page stays when its replica is gone, for what was counted counts; only the
 * counter's deletion takes it away. As many as nodes and storages that a mesh ever had.
 */
export const counterPagesMax = 4096;

/** One line of a listing. */
export interface CellRow {
  readonly type: CellType;
  readonly path: readonly string[];
  readonly value: Plain | undefined;
}

/** The writes. Each resolves when it is on disk. */
export interface StateCells {
  assign(address: CellAddress, value: Plain): Promise<void>;
  clear(address: CellAddress): Promise<void>;
  hasMember(address: CellAddress, value: Plain): boolean;
  /** @throws {MycelError} MYCEL_STATE_INVALID */
  add(address: CellAddress, value: Plain): Promise<void>;
  /** Resolves with whether it was there. */
  remove(address: CellAddress, value: Plain): Promise<boolean>;
  /** @throws {MycelError} MYCEL_STATE_INVALID when `counterPagesMax` others have counted there */
  increment(address: CellAddress, by: number): Promise<void>;
  /** Resolves with whether the extreme moved. */
  offer(address: CellAddress, kind: 'max' | 'min', value: number): Promise<boolean>;
  bounded(address: CellAddress): {
    readonly granted: number;
    readonly spent: number;
    readonly left: number;
    /** What this node may spend without asking. */
    readonly mine: number;
  };
  /** @throws {MycelError} MYCEL_STATE_INVALID when `counterPagesMax` others have counted there */
  grant(address: CellAddress, amount: number): Promise<void>;
  /** Spends; asks others for rights when this node has too few and there may be enough. Resolves with whether it was spent. */
  spend(address: CellAddress, amount: number, waitMs: number): Promise<boolean>;
  /** All cells whose key begins so. */
  list(prefix: string): readonly CellRow[];
  /** All cells at or under a path. */
  under(path: readonly string[]): readonly CellRow[];
  /** Removes all cells at or under a path. */
  clearUnder(path: readonly string[]): Promise<void>;
}

/** Builds them. */
export function createStateCells(
  room: StateRoom,
  clock: { now(): number; alarm(at: number, ring: () => void): () => void },
): StateCells {
  const bounded = (address: CellAddress): ReturnType<StateCells['bounded']> => {
    const { granted, spent, left, rights } = readBounded(room.entries(address));
    return { granted, spent, left, mine: rights.get(room.replica()) ?? 0 };
  };

  function checkPages(address: CellAddress): void {
    const entries = room.entries(address);
    if (entries.length < counterPagesMax) return;
    if (entries.some(({ replica }) => replica === room.replica())) return;
    throw new MycelError('MYCEL_STATE_INVALID', {
      reason: `${entries.length} replicas have counted there, and each has a page for ever.`,
      fix: 'Write down what it says, delete the counter, and begin again from there.',
    });
  }

  const trySpend = (address: CellAddress, amount: number): Promise<boolean> =>
    room.change(address, (entries, replica) => spend(entries, replica, amount));

  /** Resolves when the cell changed or the time is over. */
  function changed(address: CellAddress, until: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        stop();
        cancel();
        resolve();
      };
      const stop = room.onChanged((addresses) => {
        if (addresses.includes(address)) end();
      });
      const cancel = clock.alarm(until, end);
    });
  }

  function rows(fits: (path: string) => boolean): readonly CellRow[] {
    const found: CellRow[] = [];
    for (const address of room.addresses()) {
      const parsed = fits(address.slice(1)) ? parseAddress(address) : undefined;
      if (parsed === undefined) continue;
      found.push({ ...parsed, value: readCell(parsed.type, room.entries(address)) });
    }
    const text = (row: CellRow): string => row.path.join(pathSeparator);
    return found.sort((left, right) => (text(left) < text(right) ? -1 : 1));
  }

  const isUnder = (path: readonly string[]): ((text: string) => boolean) => {
    const whole = path.join(pathSeparator);
    return (text) => text === whole || text.startsWith(whole + pathSeparator);
  };

  return {
    async assign(address, value) {
      await room.change(address, () => assign(value));
    },
    async clear(address) {
      await room.change(address, () => clear());
    },
    hasMember(address, value) {
      const text = canonical(value);
      return room.entries(address).some((entry) => canonical(entry.value) === text);
    },
    async add(address, value) {
      if (room.entries(address).length >= setMembersMax) {
        throw new MycelError('MYCEL_STATE_INVALID', {
          reason: `A set holds ${setMembersMax} members.`,
          fix: 'Use a map with a field for each member.',
        });
      }
      await room.change(address, () => addMember(value));
    },
    remove: (address, value) => room.change(address, () => removeMember(value)),
    async increment(address, by) {
      checkPages(address);
      await room.change(address, (entries, replica) => increment(entries, replica, by));
    },
    offer: (address, kind, value) => room.change(address, (entries) => raise(entries, kind, value)),
    bounded,
    async grant(address, amount) {
      checkPages(address);
      await room.change(address, (entries, replica) => grant(entries, replica, amount));
    },
    async spend(address, amount, waitMs) {
      if (await trySpend(address, amount)) return true;
      const until = clock.now() + waitMs;
      while (clock.now() < until && bounded(address).left >= amount) {
        room.ask(address, amount - bounded(address).mine);
        await changed(address, until);
        if (await trySpend(address, amount)) return true;
      }
      return false;
    },
    list: (prefix) => rows((text) => text.replaceAll(pathSeparator, '/').startsWith(prefix)),
    under: (path) => rows(isUnder(path)),
    async clearUnder(path) {
      const fits = isUnder(path);
      const found = [...room.addresses()].filter((address) => fits(address.slice(1)));
      await Promise.all(found.map((address) => room.change(address, () => clear())));
    },
  };
}
