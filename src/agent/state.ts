/** Replicated state as programs use it: typed handles on keys that every node may write, also while the mesh is split. */

import { MycelError } from '../kernel/errors.ts';
import type {
  BoundedCounter,
  Counter,
  Extreme,
  Flag,
  MultiRegister,
  Register,
  StateHandle,
  StateMap,
  StateRow,
  StateSchema,
  StateSet,
} from './state-types.ts';
import { addressOf } from '../runtime/state/state-cells.ts';
import type { CellType, Plain, StateCells } from '../runtime/state/state-cells.ts';
import type { Documents } from '../runtime/state/documents.ts';
import type { StateRoom } from '../runtime/state/state-room.ts';
import { asDocument, asText } from './documents.ts';
import { checkKey, checkValue } from './state-values.ts';
import { createStateWatch } from './state-watch.ts';

/** How long `spend` waits for rights from other nodes, in ms. */
const askMsDefault = 2_000;

/** Builds the handle. */
export function createStateHandle(
  room: StateRoom,
  cells: StateCells,
  documents: Documents,
): StateHandle {
  const watch = createStateWatch(room);

  function register<Value>(path: readonly string[], schema?: StateSchema<Value>): Register<Value> {
    const address = addressOf('register', path);
    return {
      get: () => room.read(address) as Value | undefined,
      async set(value) {
        await cells.assign(address, checkValue(path, value, schema));
      },
      async delete() {
        await cells.clear(address);
      },
      watch: (listener) =>
        watch.cell(address, () => listener(room.read(address) as Value | undefined)),
    };
  }

  function multi<Value>(
    path: readonly string[],
    schema?: StateSchema<Value>,
  ): MultiRegister<Value> {
    const address = addressOf('multi-register', path);
    return {
      get: () => (room.read(address) ?? []) as readonly Value[],
      async set(value) {
        await cells.assign(address, checkValue(path, value, schema));
      },
      async delete() {
        await cells.clear(address);
      },
    };
  }

  function set<Value>(path: readonly string[], schema?: StateSchema<Value>): StateSet<Value> {
    const address = addressOf('set', path);
    return {
      values: () => (room.read(address) ?? []) as readonly Value[],
      has: (value) => cells.hasMember(address, value as Plain),
      async add(value) {
        await cells.add(address, checkValue(path, value, schema));
      },
      async remove(value) {
        return await cells.remove(address, value as Plain);
      },
      async clear() {
        await cells.clear(address);
      },
      watch: (listener) =>
        watch.cell(address, () => listener((room.read(address) ?? []) as readonly Value[])),
    };
  }

  function counter(path: readonly string[]): Counter {
    const address = addressOf('counter', path);
    const increment = async (by = 1): Promise<number> => {
      checkAmount(path, by);
      await cells.increment(address, by);
      return (room.read(address) ?? 0) as number;
    };
    return {
      value: () => (room.read(address) ?? 0) as number,
      increment,
      decrement: (by = 1) => increment(-by),
      watch: (listener) => watch.cell(address, () => listener((room.read(address) ?? 0) as number)),
    };
  }

  function bounded(path: readonly string[]): BoundedCounter {
    const address = addressOf('bounded-counter', path);
    return {
      left: () => cells.bounded(address).left,
      granted: () => cells.bounded(address).granted,
      spent: () => cells.bounded(address).spent,
      mine: () => cells.bounded(address).mine,
      async grant(amount) {
        checkAmount(path, amount, 1);
        await cells.grant(address, amount);
      },
      async spend(amount, options = {}) {
        checkAmount(path, amount, 1);
        const isSpent = await cells.spend(address, amount, options.waitMs ?? askMsDefault);
        if (isSpent) return;
        const { left, mine } = cells.bounded(address);
        throw new MycelError('MYCEL_STATE_BOUND', {
          key: path.join('/'),
          reason: `${amount} were asked of '${path.join('/')}'; this node may spend ${mine}, and ${left} are left in all as far as it knows.`,
        });
      },
    };
  }

  function flag(path: readonly string[], wins: 'enable' | 'disable'): Flag {
    const address = addressOf(wins === 'enable' ? 'enable-flag' : 'disable-flag', path);
    return {
      isOn: () => room.read(address) === true,
      async enable() {
        await cells.assign(address, true);
      },
      async disable() {
        await cells.assign(address, false);
      },
      watch: (listener) => watch.cell(address, () => listener(room.read(address) === true)),
    };
  }

  function extreme(path: readonly string[], kind: 'max' | 'min'): Extreme {
    const address = addressOf(kind, path);
    return {
      value: () => room.read(address) as number | undefined,
      async offer(value) {
        checkValue(path, value, undefined);
        if (typeof value !== 'number') throw invalid(path, 'It is not a number.');
        return await cells.offer(address, kind, value);
      },
    };
  }

  function map<Value>(path: readonly string[], schema?: StateSchema<Value>): StateMap<Value> {
    const inside = (field: string): readonly string[] => [...path, checkKey(field)];
    return {
      get: (field) => room.read(addressOf('register', inside(field))) as Value | undefined,
      async set(field, value) {
        await register(inside(field), schema).set(value);
      },
      async delete(field) {
        await cells.clearUnder(inside(field));
      },
      entries: () =>
        cells
          .under(path)
          .filter((row) => row.type === 'register' && row.path.length === path.length + 1)
          .map((row) => [row.path.at(-1) ?? '', row.value as Value] as const),
      async clear() {
        await cells.clearUnder(path);
      },
      map: (field, inner) => map(inside(field), inner),
      counter: (field) => counter(inside(field)),
      setOf: (field, inner) => set(inside(field), inner),
    };
  }

  return {
    register: (key, schema) => register([checkKey(key)], schema),
    multi: (key, schema) => multi([checkKey(key)], schema),
    set: (key, schema) => set([checkKey(key)], schema),
    map: (key, schema) => map([checkKey(key)], schema),
    counter: (key) => counter([checkKey(key)]),
    boundedCounter: (key) => bounded([checkKey(key)]),
    flag: (key, options = {}) => flag([checkKey(key)], options.wins ?? 'enable'),
    max: (key) => extreme([checkKey(key)], 'max'),
    min: (key) => extreme([checkKey(key)], 'min'),
    document: async (key) => asDocument(await documents.open(checkKey(key))),
    text: async (key) => asText(checkKey(key), await documents.open(checkKey(key))),
    list: (prefix = '') => cells.list(prefix).map(asRow),
    watch: watch.query,
    status: () => room.status(),
    fingerprint: () => room.fingerprint(),
  };
}

function asRow(row: {
  readonly path: readonly string[];
  readonly type: CellType;
  readonly value: Plain | undefined;
}): StateRow {
  return { key: row.path.join('/'), type: row.type, value: row.value as StateRow['value'] };
}

function checkAmount(path: readonly string[], amount: number, least?: number): void {
  if (Number.isSafeInteger(amount) && (least === undefined || amount >= least)) return;
  throw invalid(path, `${amount} is not a whole number${least === undefined ? '' : ' above 0'}.`);
}

function invalid(path: readonly string[], reason: string): MycelError {
  return new MycelError('MYCEL_STATE_INVALID', { key: path.join('/'), reason });
}
