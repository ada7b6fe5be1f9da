/** A TCP connection to one address, abortable and with a deadline. */

import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Address } from '../../kernel/address.ts';

/** Connects to an address. @throws {Error} with the reason */
export type Connect = (address: Address, signal: AbortSignal) => Promise<Duplex>;

/** Time to connect, in ms. */
const connectMs = 5000;

/** Connects. @throws {Error} with the reason when refused, unreachable, too slow or aborted. */
export function connectSocket(address: Address, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address.host, port: address.port, noDelay: true });
    const deadline = setTimeout(
      () => fail(new Error(`no connection within ${connectMs} ms`)),
      connectMs,
    );
    const abort = (): void => fail(new Error('given up'));
    const onError = (error: Error): void => fail(error);

    function tidy(): void {
      clearTimeout(deadline);
      signal.removeEventListener('abort', abort);
      socket.off('error', onError);
      // Errors after this belong to whoever uses the socket; until it listens they must not end the process.
      socket.on('error', () => {});
    }
    function fail(error: Error): void {
      tidy();
      socket.destroy();
      reject(error);
    }

    socket.once('error', onError);
    socket.once('connect', () => {
      tidy();
      resolve(socket);
    });
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}
