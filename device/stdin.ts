/** Reads what is piped into a command, up to a limit. */

import { Failure } from './failure.ts';
import type { Terminal } from './terminal.ts';

/**
 * Everything on stdin until its end.
 * @throws {Failure} MYCEL_TOO_LARGE as soon as it is more than `bytesMax`.
 */
export async function readStdin(
  terminal: Terminal,
  what: string,
  bytesMax: number,
): Promise<Buffer> {
  if (process.stdin.isTTY) terminal.note(`Type ${what}, then press Ctrl-D.`);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > bytesMax) {
      process.stdin.destroy();
      throw new Failure(
        'MYCEL_TOO_LARGE',
        `There is more than ${bytesMax} bytes on stdin.`,
        'Send less, or in parts.',
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
