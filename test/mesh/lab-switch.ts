/** The cables and the switch of the lab: namespaces, veth pairs, a bridge, and the faults of the network between hosts. */

import { execFileSync } from 'node:child_process';

/** What is wrong with one host's cable. */
interface CableFaults {
  /** Percent of packets lost, each direction. */
  loss: number;
  /** No multicast and no broadcast but ARP crosses, as on many Wi-Fi networks. */
  isUnicastOnly: boolean;
  /** kbit/s each direction. */
  rate: number | undefined;
}

/** The switch and its ports. */
export interface Switch {
  readonly bridgeSpace: string;
  /** The namespace of a host. */
  space(at: number): string;
  /** The address a host starts with. */
  address(at: number): string;
  faults(at: number, change: Partial<CableFaults>): void;
  block(from: number, to: number, isBlocked: boolean): void;
  /** Pulls (or plugs) the cable at the switch: the host's interface loses its carrier. */
  cable(at: number, isPlugged: boolean): void;
  heal(): void;
}

/** The whole LAN; every host is in it, so that broadcast has one address. */
export const lanPrefixLength = 16;

/** Builds namespaces, cables and the bridge. */
export function createSwitch(prefix: string, count: number): Switch {
  const bridgeSpace = `${prefix}-br`;
  const space = (at: number): string => `${prefix}-${at}`;
  const address = (at: number): string => `10.77.${Math.floor(at / 250)}.${(at % 250) + 1}`;
  const all = Array.from({ length: count }, (_, at) => at);
  const faults = all.map((): CableFaults => ({ loss: 0, isUnicastOnly: false, rate: undefined }));
  const blocked = new Set<string>();

  batch(
    [],
    [bridgeSpace, ...all.map(space)].map((name) => `netns add ${name}`),
  );
  batch(
    ['-n', bridgeSpace],
    [
      'link add br0 type bridge mcast_snooping 0',
      'link set br0 up',
      ...all.flatMap((at) => [
        `link add p${at} type veth peer name eth0 netns ${space(at)}`,
        `link set p${at} master br0`,
        `link set p${at} up`,
      ]),
    ],
  );
  for (const at of all) {
    // Duplicate address detection would keep IPv6 addresses unusable for the first second.
    run('ip', ['netns', 'exec', space(at), 'sysctl', '-qw', 'net.ipv6.conf.eth0.accept_dad=0']);
    batch(
      ['-n', space(at)],
      [
        'link set lo up',
        'link set eth0 up',
        `addr add ${address(at)}/${lanPrefixLength} brd + dev eth0`,
        'route add 224.0.0.0/4 dev eth0',
      ],
    );
  }

  /** Faults sit in the bridge, where no host can see them: a send never fails because of one. */
  function applyFilters(): void {
    const rules: string[] = [];
    for (const pair of blocked) {
      const [from, to] = pair.split('>');
      rules.push(`iifname "p${from}" oifname "p${to}" drop`);
    }
    for (const [at, { loss, isUnicastOnly }] of faults.entries()) {
      for (const side of [`iifname "p${at}"`, `oifname "p${at}"`]) {
        if (loss > 0) {
          rules.push(`${side} numgen random mod 10000 < ${Math.round(loss * 100)} drop`);
        }
        if (isUnicastOnly) {
          rules.push(`${side} ip daddr 224.0.0.0/4 drop`, `${side} ip6 daddr ff00::/8 drop`);
          rules.push(`${side} ether daddr ff:ff:ff:ff:ff:ff ether type ip drop`);
        }
      }
    }
    const table = [
      'table bridge faults {}',
      'delete table bridge faults',
      'table bridge faults {',
      'chain forward {',
      'type filter hook forward priority 0;',
      ...rules,
      '}',
      '}',
      '',
    ].join('\n');
    run('ip', ['netns', 'exec', bridgeSpace, 'nft', '-f', '-'], table);
  }

  function applyRate(at: number, rate: number | undefined): void {
    for (const [where, device] of [
      [space(at), 'eth0'],
      [bridgeSpace, `p${at}`],
    ] as const) {
      const tc = (...args: string[]): void => run('ip', ['netns', 'exec', where, 'tc', ...args]);
      if (rate === undefined) tc('qdisc', 'del', 'dev', device, 'root');
      else {
        const shape = ['tbf', 'rate', `${rate}kbit`, 'burst', '16kb', 'latency', '400ms'];
        tc('qdisc', 'replace', 'dev', device, 'root', ...shape);
      }
    }
  }

  function setFaults(at: number, change: Partial<CableFaults>): void {
    const cable = faults[at];
    if (cable === undefined) throw new Error(`the lab has no host ${at}`);
    if ('rate' in change && change.rate !== cable.rate) applyRate(at, change.rate);
    Object.assign(cable, change);
    applyFilters();
  }

  return {
    bridgeSpace,
    space,
    address,
    faults: setFaults,
    block(from, to, isBlocked) {
      if (isBlocked) blocked.add(`${from}>${to}`);
      else blocked.delete(`${from}>${to}`);
      applyFilters();
    },
    cable(at, isPlugged) {
      batch(['-n', bridgeSpace], [`link set p${at} ${isPlugged ? 'up' : 'down'}`]);
    },
    heal() {
      blocked.clear();
      for (const at of all) setFaults(at, { loss: 0, isUnicastOnly: false, rate: undefined });
    },
  };
}

/** Runs lines of `ip` in one process. */
export function batch(options: readonly string[], lines: readonly string[]): void {
  run('ip', [...options, '-batch', '-'], `${lines.join('\n')}\n`);
}

function run(command: string, args: readonly string[], input = ''): void {
  try {
    execFileSync(command, args, { input, stdio: ['pipe', 'pipe', 'pipe'] });
  } catch (error) {
    const stderr = (error as { stderr?: Buffer }).stderr?.toString().trim() ?? '';
    throw new Error(`${command} ${args.join(' ')}: ${stderr}\n${input}`, { cause: error });
  }
}
