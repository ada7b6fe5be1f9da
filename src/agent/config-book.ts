/** The configuration of a node as data: what was declared, what this node set, what the mesh set, and what was before. */

import type { NodeId } from '../kernel/ids.ts';
import { encodeJson } from './json.ts';
import type { JsonValue } from './json.ts';

/** Values kept per path before the current one. */
export const historyMax = 16;

/** Paths that were set, here and in the mesh, each. */
export const pathsMax = 1_000;

/** A value that was set. */
export interface ConfigRecord {
  readonly value: JsonValue;
  /** Wall-clock ms of whoever set it. */
  readonly at: number;
  readonly by: NodeId;
  /** Counts up with every change; decided together, it is the number of the decision. */
  readonly version: number;
}

/** A value with those before it, the latest first. */
export interface ConfigHistory extends ConfigRecord {
  readonly before: readonly ConfigRecord[];
  /** `decided`: by a majority. `eventual`: the latest writer wins. `local`: of this node alone. */
  readonly mode: 'local' | 'decided' | 'eventual';
}

/** A history with a new value in front. Old ones go when there are too many, or when it becomes too large to be decided. */
export function withValue(
  old: ConfigHistory | undefined,
  next: ConfigRecord,
  mode: ConfigHistory['mode'],
  bytesMax: number,
): ConfigHistory {
  const before: ConfigRecord[] = [];
  if (old !== undefined) {
    const { value, at, by, version } = old;
    before.push({ value, at, by, version }, ...old.before);
  }
  before.length = Math.min(before.length, historyMax);
  for (;;) {
    const history = { ...next, before: [...before], mode };
    if (before.length === 0 || encodeJson(asJson(history)).length <= bytesMax) return history;
    before.pop();
  }
}

/** Whether `heard` takes the place of `known`. Two decided ones by their decision; else the later one, then the higher id. */
export function isNewer(heard: ConfigHistory, known: ConfigHistory | undefined): boolean {
  if (known === undefined) return true;
  if (heard.mode === 'decided' && known.mode === 'decided') return heard.version > known.version;
  return heard.at > known.at || (heard.at === known.at && heard.by > known.by);
}

/** As it is kept and sent. */
export function asJson({ value, at, by, version, before, mode }: ConfigHistory): JsonValue {
  return {
    value,
    at,
    by,
    version,
    mode,
    before: before.map((one) => ({
      value: one.value,
      at: one.at,
      by: one.by,
      version: one.version,
    })),
  };
}

/** What was kept or sent; undefined for anything else. */
export function fromJson(json: JsonValue | undefined): ConfigHistory | undefined {
  const record = recordOf(json);
  if (record === undefined || !isObject(json)) return undefined;
  const { mode, before } = json;
  if (mode !== 'local' && mode !== 'decided' && mode !== 'eventual') return undefined;
  if (!Array.isArray(before) || before.length > historyMax) return undefined;
  const older = (before as readonly JsonValue[]).map(recordOf);
  if (older.includes(undefined)) return undefined;
  return { ...record, mode, before: older as ConfigRecord[] };
}

function recordOf(json: JsonValue | undefined): ConfigRecord | undefined {
  if (!isObject(json)) return undefined;
  const { value, at, by, version } = json;
  if (value === undefined || typeof at !== 'number' || typeof by !== 'string') return undefined;
  return typeof version === 'number' ? { value, at, by: by as NodeId, version } : undefined;
}

function isObject(json: JsonValue | undefined): json is { readonly [key: string]: JsonValue } {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

/** How differing answers of members become one. */
export type ConflictStrategy =
  | 'newest'
  | 'majority'
  | ((values: readonly ConfigAnswer[]) => JsonValue);

/** What one member says. `at` 0: a default, set by nobody. */
export interface ConfigAnswer {
  readonly node: NodeId;
  readonly value: JsonValue | undefined;
  readonly at: number;
}

/**
 * Makes one value of many. `majority`: undefined when no value is held by more than half of those who answered.
 * `newest`: the one that was set last; a default loses to anything set.
 */
export function resolve(
  answers: readonly ConfigAnswer[],
  strategy: ConflictStrategy,
): JsonValue | undefined {
  if (typeof strategy === 'function') return strategy(answers);
  if (strategy === 'newest') {
    const sorted = answers.toSorted(
      (left, right) => right.at - left.at || (left.node < right.node ? -1 : 1),
    );
    return sorted[0]?.value;
  }
  const counts = new Map<string, { count: number; value: JsonValue | undefined }>();
  for (const { value } of answers) {
    const key = value === undefined ? '' : new TextDecoder().decode(encodeJson(value));
    const seen = counts.get(key) ?? { count: 0, value };
    counts.set(key, { ...seen, count: seen.count + 1 });
  }
  return [...counts.values()].find(({ count }) => count > answers.length / 2)?.value;
}
