/** `mycel blob`: content of any size, put, fetched and listed. */

import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';

import { print, type Context } from '../context.ts';
import { blobPieceBytesMax } from '../control-blobs.ts';
import { connectControl, type ControlClient } from '../control-client.ts';
import { Failure, usageFailure } from '../failure.ts';
import { formatTable } from '../table.ts';

/** Keeps a file, or stdin for `-`, as a blob, and prints its name. */
export async function blobPut(context: Context, file: string): Promise<void> {
  const size = file === '-' ? undefined : await sizeOf(file);
  const source = file === '-' ? process.stdin : createReadStream(file);
  await withClient(context, async (client) => {
    const { upload } = await client.call('blob-begin', {});
    let sent = 0;
    for await (const part of source as AsyncIterable<Buffer>) {
      for (let at = 0; at < part.length; at += blobPieceBytesMax) {
        const piece = part.subarray(at, at + blobPieceBytesMax);
        await client.call('blob-push', { upload, dataBase64: piece.toString('base64') });
        sent += piece.length;
        show(context, sent, size);
      }
    }
    const info = await client.call('blob-end', { upload });
    context.terminal.progress('');
    print(context, info, () => [info.hash]);
  });
}

/** Fetches a blob from whoever has it, and writes it to a file or to stdout. */
export async function blobGet(
  context: Context,
  hash: string,
  out: string | undefined,
): Promise<void> {
  if (context.json && out === undefined) {
    throw usageFailure('The content and JSON cannot share stdout.', 'Name a file with --out.');
  }
  await withClient(context, async (client) => {
    let bytes = 0;
    for (;;) {
      const state = await client.call('blob-fetch', { hash });
      bytes = state.bytes;
      if (state.isWhole) break;
      show(context, bytes, state.of);
    }
    context.terminal.progress('');
    if (out === undefined) await copy(client, hash, bytes, toStdout);
    else await toFile(out, (write) => copy(client, hash, bytes, write));
    if (out !== undefined) print(context, { hash, bytes, out }, () => [`${bytes} bytes in ${out}`]);
  });
}

/** What this node holds whole. */
export async function blobList(context: Context): Promise<void> {
  await withClient(context, async (client) => {
    const blobs = await client.call('blob-ls', {});
    print(context, blobs, () =>
      blobs.length === 0
        ? ['No blobs are kept here.']
        : formatTable(
            ['BYTES', 'HASH'],
            blobs.map(({ hash, bytes }) => [String(bytes), hash]),
          ).map((line) => line.trimEnd()),
    );
  });
}

type Write = (bytes: Uint8Array) => Promise<void>;

async function withClient(
  { dataDir }: Context,
  act: (client: ControlClient) => Promise<void>,
): Promise<void> {
  const client = await connectControl(dataDir);
  try {
    await act(client);
  } finally {
    client.close();
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    const found = await stat(file);
    if (found.isFile()) return found.size;
  } catch (error) {
    throw new Failure(
      'MYCEL_USAGE',
      `The file cannot be read: ${(error as Error).message}.`,
      'Check its name and its rights.',
    );
  }
  throw usageFailure(`${file} is no file.`, 'Name a file, or "-" for stdin.');
}

async function copy(
  client: ControlClient,
  hash: string,
  bytes: number,
  write: Write,
): Promise<void> {
  for (let at = 0, index = 0; at < bytes; index += 1) {
    const { dataBase64 } = await client.call('blob-read', { hash, index });
    const piece = Buffer.from(dataBase64, 'base64');
    await write(piece);
    at += piece.length;
  }
}

function toStdout(bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

/** Under its own name only when it is whole. */
async function toFile(out: string, fill: (write: Write) => Promise<void>): Promise<void> {
  const draft = `${out}.part`;
  const file = await open(draft, 'w').catch((error: Error) => {
    throw new Failure(
      'MYCEL_USAGE',
      `${out} cannot be written: ${error.message}.`,
      'Choose another place.',
    );
  });
  try {
    await fill(async (bytes) => void (await file.write(bytes)));
    await file.close();
    await rename(draft, out);
  } catch (error) {
    await file.close().catch(() => {});
    await rm(draft, { force: true });
    throw error;
  }
}

function show({ terminal }: Context, bytes: number, of: number | undefined): void {
  const share =
    of === undefined || of === 0 ? '' : ` of ${of} (${Math.floor((100 * bytes) / of)} %)`;
  terminal.progress(`${bytes}${share} bytes`);
}
