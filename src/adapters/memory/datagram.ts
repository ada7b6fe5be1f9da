/** The memory twin of UDP: sockets of one process that hear each other through a shared hub. */

import { formatAddress } from '../../kernel/address.ts';
import { MycelError } from '../../kernel/errors.ts';
import { datagramBytesMax, type DatagramOptions, type Datagrams } from '../../ports/datagram.ts';

/** The first port given to those who ask for any. */
const anyPortFirst = 49_152;

/** Builds a hub; every socket opened from it can reach every other. Nothing is lost, delayed or reordered. */
export function createMemoryDatagrams(): Datagrams {
  const open = new Map<string, DatagramOptions['receive']>();

  function freePort(host: string): number {
    let port = anyPortFirst;
    while (open.has(formatAddress({ host, port }))) port += 1;
    return port;
  }

  return {
    async open({ host, port: asked, receive }) {
      const port = asked === 0 ? freePort(host) : asked;
      const own = formatAddress({ host, port });
      if (open.has(own)) {
        throw new MycelError('MYCEL_PORT_TAKEN', { port, reason: `UDP ${host} port ${port}.` });
      }
      let isStopped = false;
      let sent = 0;
      let received = 0;
      let failed = 0;
      open.set(own, (from, bytes) => {
        if (isStopped) return;
        received += 1;
        receive(from, bytes);
      });
      return {
        port,
        send(to, bytes) {
          if (isStopped) return;
          if (bytes.length > datagramBytesMax) {
            failed += 1;
            return;
          }
          sent += 1;
          const copy = Uint8Array.from(bytes);
          const receiver = open.get(formatAddress(to));
          // Never inside the sender's call: a reply must not overtake what the sender still does.
          setImmediate(() => receiver?.({ host, port }, copy));
        },
        counts: () => ({ sent, received, failed }),
        async stop() {
          if (isStopped) return;
          isStopped = true;
          open.delete(own);
        },
      };
    },
  };
}
