/** Who else answers mDNS here, and does it leave room for us on port 5353? */

import { createSocket } from 'node:dgram';

import { fail, ok, type Finding } from './finding.ts';
import { describeHolders, holdersOf, listenersOn } from './sockets.ts';
import type { SystemRoot } from 'mycel';

/** RFC 6762's port. */
const mdnsPort = 5353;

/** Avahi, systemd-resolved and browsers share the port; a program that does not is named. */
export async function checkMdns(root: SystemRoot, port: number = mdnsPort): Promise<Finding> {
  const check = 'mDNS port';
  const problem = await tryShared(port);
  const entries = listenersOn(root, 'udp', port);
  const holders = holdersOf(root, entries);
  const others = holders.filter(({ pid }) => pid !== process.pid);
  if (problem === undefined) {
    const company =
      entries.length === 0
        ? 'nobody else answers here'
        : `shared with ${describeHolders(others, entries)}`;
    return ok(check, `${port} can be used, ${company}`);
  }
  return fail(
    check,
    `${describeHolders(others, entries)} keeps ${port} for itself (${problem}).`,
    'Stop that program or let it share the port; "mycel up --no-mdns" works without mDNS.',
  );
}

function tryShared(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close();
      resolve(error.code ?? 'error');
    });
    socket.bind({ port, address: '0.0.0.0' }, () => {
      socket.close(() => resolve(undefined));
    });
  });
}
