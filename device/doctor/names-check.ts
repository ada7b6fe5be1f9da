/** Can names be resolved? Only updates, gateways to the internet and seeds by name need it. */

import { ok, warn, type Finding } from './finding.ts';
import { readSystemFile, type SystemRoot } from 'mycel';

/** Looks at who is asked for names, and asks nobody: a LAN without internet is a fine place for a mesh. */
export function checkNames(root: SystemRoot): Finding {
  const check = 'DNS';
  const text = readSystemFile(root, 'etc/resolv.conf') ?? '';
  const servers = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, host]) => host);
  if (servers.length > 0) return ok(check, `names are asked of ${servers.join(', ')}`);
  return warn(
    check,
    'No name server is set: seeds by name and providers on the internet will not be found.',
    'Let DHCP set one, or use addresses instead of names.',
  );
}
