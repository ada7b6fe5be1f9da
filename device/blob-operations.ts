/** What the requests about blobs do to the node. */

import { setTimeout as sleep } from 'node:timers/promises';

import { MycelError } from 'mycel';
import type { AgentHandles, BlobInfo, Blobs, MeshNode } from 'mycel';

import type { BlobFetch, BlobRequest } from './control-blobs.ts';

/** Contents being put at once; one more is refused. */
const uploadsMax = 4;

/** How long the next piece of a content may take, in ms; then it is given up. */
const idleMs = 30_000;

/** How long an answer about a fetch may wait for its end, in ms. */
const fetchAnswerMs = 500;

interface Upload {
  readonly writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly info: Promise<BlobInfo>;
  timer: NodeJS.Timeout;
}

interface Desk {
  readonly uploads: Map<string, Upload>;
  readonly fetches: Map<string, Promise<void>>;
}

const desks = new WeakMap<Blobs, Desk>();

/** Runs one. */
export async function runBlobCall(node: MeshNode, request: BlobRequest): Promise<unknown> {
  const { blobs } = node as MeshNode & AgentHandles;
  const desk = desks.get(blobs) ?? { uploads: new Map(), fetches: new Map() };
  desks.set(blobs, desk);
  switch (request.op) {
    case 'blob-ls':
      return blobs.list();
    case 'blob-begin':
      return begin(desk, blobs);
    case 'blob-push': {
      const upload = uploadOf(desk, request.args.upload);
      upload.timer.refresh();
      await upload.writer.write(Buffer.from(request.args.dataBase64, 'base64'));
      return {};
    }
    case 'blob-end': {
      const upload = uploadOf(desk, request.args.upload);
      await upload.writer.close();
      return upload.info;
    }
    case 'blob-fetch':
      return fetched(desk, blobs, request.args.hash);
    case 'blob-read': {
      const { hash, index } = request.args;
      const bytes = await blobs.chunk(hash, index);
      return { dataBase64: Buffer.from(bytes).toString('base64') };
    }
  }
}

function begin({ uploads }: Desk, blobs: Blobs): { upload: string } {
  if (uploads.size >= uploadsMax) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `${uploadsMax} contents are being put already.`,
      fix: 'Wait for one of them.',
    });
  }
  const upload = crypto.randomUUID();
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const info = blobs.put(readable as unknown as AsyncIterable<Uint8Array>);
  const give = (): void => {
    clearTimeout(timer);
    uploads.delete(upload);
  };
  const timer = setTimeout(() => {
    writer.abort(new Error('the next piece did not come')).catch(() => {});
  }, idleMs);
  timer.unref();
  // Whoever ends the upload hears of its failure; a client that is gone hears nothing.
  info.then(give, give);
  writer.closed.catch(() => {});
  uploads.set(upload, { writer, info, timer });
  return { upload };
}

function uploadOf({ uploads }: Desk, id: string): Upload {
  const upload = uploads.get(id);
  if (upload !== undefined) return upload;
  throw new MycelError('MYCEL_BAD_OPTION', {
    reason: 'This content is not being put: it took too long, or failed.',
    fix: 'Put it again.',
  });
}

/** Starts a fetch, or looks at one that goes on. It goes on when nobody asks any more, and is given up without progress. */
async function fetched({ fetches }: Desk, blobs: Blobs, hash: string): Promise<BlobFetch> {
  let going = fetches.get(hash);
  if (going === undefined) {
    going = wholeOf(blobs, hash);
    fetches.set(hash, going);
    const end = (): void => void fetches.delete(hash);
    going.then(end, end);
  }
  const isWhole = await Promise.race([
    going.then(() => true),
    sleep(fetchAnswerMs, false, { ref: false }),
  ]);
  const { bytes, of } = await blobs.progress(hash);
  return { bytes, isWhole, ...(of === undefined ? {} : { of }) };
}

/** Nothing is given before all of it is here. */
async function wholeOf(blobs: Blobs, hash: string): Promise<void> {
  for await (const _ of blobs.get(hash)) return;
}
