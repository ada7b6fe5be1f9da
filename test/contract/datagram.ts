/** What every datagram adapter promises; run on UDP and on its memory twin. */

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Address } from '../../src/kernel/address.ts';
import { datagramBytesMax, type Datagrams, type DatagramSocket } from '../../src/ports/datagram.ts';

interface Heard {
  readonly from: Address;
  readonly bytes: Uint8Array;
}

/** Runs the contract; every socket binds `host`. */
export function datagramContract(kind: string, host: string, make: () => Datagrams): void {
  describe(`${kind} datagrams`, () => {
    let datagrams: Datagrams;
    let sockets: DatagramSocket[];

    beforeEach(() => {
      datagrams = make();
      sockets = [];
    });
    afterEach(async () => {
      for (const socket of sockets) await socket.stop();
    });

    async function open(port = 0): Promise<{ socket: DatagramSocket; heard: Heard[] }> {
      const heard: Heard[] = [];
      const socket = await datagrams.open({
        host,
        port,
        receive: (from, bytes) => heard.push({ from, bytes: Uint8Array.from(bytes) }),
      });
      sockets.push(socket);
      return { socket, heard };
    }

    test('arrive with the address to answer to', async () => {
      const left = await open();
      const right = await open();
      left.socket.send({ host, port: right.socket.port }, Uint8Array.of(1, 2));
      await vi.waitFor(() => expect(right.heard).toHaveLength(1));
      expect(right.heard[0]).toEqual({
        from: { host, port: left.socket.port },
        bytes: Uint8Array.of(1, 2),
      });
      right.socket.send(right.heard[0]?.from ?? { host, port: 1 }, Uint8Array.of(3));
      await vi.waitFor(() => expect(left.heard).toHaveLength(1));
      expect(left.socket.counts()).toEqual({ sent: 1, received: 1, failed: 0 });
    });

    test('arrive at the largest size, and larger ones are dropped and counted at the sender', async () => {
      const left = await open();
      const right = await open();
      const to = { host, port: right.socket.port };
      left.socket.send(to, new Uint8Array(datagramBytesMax + 1));
      left.socket.send(to, new Uint8Array(70_000));
      left.socket.send(to, new Uint8Array(datagramBytesMax).fill(7));
      await vi.waitFor(() => expect(right.heard).toHaveLength(1));
      expect(right.heard[0]?.bytes).toHaveLength(datagramBytesMax);
      expect(left.socket.counts().failed).toBe(2);
    });

    test('to nobody are no error', async () => {
      const left = await open();
      const right = await open();
      const gone = right.socket.port;
      await right.socket.stop();
      for (let at = 0; at < 10; at += 1) left.socket.send({ host, port: gone }, Uint8Array.of(at));
      const third = await open();
      left.socket.send({ host, port: third.socket.port }, Uint8Array.of(1));
      await vi.waitFor(() => expect(third.heard).toHaveLength(1));
    });

    test('are refused a port that is taken, and get it once it is free', async () => {
      const first = await open();
      const { port } = first.socket;
      await expect(open(port)).rejects.toMatchObject({ code: 'MYCEL_PORT_TAKEN' });
      await first.socket.stop();
      expect((await open(port)).socket.port).toBe(port);
    });

    test('end with stop: nothing is received or sent after it, and stopping twice is fine', async () => {
      const left = await open();
      const right = await open();
      const third = await open();
      await right.socket.stop();
      await right.socket.stop();
      left.socket.send({ host, port: right.socket.port }, Uint8Array.of(1));
      right.socket.send({ host, port: third.socket.port }, Uint8Array.of(1));
      left.socket.send({ host, port: third.socket.port }, Uint8Array.of(2));
      await vi.waitFor(() => expect(third.heard).toHaveLength(1));
      expect(third.heard[0]?.bytes).toEqual(Uint8Array.of(2));
      expect(right.heard).toEqual([]);
    });
  });
}
