/** The documents that are open on this node; the library behind them is loaded with the first one. */

import { MycelError } from '../../kernel/errors.ts';
import type { DocumentLibrary } from '../../ports/documents.ts';
import { addressOf } from '../../protocol/replication/cell.ts';
import type { NodePart, PartWorld } from '../parts.ts';
import { OpenDocument } from './document.ts';
import type { StateRoom } from './state-room.ts';

export type { OpenDocument } from './document.ts';
export type { LiveText } from '../../ports/documents.ts';

/** Documents open at a time. */
export const documentsOpenMax = 64;

/** A holder's hand on an open document. */
export interface DocumentLease {
  readonly document: OpenDocument;
  /** Closes it when nobody else holds it. @throws what `saved` throws */
  release(): Promise<void>;
}

/** The documents. */
export interface Documents {
  readonly part: NodePart;
  /** @throws {MycelError} MYCEL_NOT_RUNNING, MYCEL_NOT_INSTALLED, MYCEL_STATE_INVALID */
  open(key: string): Promise<DocumentLease>;
}

interface Held {
  readonly document: OpenDocument;
  holders: number;
}

/** Builds them. */
export function createDocuments(world: PartWorld, room: StateRoom): Documents {
  const open = new Map<string, Held>();
  let loading: Promise<DocumentLibrary> | undefined;

  async function load(): Promise<DocumentLibrary> {
    try {
      return await (loading ??= world.adapters.loadDocuments());
    } catch (error) {
      loading = undefined;
      throw error;
    }
  }

  function take(key: string, library: DocumentLibrary): Held {
    // Says it when the node is not running.
    room.replica();
    const known = open.get(key);
    if (known?.document.isDeleted === false) return known;
    if (known === undefined && open.size >= documentsOpenMax) {
      throw new MycelError('MYCEL_STATE_INVALID', {
        key,
        reason: `${documentsOpenMax} documents are open already.`,
        fix: 'Close those that are not edited.',
      });
    }
    const note = (text: string): void => world.log.warn({}, text);
    const address = addressOf('document', [key]);
    const held = { document: new OpenDocument({ room, library, address, key, note }), holders: 0 };
    open.set(key, held);
    return held;
  }

  return {
    part: {
      start: () => Promise.resolve(),
      async stop() {
        const held = [...open.values()];
        open.clear();
        await Promise.allSettled(held.map(({ document }) => document.close()));
      },
    },
    async open(key) {
      const held = take(key, await load());
      held.holders += 1;
      let isReleased = false;
      return {
        document: held.document,
        async release() {
          if (isReleased) return;
          isReleased = true;
          held.holders -= 1;
          if (held.holders > 0 || open.get(key) !== held) return;
          open.delete(key);
          await held.document.close();
        },
      };
    },
  };
}
