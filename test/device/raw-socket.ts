/** A control connection without our client: writes any bytes, collects the lines that come back. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** The connection. */
export interface RawConnection {
  readonly socket: Socket;
  readonly lines: Record<string, unknown>[];
  send(value: unknown): void;
  /** Waits until this many lines have come. */
  received(count: number): Promise<Record<string, unknown>[]>;
  /** Waits until the other side has closed. */
  closed(): Promise<void>;
}

/** Connects and reads. `isReading: false` leaves everything in the kernel's buffers. */
export async function connectRaw(path: string, isReading = true): Promise<RawConnection> {
  const socket = connect(path);
  await once(socket, 'connect');
  const lines: Record<string, unknown>[] = [];
  let rest = '';
  let wake = (): void => undefined;
  socket.on('error', () => undefined);
  let isClosed = false;
  socket.on('close', () => {
    isClosed = true;
    wake();
  });
  if (isReading) {
    socket.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk.toString('utf8')).split('\n');
      rest = parts.pop() ?? '';
      for (const part of parts) lines.push(JSON.parse(part) as Record<string, unknown>);
      wake();
    });
  }
  const until = async (condition: () => boolean, what: string): Promise<void> => {
    while (!condition()) {
      if (isClosed) throw new Error(`closed before ${what}; got ${JSON.stringify(lines)}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return {
    socket,
    lines,
    send: (value) => void socket.write(`${JSON.stringify(value)}\n`),
    async received(count) {
      await until(() => lines.length >= count, `${count} lines`);
      return lines;
    },
    async closed() {
      if (!isClosed) await once(socket, 'close');
    },
  };
}
