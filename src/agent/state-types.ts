/** What programs see of replicated state. */

import type { CellType } from '../runtime/state/state-cells.ts';
import type { StateStatus } from '../runtime/state/state-room.ts';

/** Plain JSON data. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** Anything that checks like zod: its type is the type of the value. */
export interface StateSchema<Value> {
  safeParse(value: unknown):
    | { readonly success: true; readonly data: Value }
    | {
        readonly success: false;
        readonly error: {
          readonly issues: readonly {
            readonly path: readonly PropertyKey[];
            readonly message: string;
          }[];
        };
      };
}

/** One value; of two writes made at the same time the later one stays. */
export interface Register<Value> {
  /** What this node knows now; undefined when nothing was written or it was deleted. */
  get(): Value | undefined;
  /** @throws {MycelError} MYCEL_STATE_INVALID, MYCEL_TOO_LARGE: nothing has changed then. */
  set(value: Value): Promise<void>;
  /** A write made elsewhere at the same time survives it. */
  delete(): Promise<void>;
  watch(listener: (value: Value | undefined) => void): () => void;
}

/** One value that shows when two were written at the same time: both, the later first. */
export interface MultiRegister<Value> {
  get(): readonly Value[];
  set(value: Value): Promise<void>;
  delete(): Promise<void>;
}

/** Members; an add wins over a removal made elsewhere at the same time. */
export interface StateSet<Value> {
  values(): readonly Value[];
  has(value: Value): boolean;
  add(value: Value): Promise<void>;
  /** Resolves with whether it was there. */
  remove(value: Value): Promise<boolean>;
  clear(): Promise<void>;
  watch(listener: (values: readonly Value[]) => void): () => void;
}

/** A sum that all nodes add to. */
export interface Counter {
  value(): number;
  /** Resolves with the sum as this node knows it. @param by whole; may be negative. @default 1 */
  increment(by?: number): Promise<number>;
  decrement(by?: number): Promise<number>;
  watch(listener: (value: number) => void): () => void;
}

/** A budget that is never overspent, also while the mesh is split: each node spends the rights it holds. */
export interface BoundedCounter {
  /** What is left in all, as far as this node knows. */
  left(): number;
  granted(): number;
  spent(): number;
  /** What this node may spend without asking anybody. */
  mine(): number;
  /** Adds to the budget; the rights are this node's until others ask for them. */
  grant(amount: number): Promise<void>;
  /**
   * Spends, asking the other nodes for rights if need be.
   * @throws {MycelError} MYCEL_STATE_BOUND when there are not enough within `waitMs` (2 s by default).
   */
  spend(amount: number, options?: { readonly waitMs?: number }): Promise<void>;
}

/** On or off. */
export interface Flag {
  isOn(): boolean;
  enable(): Promise<void>;
  disable(): Promise<void>;
  watch(listener: (isOn: boolean) => void): () => void;
}

/** A high-water (or low-water) mark. */
export interface Extreme {
  value(): number | undefined;
  /** Resolves with whether the mark moved. */
  offer(value: number): Promise<boolean>;
}

/** Fields that are written one by one, and maps inside maps. */
export interface StateMap<Value> {
  get(field: string): Value | undefined;
  set(field: string, value: Value): Promise<void>;
  /** Removes a field and everything inside it, as this node knows it. */
  delete(field: string): Promise<void>;
  entries(): readonly (readonly [string, Value])[];
  clear(): Promise<void>;
  map<Inner = Json>(field: string, schema?: StateSchema<Inner>): StateMap<Inner>;
  counter(field: string): Counter;
  setOf<Member = Json>(field: string, schema?: StateSchema<Member>): StateSet<Member>;
}

/**
 * A document that several nodes edit at once, also while the mesh is split. Close it when it is not edited any more.
 * Needs the package yjs.
 */
export interface SharedDocument<Content extends object = object> {
  /** The `Y.Doc`: read it, edit it and observe it as Yjs says. Every edit is kept and told to the mesh. */
  readonly doc: Content;
  /**
   * Resolves when every edit made here so far is on disk.
   * @throws {MycelError} MYCEL_TOO_LARGE beyond 256 KiB, MYCEL_STATE_INVALID when it was deleted
   */
  saved(): Promise<void>;
  /** Deletes it on all nodes. An edit made elsewhere at the same time brings it back whole. */
  delete(): Promise<void>;
  close(): Promise<void>;
}

/** A text that several nodes edit at once: the text named `text` of the document with this key. */
export interface SharedText {
  readonly length: number;
  toString(): string;
  /**
   * Resolves when it is on disk. @param at in UTF-16 units
   * @throws {MycelError} MYCEL_TOO_LARGE, MYCEL_STATE_INVALID: nothing has changed then
   */
  insert(at: number, text: string): Promise<void>;
  delete(at: number, length: number): Promise<void>;
  watch(listener: (text: string) => void): () => void;
  close(): Promise<void>;
}

/** One key as it is listed. The key of a field is its path joined by `/`. */
export interface StateRow {
  readonly key: string;
  readonly type: CellType;
  readonly value: Json | undefined;
}

/** A key whose value may be another one now. */
export type StateChange = StateRow;

/** Which changes: all keys with this prefix, this very key, or those that a function picks. */
export type StateQuery = string | { readonly key: string } | ((change: StateChange) => boolean);

/** The replicated state of the mesh, as this node knows it. Every write resolves when it is on disk here. */
export interface StateHandle {
  register<Value = Json>(key: string, schema?: StateSchema<Value>): Register<Value>;
  multi<Value = Json>(key: string, schema?: StateSchema<Value>): MultiRegister<Value>;
  set<Value = Json>(key: string, schema?: StateSchema<Value>): StateSet<Value>;
  map<Value = Json>(key: string, schema?: StateSchema<Value>): StateMap<Value>;
  counter(key: string): Counter;
  boundedCounter(key: string): BoundedCounter;
  /** @param options.wins what stays when both are done at the same time. @default 'enable' */
  flag(key: string, options?: { readonly wins?: 'enable' | 'disable' }): Flag;
  max(key: string): Extreme;
  min(key: string): Extreme;
  /**
   * Opens a document. `document<Y.Doc>(key)` gives it its type.
   * @throws {MycelError} MYCEL_NOT_INSTALLED without the package yjs, MYCEL_NOT_RUNNING, MYCEL_STATE_INVALID
   */
  document<Content extends object = object>(key: string): Promise<SharedDocument<Content>>;
  /** Opens a text. @throws what `document` throws */
  text(key: string): Promise<SharedText>;
  list(prefix?: string): readonly StateRow[];
  /** Watches; iterate the result, or give a listener and call what is returned to end it. */
  watch(query: StateQuery): AsyncIterableIterator<StateChange>;
  watch(query: StateQuery, listener: (change: StateChange) => void): () => void;
  status(): StateStatus;
  /** Equal on nodes whose state is equal. */
  fingerprint(): string;
}
