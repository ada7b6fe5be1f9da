/** Who this node is: keys made once and kept, and what is drawn anew at every start. */

import type { NodeId } from '../kernel/ids.ts';
import type { Log } from '../ports/log.ts';
import type { Store } from '../ports/store.ts';
import { decodeNodeKeys, encodeNodeKeys, generateNodeKeys, nodeIdOf } from '../wire/keys.ts';
import type { NodeKeys } from '../wire/keys.ts';

/** A node's identity for one start of the process. */
export interface Identity {
  readonly node: NodeId;
  readonly keys: NodeKeys;
  /** Random per start: two instances of one node at a time mean a cloned identity. */
  readonly instance: number;
}

/**
 * Loads the keys, or makes and persists them on the first start (or when the record was damaged beyond reading,
 * which makes this device a newcomer again).
 */
export async function loadIdentity(store: Store, seed: number, log: Log): Promise<Identity> {
  const keys = (await readKeys(store, log)) ?? (await makeKeys(store));
  return { node: nodeIdOf(keys.edPublic), keys, instance: seed >>> 0 };
}

async function readKeys(store: Store, log: Log): Promise<NodeKeys | undefined> {
  const bytes = await store.read('identity');
  if (bytes === undefined) return undefined;
  try {
    return decodeNodeKeys(bytes);
  } catch (error) {
    log.error({ error }, 'the identity record cannot be read; this device gets a new identity');
    return undefined;
  }
}

async function makeKeys(store: Store): Promise<NodeKeys> {
  const keys = generateNodeKeys();
  await store.write('identity', encodeNodeKeys(keys));
  return keys;
}
