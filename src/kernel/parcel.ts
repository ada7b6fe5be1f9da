/** What every carrier of parcels agrees on: how large they are, and that a protocol has one handler. */

import type { NodeId } from './ids.ts';

/** Largest parcel, in bytes. What is larger is cut by its protocol. */
export const parcelBytesMax: number = 32 * 1024;

/** Ends the name of a protocol whose parcels all take the `data` channel, in order, whatever their size. */
export const bulkSuffix = '.bulk';

/** Longest name of a protocol, in characters. */
export const protocolNameMax = 32;

/** Handles one protocol's parcels. `bytes` belong to the receiver. */
export type ParcelHandler = (from: NodeId, bytes: Uint8Array) => void;

/** Refuses what no mesh carries: a bug of the caller. @throws {RangeError} */
export function checkParcel(protocol: string, bytes: Uint8Array): void {
  checkProtocol(protocol);
  if (bytes.byteLength > parcelBytesMax) {
    throw new RangeError(`a parcel of ${bytes.byteLength} bytes is larger than ${parcelBytesMax}`);
  }
}

function checkProtocol(protocol: string): void {
  if (protocol.length === 0 || protocol.length > protocolNameMax) {
    throw new RangeError(`'${protocol.slice(0, 40)}' is no protocol name`);
  }
}

/** The handlers of one node, one a protocol. */
export class ParcelHandlers {
  #handlers = new Map<string, ParcelHandler>();

  /** @throws {RangeError} when the protocol has a handler. */
  take(protocol: string, handler: ParcelHandler): () => void {
    checkProtocol(protocol);
    if (this.#handlers.has(protocol)) throw new RangeError(`'${protocol}' has a handler`);
    this.#handlers.set(protocol, handler);
    return () => {
      if (this.#handlers.get(protocol) === handler) this.#handlers.delete(protocol);
    };
  }

  get(protocol: string): ParcelHandler | undefined {
    return this.#handlers.get(protocol);
  }
}
