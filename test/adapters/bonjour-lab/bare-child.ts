/** A process that uses bonjour-service as its manual says, or only a raw socket: the control group and the adversary. */

import { createSocket } from 'node:dgram';
import { createInterface } from 'node:readline';

import { Bonjour } from 'bonjour-service';
import type { Browser } from 'bonjour-service';

/** A line from the test. */
export type BareCommand =
  /** bonjour-service publishes this instance. */
  | { readonly do: 'publish'; readonly name: string; readonly port: number }
  /** bonjour-service browses `_mycel._tcp`, with its txt filter if asked. */
  | { readonly do: 'find'; readonly withTxt: boolean }
  /** Says what the browser lists. */
  | { readonly do: 'list' }
  /** Multicasts these packets, in hex, from a raw socket on this host's address. */
  | {
      readonly do: 'inject';
      readonly host: string;
      readonly packets: readonly string[];
      readonly group: string;
      readonly port: number;
    }
  /** Takes a UDP port without sharing it, and gives it back. */
  | { readonly do: 'hold'; readonly port: number }
  | { readonly do: 'release' };

const lines = createInterface({ input: process.stdin });
let bonjour: Bonjour | undefined;
let browser: Browser | undefined;
let holder: ReturnType<typeof createSocket> | undefined;

async function run(command: BareCommand): Promise<unknown> {
  switch (command.do) {
    case 'publish': {
      bonjour ??= new Bonjour();
      const { name, port } = command;
      const service = bonjour.publish({ name, port, type: 'mycel', probe: false });
      await new Promise((resolve) => service.once('up', resolve));
      return undefined;
    }
    case 'find':
      bonjour ??= new Bonjour();
      browser = bonjour.find(
        command.withTxt ? { type: 'mycel', txt: { v: '1' } } : { type: 'mycel' },
      );
      return undefined;
    case 'list':
      return (browser?.services ?? []).map(({ name, addresses, txt }: ListedService) => ({
        name,
        addresses,
        txt,
      }));
    case 'inject':
      return inject(command);
    case 'hold': {
      holder = createSocket({ type: 'udp4', reuseAddr: false });
      const opened = holder;
      return new Promise<void>((resolve) => opened.bind(command.port, resolve));
    }
    case 'release':
      return new Promise<void>((resolve) => holder?.close(resolve));
  }
}

/** What the test looks at. */
export interface ListedService {
  readonly name: string;
  readonly addresses?: readonly string[];
  readonly txt?: unknown;
}

async function inject(command: BareCommand & { readonly do: 'inject' }): Promise<void> {
  const { host, packets, group, port } = command;
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, host, resolve));
  socket.setMulticastInterface(host);
  for (const packet of packets) {
    await new Promise<void>((resolve, reject) =>
      socket.send(Buffer.from(packet, 'hex'), port, group, (error) =>
        error === null ? resolve() : reject(error),
      ),
    );
  }
  await new Promise<void>((resolve) => socket.close(resolve));
}

lines.on('line', (line) => {
  const { id, ...command } = JSON.parse(line) as BareCommand & { id: number };
  void run(command as BareCommand).then(
    (result) => process.stdout.write(`${JSON.stringify({ id, result: result ?? null })}\n`),
    (error: unknown) => process.stdout.write(`${JSON.stringify({ id, error: String(error) })}\n`),
  );
});
lines.on('close', () => process.exit(0));
process.stdout.write(`${JSON.stringify({ event: 'up' })}\n`);
