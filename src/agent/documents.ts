/** Open documents as programs hold them. */

import { MycelError } from '../kernel/errors.ts';
import type { DocumentLease } from '../runtime/state/documents.ts';
import type { SharedDocument, SharedText } from './state-types.ts';

/** A document. */
export function asDocument<Content extends object>(lease: DocumentLease): SharedDocument<Content> {
  const { document } = lease;
  return {
    doc: document.live.content as Content,
    saved: () => document.saved(),
    delete: () => document.delete(),
    close: () => lease.release(),
  };
}

/** The text of a document. */
export function asText(key: string, lease: DocumentLease): SharedText {
  const { document } = lease;
  const text = document.live.text('text');
  const lengthNow = (): number => text.toString().length;

  function check(at: number, length: number): void {
    const isThere = Number.isSafeInteger(at) && Number.isSafeInteger(length) && at >= 0;
    if (isThere && length >= 0 && at + length <= lengthNow()) return;
    throw new MycelError('MYCEL_STATE_INVALID', {
      key,
      reason: `Text '${key}' has ${lengthNow()} characters; there are none at ${at} to ${at + length}.`,
    });
  }

  return {
    get length() {
      return lengthNow();
    },
    toString: () => text.toString(),
    async insert(at, more) {
      check(at, 0);
      if (!document.hasRoomFor(3 * more.length)) {
        throw new MycelError('MYCEL_TOO_LARGE', {
          key,
          reason: `Text '${key}' would take more than 256 KiB. It stays as it was.`,
          fix: 'Delete some of it, or split it into several texts.',
        });
      }
      text.insert(at, more);
      await document.saved();
    },
    async delete(at, length) {
      check(at, length);
      text.delete(at, length);
      await document.saved();
    },
    watch: (listener) => text.observe(() => listener(text.toString())),
    close: () => lease.release(),
  };
}
