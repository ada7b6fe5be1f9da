/** Is the node's port free, and if not, who has it? */

import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

import { fail, ok, warn, type Finding } from './finding.ts';
import { describeHolders, holdersOf, listenersOn } from './sockets.ts';
import type { SystemRoot } from 'mycel';

/** MQTT's registered port, which a node takes when it is free. */
const portDefault = 1883;

/** What the check needs to know. */
export interface PortQuestion {
  /** The port that was asked for by name, or undefined for the default, which a node may replace by a free one. */
  readonly stated: number | undefined;
  /** Ports of the node that already runs here. */
  readonly ours: readonly number[];
  readonly root: SystemRoot;
}

/** Tries to take the port for a moment, on TCP and on UDP. */
export async function checkPort(question: PortQuestion): Promise<Finding[]> {
  const port = question.stated ?? portDefault;
  if (question.ours.includes(port)) {
    return [ok(`port ${port}`, 'belongs to the node that runs here')];
  }
  const [tcp, udp] = await Promise.all([tryTcp(port), tryUdp(port)]);
  return [judge(question, port, 'tcp', tcp), judge(question, port, 'udp', udp)];
}

function judge(
  { stated, root }: PortQuestion,
  port: number,
  protocol: 'tcp' | 'udp',
  problem: string | undefined,
): Finding {
  const check = `port ${port} ${protocol.toUpperCase()}`;
  if (problem === undefined) return ok(check, 'is free');
  if (problem === 'EACCES') {
    return fail(check, 'needs root (it is below 1024).', 'Choose a port above 1023 with --port.');
  }
  const entries = listenersOn(root, protocol, port);
  const who = describeHolders(holdersOf(root, entries), entries);
  const text = `is taken by ${who}`;
  if (stated !== undefined) {
    return fail(check, `${text}.`, 'Stop that program, or choose another port with --port.');
  }
  return warn(
    check,
    `${text}; a node will take another free port.`,
    'Nothing, or stop that program if plain MQTT clients expect this port.',
  );
}

function tryTcp(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    server.listen({ port, host: '0.0.0.0', exclusive: true }, () => {
      server.close(() => resolve(undefined));
    });
  });
}

function tryUdp(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close();
      resolve(error.code ?? 'error');
    });
    socket.bind({ port, address: '0.0.0.0', exclusive: true }, () => {
      socket.close(() => resolve(undefined));
    });
  });
}
