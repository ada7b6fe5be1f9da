/** Reads exact numbers of bytes from a paused socket, before a stream protocol takes over. */

import type { Duplex } from 'node:stream';

/** Reads with one deadline for everything. */
export interface ByteReader {
  /** The next `count` bytes. @throws {Error} when the socket ends, fails or the deadline passes. */
  take(count: number): Promise<Buffer>;
  /** Lets go of the socket: listeners and deadline. What was not taken stays in the socket. */
  release(): void;
}

/** Starts reading. `deadlineMs` counts from now. */
export function createByteReader(socket: Duplex, deadlineMs: number): ByteReader {
  let failure: Error | undefined;
  let wake: (() => void) | undefined;
  const fail = (reason: string): void => {
    failure ??= new Error(reason);
    wake?.();
  };
  const onReadable = (): void => wake?.();
  const onEnd = (): void => fail('the peer closed the connection');
  const onError = (error: Error): void => fail(error.message);
  const deadline = setTimeout(() => fail(`no answer within ${deadlineMs} ms`), deadlineMs);
  socket.on('readable', onReadable);
  socket.on('end', onEnd);
  socket.on('close', onEnd);
  socket.on('error', onError);

  return {
    async take(count) {
      if (count === 0) return Buffer.alloc(0);
      for (;;) {
        // Asking for more than the socket's buffer holds makes it read on.
        const chunk = socket.read(count) as Buffer | null;
        if (chunk !== null && chunk.length === count) return chunk;
        if (chunk !== null) fail('the peer closed the connection');
        if (failure !== undefined) throw failure;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    release() {
      clearTimeout(deadline);
      socket.off('readable', onReadable);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
      socket.off('error', onError);
    },
  };
}
