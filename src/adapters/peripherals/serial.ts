/** Serial lines: `stty` sets the line up, files do the rest. */

import { execFile } from 'node:child_process';
import { constants, fstatSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { ReadStream } from 'node:tty';
import { MycelError } from '../../kernel/errors.ts';
import type { SerialLine, SerialOptions } from '../../ports/peripherals.ts';
import type { SystemRoot } from '../system/system-file.ts';
import { asDeviceError, deviceFailed, noDevice } from './trouble.ts';

const bauds: readonly number[] = [
  1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600,
];

const setupMs = 5_000;

export async function openSerial(
  root: SystemRoot,
  path: string,
  { baud = 9600 }: SerialOptions = {},
): Promise<SerialLine> {
  const name = `serial line ${path.slice(0, 60)}`;
  if (!bauds.includes(baud)) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `A baud rate is one of ${bauds.join(', ')}.`,
    });
  }
  if (!/^\/dev\/[\w./-]{1,60}$/.test(path) || path.includes('..')) throw noDevice(name);
  // Without O_NOCTTY the line's hang-up would end this process; without O_NONBLOCK opening waits for a carrier.
  const flags = constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK;
  const file = await open(join(root, path), flags).catch((error: unknown) => {
    throw asDeviceError(error, name);
  });
  try {
    if (!fstatSync(file.fd).isCharacterDevice()) throw noDevice(name);
    await setUp(file.fd, baud, name);
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return attach(join(root, path), name);
}

/** Settings belong to the line, not to the descriptor: the one that is opened next has them. */
function setUp(fd: number, baud: number, name: string): Promise<void> {
  const words = [`${baud}`, 'raw', '-echo', '-hupcl', 'clocal', 'cs8', '-parenb', '-cstopb'];
  return new Promise((resolve, reject) => {
    const child = execFile(
      'stty',
      ['-F', `/proc/${process.pid}/fd/${fd}`, ...words],
      { timeout: setupMs },
      (error, _, complaint) => {
        if (error === null) resolve();
        else reject(deviceFailed(name, complaint.trim() || error.message, error));
      },
    );
    child.unref();
  });
}

async function attach(path: string, name: string): Promise<SerialLine> {
  // Two descriptors: a read that waits must not hold a write up, nor one of the few threads that Node.js has for files.
  const writer = await open(path, constants.O_WRONLY | constants.O_NOCTTY).catch(
    (error: unknown) => {
      throw asDeviceError(error, name);
    },
  );
  const flags = constants.O_RDONLY | constants.O_NOCTTY | constants.O_NONBLOCK;
  const fd = openSync(path, flags);
  const reader = new ReadStream(fd);
  const ends: ((reason: string | undefined) => void)[] = [];
  let isOver = false;

  function end(reason: string | undefined): void {
    if (isOver) return;
    isOver = true;
    for (const tell of ends) tell(reason);
    writer.close().catch(() => {});
  }

  reader.on('error', (error) => end(error.message));
  reader.on('end', () => end('the line is gone'));

  return {
    async write(bytes) {
      if (isOver) throw deviceFailed(name, 'it is closed');
      try {
        for (let at = 0; at < bytes.length;) {
          at += (await writer.write(bytes, at, bytes.length - at)).bytesWritten;
        }
      } catch (error) {
        throw asDeviceError(error, name);
      }
    },
    onBytes(listener) {
      const hear = (chunk: Buffer): void => listener(Uint8Array.from(chunk));
      reader.on('data', hear);
      return () => void reader.off('data', hear);
    },
    onEnd: (listener) => void ends.push(listener),
    async close() {
      end(undefined);
      reader.destroy();
    },
  };
}
