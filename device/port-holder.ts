/** Says who has the port that a node was told to use. */

import { describeHolders, holdersOf, listenersOn } from './doctor/sockets.ts';
import { Failure } from './failure.ts';

/** The same failure with the name of the program in it; any other one as it is. */
export function namePortHolder(error: unknown): unknown {
  const { code, details } = error as {
    code?: unknown;
    details?: { port?: unknown; reason?: unknown };
  };
  const port = details?.port;
  if (code !== 'MYCEL_PORT_TAKEN' || typeof port !== 'number') return error;
  const protocol = String(details?.reason).includes('UDP') ? 'udp' : 'tcp';
  const entries = listenersOn('/', protocol, port);
  const who = describeHolders(holdersOf('/', entries), entries);
  return new Failure(
    'MYCEL_PORT_TAKEN',
    `${protocol.toUpperCase()} port ${port} is in use by ${who}.`,
    'Choose another one with --port, or stop that program.',
    { cause: error },
  );
}
