/** Who has a port: the kernel's socket tables, and the processes that hold the sockets. */

import { readlinkSync } from 'node:fs';
import { join } from 'node:path';

import { listSystemDirectory, readSystemFile, type SystemRoot } from 'mycel';

/** A socket that a port belongs to. */
export interface SocketEntry {
  readonly inode: string;
  readonly user: number;
}

/** A process that holds a socket. */
export interface SocketHolder {
  readonly pid: number;
  readonly command: string;
}

/** Processes looked at; a board has a few hundred. */
const processesMax = 4096;

/** State of a TCP socket that listens, in /proc/net/tcp; UDP sockets that are bound but not connected say 07. */
const listening = { tcp: '0A', udp: '07' } as const;

/** Sockets that listen on the port, of IPv4 and IPv6. */
export function listenersOn(
  root: SystemRoot,
  protocol: 'tcp' | 'udp',
  port: number,
): SocketEntry[] {
  return [protocol, `${protocol}6`].flatMap((table) =>
    parseSocketTable(readSystemFile(root, `proc/net/${table}`) ?? '', port, listening[protocol]),
  );
}

/** Reads one of the kernel's tables. Lines it does not understand are left out. */
function parseSocketTable(table: string, port: number, state: string): SocketEntry[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local, , status, , , , user, , inode] = line.trim().split(/\s+/);
      if (local === undefined || inode === undefined || user === undefined) return [];
      return local.endsWith(suffix) && status === state ? [{ inode, user: Number(user) }] : [];
    });
}

/** The processes behind the sockets; those of other users stay unknown without root. */
export function holdersOf(root: SystemRoot, entries: readonly SocketEntry[]): SocketHolder[] {
  const wanted = new Set(entries.map(({ inode }) => `socket:[${inode}]`));
  if (wanted.size === 0) return [];
  const pids = listSystemDirectory(root, 'proc').filter((name) => /^\d+$/.test(name));
  return pids.slice(0, processesMax).flatMap((pid) => {
    const holds = listSystemDirectory(root, `proc/${pid}/fd`).some((descriptor) =>
      wanted.has(readLink(join(root, 'proc', pid, 'fd', descriptor))),
    );
    if (!holds) return [];
    return [{ pid: Number(pid), command: readSystemFile(root, `proc/${pid}/comm`) ?? 'unknown' }];
  });
}

/** `mosquitto (pid 812)`, or the owner when the process is not ours to see. */
export function describeHolders(
  holders: readonly SocketHolder[],
  entries: readonly SocketEntry[],
): string {
  if (holders.length > 0) {
    return holders.map(({ pid, command }) => `${command} (pid ${pid})`).join(', ');
  }
  const [first] = entries;
  return first === undefined ? 'a program that does not show' : `a program of user ${first.user}`;
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
