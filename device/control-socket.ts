/** Where the control socket is, and how to get past the 107 bytes that Linux allows for its path. */

import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';

/** `sun_path` on Linux holds 108 bytes with the final NUL. */
const socketPathBytesMax = 107;

/** A path that `connect` and `bind` accept; `release` it when the call is done. */
export interface SocketPath {
  readonly path: string;
  release(): void;
}

/** The socket of a data directory. A directory too deep for a socket path is reached through an open descriptor. */
export function controlSocketPath(dataDir: string): SocketPath {
  const path = join(dataDir, 'control.sock');
  if (Buffer.byteLength(path) <= socketPathBytesMax) return { path, release: () => undefined };
  const directory = openSync(dataDir, 'r');
  return {
    path: `/proc/self/fd/${directory}/control.sock`,
    release: () => closeSync(directory),
  };
}
