/** The code of agents on this node: kept on disk, given to other nodes, fetched from them when it is missing. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import { MycelError } from '../../kernel/errors.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';
import type { PartWorld } from '../parts.ts';
import { openBundle } from './bundle.ts';
import type { Bundle } from './bundle.ts';
import { deploymentsMax } from './deployment.ts';

/** How long another node may take to give a bundle, in ms. */
const fetchMs = 5_000;

/** The bundles of one node. */
export interface Bundles {
  keep(bundle: Bundle): Promise<void>;
  /** From memory, from disk, or from another node. @throws {MycelError} MYCEL_BAD_BUNDLE */
  fetch(hash: string): Promise<Bundle>;
  /** Gives them to others; returns the function that ends it. */
  serve(): () => void;
}

/** Builds them. */
export function createBundles(world: PartWorld): Bundles {
  const { calls, mesh, store } = world;
  const known = new BoundedMap<string, Bundle>(deploymentsMax);
  const recordOf = (hash: string): string => `agents-bundle-${hash.slice(0, 32)}`;
  const isMember = (node: string): boolean => world.node.members().some(({ id }) => id === node);

  async function own(hash: string): Promise<Bundle | undefined> {
    const here = known.get(hash);
    if (here !== undefined) return here;
    const stored = await store.read(recordOf(hash));
    if (stored === undefined) return undefined;
    const bundle = openBundle(Uint8Array.from(stored), hash, () => true);
    known.set(hash, bundle);
    return bundle;
  }

  async function keep(bundle: Bundle): Promise<void> {
    // It is named by its content.
    if (known.has(bundle.hash)) return;
    await store.write(recordOf(bundle.hash), bundle.bytes);
    known.set(bundle.hash, bundle);
  }

  return {
    keep,
    async fetch(hash) {
      const here = await own(hash);
      if (here !== undefined) return here;
      let last: unknown = new MycelError('MYCEL_BAD_BUNDLE', { reason: 'No node has it.' });
      for (const node of mesh.peers()) {
        try {
          const body = encodeCbor(hash);
          const bytes = await calls.call(node, 'agents/bundle', body, { deadlineMs: fetchMs });
          if (bytes.byteLength === 0) continue;
          const bundle = openBundle(Uint8Array.from(bytes), hash, isMember);
          await keep(bundle);
          return bundle;
        } catch (error) {
          last = error;
        }
      }
      throw last as Error;
    },
    serve: () =>
      calls.serve('agents/bundle', async (body) => {
        const hash = String(decodeCbor(body));
        const bundle = /^[0-9a-f]{64}$/.test(hash) ? await own(hash) : undefined;
        return bundle?.bytes ?? new Uint8Array(0);
      }),
  };
}
