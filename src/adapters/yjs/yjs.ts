/** Documents by Yjs, a package that most nodes do without: it is looked for when the first document is opened. */

import { MycelError } from '../../kernel/errors.ts';
import type { DocumentLibrary, LiveDocument } from '../../ports/documents.ts';

/** Yjs 13, as far as it is used here. */
interface Yjs {
  readonly Doc: new () => Doc;
  applyUpdateV2(doc: Doc, update: Uint8Array, origin: unknown): void;
  encodeStateAsUpdateV2(doc: Doc): Uint8Array;
  mergeUpdatesV2(updates: Uint8Array[]): Uint8Array;
  snapshot(doc: Doc): object;
  equalSnapshots(one: object, other: object): boolean;
}

interface Doc {
  getText(name: string): Text;
  on(event: 'updateV2', listener: (update: Uint8Array, origin: unknown) => void): void;
  off(event: 'updateV2', listener: (update: Uint8Array, origin: unknown) => void): void;
  destroy(): void;
}

interface Text {
  insert(at: number, text: string): void;
  delete(at: number, length: number): void;
  toString(): string;
  observe(listener: () => void): void;
  unobserve(listener: () => void): void;
}

/** Marks edits that came from elsewhere. */
const elsewhere: unique symbol = Symbol('elsewhere');

/**
 * Loads Yjs.
 * @param name of the package
 * @throws {MycelError} MYCEL_NOT_INSTALLED
 */
export async function loadYjs(name = 'yjs'): Promise<DocumentLibrary> {
  let yjs: Yjs;
  try {
    // By a name that is not written out, so that the one-file command does not swallow it.
    yjs = (await import(name)) as Yjs;
  } catch (error) {
    const fix = 'npm install yjs@13';
    const reason = `Documents and texts need the package yjs: ${fix}`;
    throw new MycelError(
      'MYCEL_NOT_INSTALLED',
      { reason, fix: `Run "${fix}" where the program is.` },
      { cause: error },
    );
  }
  return {
    create: () => createDocument(yjs),
    merge: (updates) => (updates.length === 1 && updates[0]) || yjs.mergeUpdatesV2([...updates]),
  };
}

/** A document and what it was made from: two of them are compared by the library. */
interface YjsDocument extends LiveDocument {
  readonly content: Doc;
}

function createDocument(yjs: Yjs): YjsDocument {
  const content = new yjs.Doc();
  return {
    content,
    text(name) {
      const text = content.getText(name);
      return {
        insert: (at, more) => text.insert(at, more),
        delete: (at, length) => text.delete(at, length),
        toString: () => text.toString(),
        observe(listener) {
          text.observe(listener);
          return () => text.unobserve(listener);
        },
      };
    },
    apply(update) {
      try {
        yjs.applyUpdateV2(content, update, elsewhere);
        return true;
      } catch {
        return false;
      }
    },
    whole: () => yjs.encodeStateAsUpdateV2(content),
    equals: (other) =>
      yjs.equalSnapshots(yjs.snapshot(content), yjs.snapshot((other as YjsDocument).content)),
    onEdit(listener) {
      const hear = (update: Uint8Array, origin: unknown): void => {
        if (origin !== elsewhere) listener(update);
      };
      content.on('updateV2', hear);
      return () => content.off('updateV2', hear);
    },
    destroy: () => content.destroy(),
  };
}
