/** Which network interfaces a node uses, which it leaves out, and why. */

import { networkInterfaces } from 'node:os';

import { type NetInterface, listSystemDirectory, readSystemFile, type SystemRoot } from 'mycel';

import { ok, warn, type Finding } from './finding.ts';

/** Says it for every interface the kernel knows. `list` is the node's own choice, by default or among names. */
export function checkInterfaces(
  list: (names?: readonly string[]) => readonly NetInterface[],
  root: SystemRoot,
): Finding[] {
  const used = list();
  const findings = used.map(describeUsed);
  const names = knownNames(root);
  const all = list(names);
  for (const name of names) {
    if (used.some((net) => net.name === name)) continue;
    const choice = all.find((net) => net.name === name);
    findings.push(ok(`interface ${name}`, `left out: ${whyLeftOut(root, name, choice)}`));
  }
  if (used.every(({ kind }) => kind === 'loopback')) {
    findings.unshift(
      warn(
        'network',
        'No interface leads to other boards.',
        'Plug in a cable or join a Wi-Fi; the node notices by itself.',
      ),
    );
  }
  return findings;
}

function describeUsed(net: NetInterface): Finding {
  const check = `interface ${net.name}`;
  const addresses = net.addresses.map(({ host, prefix }) => `${host}/${prefix}`).join(', ');
  const hasOnlyLinkLocal = net.addresses.every(({ host }) => host.startsWith('169.254.'));
  if (net.kind !== 'loopback' && hasOnlyLinkLocal) {
    return warn(
      check,
      `used (${net.kind}), but it has given itself ${addresses}: no router answered.`,
      'Check the cable and the DHCP server; boards on the same wire still find each other.',
    );
  }
  return ok(check, `used (${net.kind}): ${addresses}`);
}

function whyLeftOut(root: SystemRoot, name: string, choice: NetInterface | undefined): string {
  if (choice?.kind === 'loopback' || name === 'lo') return 'it leads only to this machine';
  if (choice?.kind === 'virtual') return 'it belongs to containers or virtual machines';
  if (choice?.kind === 'tunnel')
    return 'it is a tunnel or VPN (name it with --interface to use it)';
  const state = readSystemFile(root, `sys/class/net/${name}/operstate`);
  if (state === 'down' || state === 'lowerlayerdown') return 'it is down';
  return 'it has no address';
}

function knownNames(root: SystemRoot): string[] {
  return [
    ...new Set([
      ...listSystemDirectory(root, 'sys/class/net'),
      ...Object.keys(networkInterfaces()),
    ]),
  ].toSorted();
}
