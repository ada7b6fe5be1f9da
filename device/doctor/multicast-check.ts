/** Does multicast work on each interface: does a socket hear what it sends to the group? */

import { createSocket } from 'node:dgram';
import { randomBytes } from 'node:crypto';

import { fail, ok, warn, type Finding } from './finding.ts';

/** Where hellos go; the same group and port as discovery uses. */
const hello = { group: '239.255.77.67', port: 7677 } as const;

/** How long our own packet may take to come back, in ms. */
const echoMs = 700;

/** Checks every address, one after the other would be slow: all at once. */
export async function checkMulticast(
  interfaces: readonly { readonly name: string; readonly host: string }[],
): Promise<Finding[]> {
  if (interfaces.length === 0) {
    return [
      warn(
        'multicast',
        'There is no network interface to try it on.',
        'Connect the board to a network; until then it finds only nodes on itself.',
      ),
    ];
  }
  return Promise.all(interfaces.map(({ name, host }) => checkOne(name, host)));
}

async function checkOne(name: string, host: string): Promise<Finding> {
  const check = `multicast ${name}`;
  const problem = await echo(host);
  if (problem === undefined) {
    return ok(check, `${host} hears what it sends to ${hello.group}:${hello.port}`);
  }
  return fail(
    check,
    `${host} does not hear what it sends to ${hello.group} (${problem}).`,
    'Allow UDP multicast in the firewall, or name other nodes with "mycel up --seed HOST:PORT".',
  );
}

/** What went wrong, or undefined when our own packet came back. */
function echo(host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const nonce = Buffer.concat([Buffer.from('mycel doctor '), randomBytes(16)]);
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    const timer = setTimeout(() => done('nothing came back'), echoMs);
    const done = (problem: string | undefined): void => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      socket.close();
      resolve(problem);
    };
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    socket.on('message', (bytes) => {
      if (nonce.equals(bytes)) done(undefined);
    });
    socket.bind({ port: hello.port, address: '0.0.0.0' }, () => {
      try {
        socket.setMulticastInterface(host);
        socket.setMulticastLoopback(true);
        socket.setMulticastTTL(1);
        socket.addMembership(hello.group, host);
        socket.send(nonce, hello.port, hello.group);
      } catch (error) {
        done((error as NodeJS.ErrnoException).code ?? 'error');
      }
    });
  });
}
