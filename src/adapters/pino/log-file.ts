/** Where log lines go: written at once, so that a crash loses none, and never more than a stated room on disk. */

import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

/** Size at which a log file makes room, in bytes: a full pair of files is twice this. */
const logFileBytesMax: number = 1024 * 1024;

/** How often a pipe that is full is tried again before the line is given up. */
const retriesMax = 8;

/** Takes whole lines. Never throws: a node does not stop because its log cannot be written. */
export interface LineSink {
  write(line: string): void;
  /** Lines that could not be written. */
  lostCount(): number;
}

/** Lines to an open descriptor, such as 2 for standard error. */
export function createDescriptorSink(descriptor: number): LineSink {
  let lost = 0;
  return {
    write(line) {
      if (!writeAll(descriptor, Buffer.from(line))) lost += 1;
    },
    lostCount: () => lost,
  };
}

/** Lines to a file (mode 0600); when it reaches `bytesMax` it becomes `<path>.1`, and what was there goes. */
export function createFileSink(path: string, bytesMax: number = logFileBytesMax): LineSink {
  let lost = 0;
  let descriptor: number | undefined;
  let size = 0;

  function ready(): number {
    if (descriptor !== undefined && size >= bytesMax) {
      closeSync(descriptor);
      descriptor = undefined;
      renameSync(path, `${path}.1`);
    }
    if (descriptor === undefined) {
      descriptor = openSync(path, 'a', 0o600);
      size = fstatSync(descriptor).size;
    }
    return descriptor;
  }

  return {
    write(line) {
      const bytes = Buffer.from(line);
      try {
        if (writeAll(ready(), bytes)) size += bytes.length;
        else lost += 1;
      } catch {
        // A full, read-only or vanished disk: the line is lost and counted, the next one tries again.
        lost += 1;
      }
    },
    lostCount: () => lost,
  };
}

function writeAll(descriptor: number, bytes: Buffer): boolean {
  let at = 0;
  for (let attempt = 0; attempt <= retriesMax; attempt += 1) {
    try {
      at += writeSync(descriptor, bytes, at);
      if (at >= bytes.length) return true;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'EAGAIN' && code !== 'EINTR') return false;
    }
  }
  return false;
}
