/** A LAN of real hosts on one Linux machine: a network namespace per host, a bridge in one of its own, faults on demand. */

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHost, startCapture, type Capture, type Host } from './lab-host.ts';
import { createSwitch, type Switch } from './lab-switch.ts';

/** Commands the lab calls, and the Debian packages that hold them. */
const tools: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  tc: 'iproute2',
  nft: 'nftables',
  mosquitto_sub: 'mosquitto-clients',
  mosquitto_pub: 'mosquitto-clients',
  tcpdump: 'tcpdump',
  ping: 'iputils-ping',
  sysctl: 'procps',
};

/** How large a lab is. */
export interface LabOptions {
  readonly hosts: number;
  /** Letters; tells two labs of one process apart. @default '' */
  readonly name?: string;
}

/** Hosts on one bridge. */
export interface Lab {
  readonly hosts: readonly Host[];
  /** @throws when there is no such host: a typo in a test. */
  host(at: number): Host;
  /** Drops everything that `from` sends to `to`, and nothing the other way. */
  block(from: Host, to: Host): void;
  unblock(from: Host, to: Host): void;
  /** Cuts the LAN into groups that do not hear each other. */
  partition(...groups: readonly (readonly Host[])[]): void;
  /** Takes every block, loss, multicast and rate fault away, and every link up. Addresses stay as they are. */
  heal(): void;
  /** Records what crosses the bridge, from now on. */
  capture(): Promise<Capture>;
  /** Kills every process, removes every namespace and file of the lab. Idempotent. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Builds a lab: host `i` has `eth0` with 10.77.x.y/16 and the multicast route, and no default route.
 * Needs root. Labs of dead processes are removed first; this one ends with its process, however that ends.
 */
export async function createLab(options: LabOptions): Promise<Lab> {
  requireTools();
  removeDeadLabs();
  const prefix = `mlab${process.pid}${options.name ?? ''}`;
  const files = mkdtempSync(join(tmpdir(), `${prefix}-`));
  const reaper = startReaper(prefix, files);
  try {
    const network = createSwitch(prefix, options.hosts);
    const hosts = Array.from({ length: options.hosts }, (_, at) =>
      createHost({ at, network, dataDir: join(files, `host-${at}`) }),
    );
    return assemble(hosts, network, files, reaper);
  } catch (error) {
    await reap(reaper);
    throw error;
  }
}

function assemble(
  hosts: readonly Host[],
  network: Switch,
  files: string,
  reaper: ChildProcess,
): Lab {
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= reap(reaper));
  return {
    hosts,
    host(at) {
      const host = hosts[at];
      if (host === undefined) throw new Error(`the lab has no host ${at}`);
      return host;
    },
    block: (from, to) => network.block(from.at, to.at, true),
    unblock: (from, to) => network.block(from.at, to.at, false),
    partition(...groups) {
      for (const [left, right] of groups.flatMap((group, at) =>
        groups.filter((_, other) => other !== at).map((other) => [group, other] as const),
      )) {
        for (const from of left) for (const to of right) network.block(from.at, to.at, true);
      }
    },
    heal() {
      network.heal();
      for (const host of hosts) {
        host.linkUp('cable');
        host.linkUp('interface');
      }
    },
    capture: () =>
      startCapture(network.bridgeSpace, 'br0', join(files, `bridge-${Date.now()}.pcap`)),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function requireTools(): void {
  const missing = Object.entries(tools).filter(([tool]) => !isOnPath(tool));
  if (missing.length > 0) {
    const packages = [...new Set(missing.map(([, name]) => name))].join(' ');
    const names = missing.map(([tool]) => tool).join(', ');
    throw new Error(`the lab needs ${names}. Run: apt-get install -y ${packages}`);
  }
  if (process.getuid?.() !== 0) {
    throw new Error('the lab needs root for network namespaces. Run: sudo -E npm test');
  }
}

function isOnPath(tool: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Removes what labs of processes that are gone left behind (only a killed reaper can leave anything). */
export function removeDeadLabs(): void {
  // The directory comes with the first namespace that a machine ever makes.
  const spaces = existsSync('/run/netns') ? readdirSync('/run/netns').map(String) : [];
  const prefixes = new Set<string>();
  for (const space of spaces) {
    const [prefix, pid] = /^mlab(\d+)[a-z]*/.exec(space) ?? [];
    if (prefix === undefined || pid === undefined) continue;
    try {
      process.kill(Number(pid), 0);
    } catch {
      prefixes.add(prefix);
    }
  }
  for (const prefix of prefixes) execFileSync('sh', ['-c', cleanUp(prefix)], { stdio: 'ignore' });
}

/** Shell lines that end and remove everything under a prefix; harmless when nothing is left, or another one does it too. */
function cleanUp(prefix: string): string {
  return `for space in $(ip netns list | cut -d' ' -f1 | grep '^${prefix}-'); do
    for pid in $(ip netns pids "$space"); do kill -9 "$pid"; done
    ip netns delete "$space"
  done
  true`;
}

/**
 * A process of its own session that waits for the end of its standard input, which is the end of this process whatever
 * its cause, and then cleans up. An orderly stop goes the same way.
 */
function startReaper(prefix: string, files: string): ChildProcess {
  const script = `cat >/dev/null\n${cleanUp(prefix)}\nrm -rf '${files}'`;
  const reaper = spawn('sh', ['-c', script], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  reaper.unref();
  return reaper;
}

async function reap(reaper: ChildProcess): Promise<void> {
  if (reaper.exitCode !== null) return;
  const ended = once(reaper, 'exit');
  reaper.ref();
  reaper.stdin?.end();
  await ended;
}
