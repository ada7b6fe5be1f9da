/** The sockets of the hello rung: one that hears the group, and one per interface that speaks. */

import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';

import type { Address } from '../../kernel/address.ts';
import { isOnLink } from '../discovery/lan-address.ts';
import type { NetInterface } from '../system/interfaces.ts';

/** Where hellos go. */
export interface HelloGroup {
  /** An IPv4 multicast group. */
  readonly group: string;
  /** UDP port, shared by every node of a host. */
  readonly port: number;
}

/** What the sockets report. */
export interface HelloSocketHandlers {
  received(bytes: Uint8Array, from: Address): void;
  /** Something did not work: the operating system's code, as `EADDRINUSE`, and what was tried. */
  failed(code: string, action: 'listen' | 'join' | 'send'): void;
  /** The group's port is open. */
  listening(): void;
}

/** Datagrams sent, received and not sent because of a local error. */
export interface HelloCounts {
  readonly sent: number;
  readonly received: number;
  readonly failed: number;
}

/** Open sockets. No method throws. */
export interface HelloSockets {
  /** Opens, joins and closes until there is one speaker per interface. */
  sync(interfaces: readonly NetInterface[]): void;
  /** Tries again whatever failed: to hear the group's port, to join the group, to speak on an interface. */
  retry(): void;
  isListening(): boolean;
  /** Sends to the group and to the broadcast address of each interface. `sent` is called when all have left. */
  sendAll(bytes: Uint8Array, sent?: () => void): void;
  /** Sends to one newcomer from the interface that reaches it. */
  sendTo(to: Address, bytes: Uint8Array): void;
  counts(): HelloCounts;
  stop(): Promise<void>;
}

interface Speaker {
  readonly socket: Socket;
  readonly net: NetInterface;
  readonly host: string;
  isReady: boolean;
  hasJoined: boolean;
}

/** Opens nothing yet: `sync` and `retry` do. */
export function createHelloSockets(group: HelloGroup, handlers: HelloSocketHandlers): HelloSockets {
  const speakers = new Map<string, Speaker>();
  const closing = new Set<Promise<void>>();
  const counts = { sent: 0, received: 0, failed: 0 };
  let wanted = new Map<string, { net: NetInterface; host: string }>();
  let listener: { socket: Socket; isOpen: boolean } | undefined;
  let isStopped = false;

  function hear(socket: Socket): void {
    socket.on('message', (bytes, from) => {
      counts.received += 1;
      if (!isStopped) handlers.received(bytes, { host: from.address, port: from.port });
    });
  }

  function close(socket: Socket): void {
    const closed = new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      try {
        socket.close();
      } catch {
        resolve();
      }
    });
    closing.add(closed);
    void closed.then(() => closing.delete(closed));
  }

  function fail(error: unknown, action: 'listen' | 'join' | 'send'): void {
    if (action === 'send') counts.failed += 1;
    if (!isStopped) handlers.failed(codeOf(error), action);
  }

  function listen(): void {
    if (listener !== undefined || isStopped) return;
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    const current = { socket, isOpen: false };
    listener = current;
    socket.on('error', (error) => {
      close(socket);
      if (listener !== current) return;
      listener = undefined;
      for (const speaker of speakers.values()) speaker.hasJoined = false;
      fail(error, 'listen');
    });
    hear(socket);
    socket.bind(group.port, () => {
      current.isOpen = true;
      for (const speaker of speakers.values()) join(speaker);
      if (!isStopped) handlers.listening();
    });
  }

  function join(speaker: Speaker): void {
    if (listener?.isOpen !== true || speaker.hasJoined) return;
    try {
      listener.socket.addMembership(group.group, speaker.host);
      speaker.hasJoined = true;
    } catch (error) {
      // Already a member: the interface only changed its address.
      speaker.hasJoined = codeOf(error) === 'EADDRINUSE';
      if (!speaker.hasJoined) fail(error, 'join');
    }
  }

  function leave(speaker: Speaker): void {
    if (listener?.isOpen !== true || !speaker.hasJoined) return;
    try {
      listener.socket.dropMembership(group.group, speaker.host);
    } catch {
      // The interface or its address is gone, and the membership with it.
    }
  }

  function speak(key: string, net: NetInterface, host: string): void {
    const socket = createSocket({ type: 'udp4' });
    const speaker: Speaker = { socket, net, host, isReady: false, hasJoined: false };
    speakers.set(key, speaker);
    socket.on('error', (error) => {
      close(socket);
      if (speakers.get(key) === speaker) speakers.delete(key);
      fail(error, 'send');
    });
    hear(socket);
    socket.bind({ port: 0, address: host, exclusive: true }, () => {
      try {
        socket.setMulticastInterface(host);
        socket.setMulticastTTL(1);
        socket.setMulticastLoopback(true);
        socket.setBroadcast(true);
        speaker.isReady = true;
        handlers.listening();
      } catch (error) {
        fail(error, 'send');
      }
    });
    join(speaker);
  }

  function openSpeakers(): void {
    if (isStopped) return;
    for (const [key, { net, host }] of wanted) if (!speakers.has(key)) speak(key, net, host);
  }

  function send(speaker: Speaker, bytes: Uint8Array, host: string, port: number): Promise<void> {
    return new Promise((resolve) => {
      try {
        speaker.socket.send(bytes, port, host, (error) => {
          if (error === null) counts.sent += 1;
          else fail(error, 'send');
          resolve();
        });
      } catch (error) {
        fail(error, 'send');
        resolve();
      }
    });
  }

  return {
    sync(interfaces) {
      if (isStopped) return;
      wanted = new Map();
      for (const net of interfaces) {
        const host = net.addresses.find((address) => address.family === 'IPv4')?.host;
        if (host !== undefined) wanted.set(`${net.name}#${net.index}#${host}`, { net, host });
      }
      for (const [key, speaker] of speakers) {
        if (wanted.has(key)) continue;
        leave(speaker);
        speakers.delete(key);
        close(speaker.socket);
      }
      openSpeakers();
    },
    retry() {
      listen();
      openSpeakers();
      for (const speaker of speakers.values()) join(speaker);
    },
    isListening: () => listener?.isOpen === true,
    sendAll(bytes, sent) {
      const sends: Promise<void>[] = [];
      for (const speaker of speakers.values()) {
        if (!speaker.isReady) continue;
        sends.push(send(speaker, bytes, group.group, group.port));
        for (const { broadcast } of speaker.net.addresses) {
          if (broadcast !== undefined) sends.push(send(speaker, bytes, broadcast, group.port));
        }
      }
      void Promise.all(sends).then(() => sent?.());
    },
    sendTo(to, bytes) {
      const ready = [...speakers.values()].filter((speaker) => speaker.isReady);
      const speaker =
        ready.find((candidate) => isOnLink(to.host, candidate.net.addresses)) ?? ready[0];
      if (speaker !== undefined) void send(speaker, bytes, to.host, to.port);
    },
    counts: () => ({ ...counts }),
    async stop() {
      isStopped = true;
      for (const speaker of speakers.values()) close(speaker.socket);
      speakers.clear();
      if (listener !== undefined) close(listener.socket);
      listener = undefined;
      await Promise.all(closing);
    },
  };
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : String(error);
}
