/** `node.kv`: a small table of keys that is decided together. What was acknowledged is there, and reads are never stale. */

import { MycelError } from '../kernel/errors.ts';
import type { AskOptions } from '../runtime/consensus/client.ts';
import type { Consensus } from '../runtime/consensus/part.ts';
import { decodeJson, encodeJson } from './json.ts';
import type { JsonValue } from './json.ts';

/** A value with the number of the write that made it: a later write has a higher one. */
export interface KvEntry {
  readonly value: JsonValue;
  readonly version: number;
}

/** What a compare-and-set expects: the version (0: absent), or the value (undefined: absent). */
export type KvExpectation =
  | { readonly version: number }
  | { readonly value: JsonValue | undefined };

/** What came of a compare-and-set. `version`: what is there now; 0: nothing. */
export interface KvSwap {
  readonly isDone: boolean;
  readonly version: number;
}

/** Longest key, in UTF-16 units. */
const keyLengthMax = 256;

/**
 * Keys that a majority of the group's voters decides about. For what must be decided once; state that may differ for a
 * while belongs elsewhere. Without a majority every call fails with MYCEL_NO_QUORUM after its deadline (default 5 s).
 */
export interface Kv {
  /** The value as of now, whoever wrote it. @throws {MycelError} MYCEL_NO_QUORUM, MYCEL_BAD_OPTION */
  get(key: string, options?: AskOptions): Promise<KvEntry | undefined>;
  /** @returns the version. @throws {MycelError} MYCEL_NO_QUORUM, MYCEL_GROUP_FULL, MYCEL_BAD_OPTION */
  put(key: string, value: JsonValue, options?: AskOptions): Promise<number>;
  /** Writes (undefined: deletes) only if the key is as expected. Done once, also when answers get lost. */
  cas(
    key: string,
    expected: KvExpectation,
    value: JsonValue | undefined,
    options?: AskOptions,
  ): Promise<KvSwap>;
  delete(key: string, options?: AskOptions): Promise<void>;
  /** Keys that begin so, in order. */
  keys(prefix?: string, options?: AskOptions): Promise<readonly string[]>;
}

/** Builds the handle. */
export function createKv(consensus: Consensus): Kv {
  return {
    async get(key, options) {
      const found = await (
        await consensus.client()
      ).query({ type: 'key', key: checked(key) }, options);
      return found && { value: decodeJson(found.value), version: found.version };
    },
    async put(key, value, options) {
      const command = { op: 'put', key: checked(key), value: encodeJson(value) } as const;
      const outcome = await (await consensus.client()).submit(command, options);
      return outcome.type === 'done' ? outcome.index : 0;
    },
    async cas(key, expected, value, options) {
      const expect =
        'version' in expected
          ? ({ type: 'version', version: expected.version } as const)
          : ({
              type: 'value',
              value: expected.value === undefined ? undefined : encodeJson(expected.value),
            } as const);
      const next = value === undefined ? undefined : encodeJson(value);
      const command = { op: 'cas', key: checked(key), expect, value: next } as const;
      const outcome = await (await consensus.client()).submit(command, options);
      if (outcome.type === 'done') return { isDone: true, version: outcome.index };
      return { isDone: false, version: outcome.type === 'refused' ? (outcome.version ?? 0) : 0 };
    },
    async delete(key, options) {
      await (await consensus.client()).submit({ op: 'delete', key: checked(key) }, options);
    },
    async keys(prefix = '', options) {
      return (await consensus.client()).query({ type: 'keys', prefix }, options);
    },
  };
}

/** @throws {MycelError} MYCEL_BAD_OPTION */
export function checked(key: string): string {
  const isGood = key.length > 0 && key.length <= keyLengthMax && !/\p{Cc}|\p{Cs}/u.test(key);
  if (isGood) return key;
  throw new MycelError('MYCEL_BAD_OPTION', {
    reason: `A key or name has 1 to ${keyLengthMax} characters and no control characters.`,
  });
}
