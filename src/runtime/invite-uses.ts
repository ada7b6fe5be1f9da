/** The invites that were used, on disk: written before a grant leaves, so that a power cut never makes one good twice. */

import type { Store } from '../ports/store.ts';
import type { InviteUse } from '../protocol/trust/invite-ledger.ts';
import { decodeCbor, encodeCbor } from '../wire/cbor.ts';

/** Reads the uses of earlier runs; a record that cannot be read counts as empty (its invites are void anyway). */
export async function readUses(store: Store): Promise<readonly InviteUse[]> {
  const bytes = await store.read('invites');
  if (bytes === undefined) return [];
  let rows: unknown;
  try {
    rows = decodeCbor(bytes);
  } catch {
    return [];
  }
  if (!Array.isArray(rows)) return [];
  return (rows as unknown[]).flatMap((row) => {
    const [inviteId, key] = Array.isArray(row) ? (row as unknown[]) : [];
    return typeof inviteId === 'string' && typeof key === 'string' ? [{ inviteId, key }] : [];
  });
}

/** Writes them all. */
export function writeUses(store: Store, uses: readonly InviteUse[]): Promise<void> {
  return store.write('invites', encodeCbor(uses.map(({ inviteId, key }) => [inviteId, key])));
}
