/** What commands may ask of blobs: content comes and goes in pieces that fit a line, one at a time. */

import type { BlobInfo } from 'mycel';

/** Bytes of content in one request or answer. */
export const blobPieceBytesMax: number = 256 * 1024;

/** How far a fetch has come. */
export interface BlobFetch {
  readonly bytes: number;
  /** Undefined until somebody who has it was found. */
  readonly of?: number;
  readonly isWhole: boolean;
}

/** The requests. */
export interface BlobCalls {
  'blob-ls': { args: Readonly<Record<string, never>>; result: readonly BlobInfo[] };
  'blob-begin': {
    args: Readonly<Record<string, never>>;
    result: { readonly upload: string };
  };
  'blob-push': {
    args: { readonly upload: string; readonly dataBase64: string };
    result: Readonly<Record<string, never>>;
  };
  'blob-end': { args: { readonly upload: string }; result: BlobInfo };
  'blob-fetch': { args: { readonly hash: string }; result: BlobFetch };
  'blob-read': {
    args: { readonly hash: string; readonly index: number };
    result: { readonly dataBase64: string };
  };
}

type Check = (value: unknown) => string | undefined;

/** The checks of these requests. */
export function blobChecks(kit: {
  text(lengthMax: number, lengthMin?: number): Check;
  whole(low: number, high: number): Check;
}): Readonly<Record<keyof BlobCalls, Readonly<Record<string, Check>>>> {
  const { text, whole } = kit;
  return {
    'blob-ls': {},
    'blob-begin': {},
    'blob-push': {
      upload: text(64),
      dataBase64: text(Math.ceil(blobPieceBytesMax / 3) * 4),
    },
    'blob-end': { upload: text(64) },
    'blob-fetch': { hash: text(64) },
    'blob-read': { hash: text(64), index: whole(0, 2 ** 32) },
  };
}

/** One of these requests. */
export type BlobRequest = {
  readonly [Op in keyof BlobCalls]: { readonly op: Op; readonly args: BlobCalls[Op]['args'] };
}[keyof BlobCalls];

const blobOps: ReadonlySet<string> = new Set(
  Object.keys({
    'blob-ls': true,
    'blob-begin': true,
    'blob-push': true,
    'blob-end': true,
    'blob-fetch': true,
    'blob-read': true,
  } satisfies Record<keyof BlobCalls, true>),
);

/** Whether a request is one of these. */
export function isBlobRequest(request: { readonly op: string }): request is BlobRequest {
  return blobOps.has(request.op);
}
