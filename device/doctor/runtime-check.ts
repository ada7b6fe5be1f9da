/** Is this Node.js new enough, and is there memory for a node? */

import { formatBytes } from '../quantity.ts';
import { fail, ok, warn, type Finding } from './finding.ts';
import { readSystemFile, type SystemRoot } from 'mycel';

/** What one idle node needs, measured as its resident set, in bytes, with room to work. */
const memoryNeeded: number = 96 * 1024 * 1024;

/** Below this much available memory the kernel may kill the node under load, in bytes. */
const memoryTight: number = 192 * 1024 * 1024;

/** Oldest Node.js that works: major and minor. */
const nodeOldest = [20, 19] as const;

/** Checks the version that runs this command, as `process.versions.node` has it. */
export function checkNodeVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isFit = major > nodeOldest[0] || (major === nodeOldest[0] && minor >= nodeOldest[1]);
  const oldest = nodeOldest.join('.');
  if (isFit) return ok('node', `Node.js ${version} (${process.arch})`);
  return fail(
    'node',
    `Node.js ${version} is older than ${oldest}.`,
    `Install Node.js ${oldest} or newer.`,
  );
}

/** Compares what the kernel calls available, and the limit of our control group, with what a node needs. */
export function checkMemory(root: SystemRoot): Finding {
  const meminfo = readSystemFile(root, 'proc/meminfo') ?? '';
  const available = kibibytes(meminfo, 'MemAvailable');
  const total = kibibytes(meminfo, 'MemTotal');
  if (available === undefined || total === undefined) {
    return warn('memory', 'The kernel does not tell how much memory is free.', 'Mount /proc.');
  }
  const limit = groupLimit(root);
  const room = Math.min(available, limit ?? Infinity);
  const said =
    `${formatBytes(available)} of ${formatBytes(total)} available` +
    (limit !== undefined && limit < total
      ? `, limited to ${formatBytes(limit)} by the system`
      : '');
  if (room < memoryNeeded) {
    return fail(
      'memory',
      `${said}; a node needs ${formatBytes(memoryNeeded)}.`,
      'Stop other programs, raise the limit, or use a board with more memory.',
    );
  }
  if (room < memoryTight) {
    return warn('memory', `${said}: tight.`, 'Stop what is not needed (a desktop, for example).');
  }
  return ok('memory', said);
}

function kibibytes(meminfo: string, field: string): number | undefined {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(meminfo)?.[1];
  return found === undefined ? undefined : Number(found) * 1024;
}

/** The smallest memory limit on our way up the control groups (version 2), in bytes. */
function groupLimit(root: SystemRoot): number | undefined {
  const group = /^0::(\/.*)$/m.exec(readSystemFile(root, 'proc/self/cgroup') ?? '')?.[1];
  if (group === undefined) return undefined;
  let smallest: number | undefined;
  for (let path = group; ; path = path.slice(0, path.lastIndexOf('/'))) {
    const limit = Number(readSystemFile(root, `sys/fs/cgroup${path}/memory.max`));
    if (limit > 0) smallest = Math.min(limit, smallest ?? Infinity);
    if (path === '' || path === '/') return smallest;
  }
}
