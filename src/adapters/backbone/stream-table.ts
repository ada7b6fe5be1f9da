/** The streams of a node on a backbone: opened, taken, told apart, and ended with the process at the other end. */

import { randomBytes } from 'node:crypto';
import type { Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import type { Clock } from '../../ports/clock.ts';
import { streamIdBytes } from '../../wire/backbone-packet.ts';
import { BackboneStream } from './backbone-stream.ts';
import type { StreamPacket } from './backbone-stream.ts';

/** Streams of one node at a time; one more is refused. */
export const backboneStreamsMax = 256;

/** Streams that one inbox may have open here; one more is refused. */
export const backboneStreamsOfPeerMax = 16;

/** What the table is made of. */
export interface StreamTableWorld {
  readonly clock: Clock;
  /** This node's own inbox, and the port of its address. */
  readonly inbox: string;
  readonly port: number;
  hostOf(inbox: string): string;
  send(inbox: string, packet: StreamPacket): void;
  hasRoom(): boolean;
  whenRoom(callback: () => void): void;
  accepted(stream: BackboneStream): void;
  drop(reason: string): void;
}

/** The table. */
export interface StreamTable {
  /** Opens a stream; resolves when the other end has taken it. @throws {Error} with the reason */
  open(inbox: string, ms: Millis, signal: AbortSignal): Promise<BackboneStream>;
  heard(sender: string, packet: StreamPacket): void;
  /** The process that is at this inbox now. */
  metAgain(inbox: string, sender: string): void;
  /** The connection to the broker is gone: nobody can be told. */
  cutAll(reason: string): void;
  /** This node leaves; every other end is told. */
  endAll(reason: string): void;
}

interface Entry {
  readonly stream: BackboneStream;
  readonly inbox: string;
  /** The process at the other end; undefined until a dialled one has answered. */
  sender: string | undefined;
  /** Settles a dial. */
  taken: (() => void) | undefined;
}

/** Builds an empty table. */
export function createStreamTable(world: StreamTableWorld): StreamTable {
  const { clock } = world;
  /** By number and own side: a node may hold both ends of none, but two nodes may draw the same number. */
  const entries = new Map<string, Entry>();

  function add(id: string, side: 'dialler' | 'acceptor', inbox: string, remote: Address): Entry {
    const key = `${id} ${side}`;
    const stream = new BackboneStream(id, side, remote, {
      send: (packet) => world.send(inbox, packet),
      hasRoom: () => world.hasRoom(),
      whenRoom: (callback) => world.whenRoom(callback),
      over: () => entries.delete(key),
    });
    stream.on('error', () => {});
    const entry: Entry = { stream, inbox, sender: undefined, taken: undefined };
    entries.set(key, entry);
    return entry;
  }

  const countOf = (inbox: string): number =>
    [...entries.values()].filter((one) => one.inbox === inbox).length;

  function take(sender: string, packet: Extract<StreamPacket, { kind: 'open' }>): void {
    const { stream: id, inbox, port } = packet;
    const isTaken = entries.has(`${id} acceptor`);
    const isFull = entries.size >= backboneStreamsMax || countOf(inbox) >= backboneStreamsOfPeerMax;
    if (isTaken || isFull) {
      world.drop('too many streams');
      return world.send(inbox, { kind: 'reset', stream: id, side: 'acceptor' });
    }
    const entry = add(id, 'acceptor', inbox, { host: world.hostOf(inbox), port });
    entry.sender = sender;
    world.accepted(entry.stream);
    entry.stream.grant();
  }

  return {
    open(inbox, ms, signal) {
      const id = randomBytes(streamIdBytes).toString('hex');
      return new Promise((resolve, reject) => {
        if (entries.size >= backboneStreamsMax) {
          return reject(new Error(`this node has ${backboneStreamsMax} streams on the backbone`));
        }
        const entry = add(id, 'dialler', inbox, { host: world.hostOf(inbox), port: world.port });
        const { stream } = entry;
        const abort = (): void => void stream.destroy(new Error('given up'));
        const cancel = clock.alarm(clock.now() + ms, () =>
          stream.destroy(new Error(`no answer over the backbone within ${ms} ms`)),
        );
        const closed = (): void => {
          tidy();
          reject(stream.errored ?? new Error('the node refuses the stream'));
        };
        function tidy(): void {
          cancel();
          signal.removeEventListener('abort', abort);
          stream.off('close', closed);
          entry.taken = undefined;
        }
        entry.taken = () => {
          tidy();
          resolve(stream);
        };
        stream.once('close', closed);
        if (signal.aborted) return abort();
        signal.addEventListener('abort', abort, { once: true });
        world.send(inbox, { kind: 'open', stream: id, inbox: world.inbox, port: world.port });
        stream.grant();
      });
    },
    heard(sender, packet) {
      if (packet.kind === 'open') return take(sender, packet);
      // What the dialler says is for the end that was dialled.
      const side = packet.side === 'dialler' ? 'acceptor' : 'dialler';
      const entry = entries.get(`${packet.stream} ${side}`);
      if (entry === undefined) return world.drop('unknown stream');
      entry.sender ??= sender;
      if (entry.sender !== sender) return world.drop('foreign sender');
      if (packet.kind === 'credit') entry.taken?.();
      entry.stream.heard(packet);
    },
    metAgain(inbox, sender) {
      for (const entry of entries.values()) {
        const isOld = entry.sender !== undefined && entry.sender !== sender;
        if (entry.inbox === inbox && isOld) entry.stream.cut('the other node has started anew');
      }
    },
    endAll(reason) {
      for (const { stream } of entries.values()) stream.destroy(new Error(reason));
    },
    cutAll(reason) {
      for (const { stream } of entries.values()) stream.cut(reason);
    },
  };
}
