/** Caches as programs use them. */

import type { CacheOptions, CacheStats, MeshCaches } from '../runtime/cache/mesh-cache.ts';
import type { NodeId } from '../kernel/ids.ts';
import { checkKey, checkValue } from './state-values.ts';
import type { Json, StateSchema } from './state-types.ts';

export type { CacheOptions, CacheStats };

/** A cache of the mesh. */
export interface Cache<Value> {
  /** The value, from here or from its owner; undefined when nobody has it, or the owner does not answer. */
  get(key: string): Promise<Value | undefined>;
  /**
   * Keeps a value; every other node forgets its copy. A copy on a node that cannot be reached now lives until its time is over.
   * @throws {MycelError} MYCEL_STATE_INVALID, MYCEL_TOO_LARGE, and with owners MYCEL_UNREACHABLE or MYCEL_DEADLINE
   */
  set(key: string, value: Value, options?: { readonly ttlMs?: number }): Promise<void>;
  delete(key: string): Promise<void>;
  /** The value, or what `load` gives, which is then kept. Several callers at once load once. */
  getOrLoad(key: string, load: () => Promise<Value>): Promise<Value>;
  /** Who keeps this key; undefined in a cache without owners. */
  owner(key: string): NodeId | undefined;
  stats(): CacheStats;
}

/** The caches of a node. */
export interface CacheHandle {
  /** Opens a cache; every node that uses it names the same options. */
  open<Value = Json>(
    name: string,
    options?: CacheOptions & { readonly schema?: StateSchema<Value> },
  ): Cache<Value>;
}

/** Builds the handle. */
export function createCacheHandle(caches: MeshCaches): CacheHandle {
  return {
    open<Value = Json>(
      name: string,
      options: CacheOptions & { readonly schema?: StateSchema<Value> } = {},
    ): Cache<Value> {
      const { schema, ...rest } = options;
      const cache = caches.open(checkKey(name), rest);
      const loading = new Map<string, Promise<Value>>();
      const get = async (key: string): Promise<Value | undefined> =>
        (await cache.get(checkKey(key))) as Value | undefined;
      const set: Cache<Value>['set'] = async (key, value, { ttlMs } = {}) => {
        await cache.set(checkKey(key), checkValue([name, key], value, schema), ttlMs);
      };
      const load = async (key: string, from: () => Promise<Value>): Promise<Value> => {
        const known = await get(key);
        if (known !== undefined) return known;
        const value = await from();
        await set(key, value);
        return value;
      };
      return {
        get,
        set,
        delete: (key) => cache.delete(checkKey(key)),
        getOrLoad(key, from) {
          const running =
            loading.get(key) ?? load(key, from).finally(() => void loading.delete(key));
          loading.set(key, running);
          return running;
        },
        owner: (key) => cache.owner(checkKey(key)),
        stats: () => cache.stats(),
      };
    },
  };
}
