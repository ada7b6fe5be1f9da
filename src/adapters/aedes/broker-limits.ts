/** The named bounds of the embedded broker; docs/limits.md lists what happens beyond each. */

import { messageBytesMax } from '../../kernel/large-message.ts';

/** What one zone of clients may use. */
export interface ZoneLimits {
  /** Clients connected at once; more are refused with CONNACK 3. */
  readonly clients: number;
  /** Subscriptions of one client; more are answered with SUBACK 0x80. */
  readonly subscriptions: number;
  /** Largest packet in bytes; a larger one closes the connection. */
  readonly packetBytes: number;
  /** Retained topics set from this zone; further ones are delivered but not kept. */
  readonly retained: number;
  /** Bytes waiting for one client before its publishers are slowed down. */
  readonly congestedBytes: number;
  /** Bytes waiting for one client in memory before it is disconnected. */
  readonly queuedBytes: number;
  /** Bytes that wait on the disk for one client that reads slowly; 0: none do. */
  readonly backlogBytes: number;
  /** Publishes a second of one client; 0 = as many as it likes. */
  readonly publishesPerSecond: number;
}

/** Every bound of the broker. */
export interface BrokerLimits {
  readonly local: ZoneLimits;
  readonly guest: ZoneLimits;
  /** A packet above this is a large one: so many bytes. */
  readonly largeAboveBytes: number;
  /** Bytes of the large packets that are being received from all clients together; one more closes its connection. */
  readonly largeBytes: number;
  /** Bytes that wait on the disk for all clients together. */
  readonly backlogBytes: number;
  /** Bytes of all retained payloads and topics together. */
  readonly retainedBytes: number;
  /** Sessions that outlive their connection (clean session = 0). The oldest absent one makes room. */
  readonly sessions: number;
  /** Messages kept for one absent or slow session; the newest is dropped. */
  readonly sessionMessages: number;
  /** Bytes kept for one absent or slow session; the newest is dropped. */
  readonly sessionBytes: number;
  /** How long an absent session is kept, in ms of uptime. */
  readonly sessionMs: number;
  /** How long a congested client may take nothing at all before it counts as frozen, in ms. */
  readonly frozenMs: number;
  /** Time to send a whole CONNECT, in ms. */
  readonly connectMs: number;
}

/** The defaults, sized for a board with 512 MB. */
export const brokerLimits: BrokerLimits = {
  local: {
    clients: 200,
    subscriptions: 1000,
    packetBytes: messageBytesMax + 68 * 1024,
    retained: 1000,
    congestedBytes: 512 * 1024,
    queuedBytes: 8 * 1024 * 1024,
    backlogBytes: 96 * 1024 * 1024,
    publishesPerSecond: 0,
  },
  guest: {
    clients: 20,
    subscriptions: 20,
    packetBytes: 64 * 1024,
    retained: 100,
    congestedBytes: 128 * 1024,
    queuedBytes: 1024 * 1024,
    backlogBytes: 0,
    publishesPerSecond: 50,
  },
  largeAboveBytes: 132 * 1024,
  largeBytes: 64 * 1024 * 1024,
  backlogBytes: 192 * 1024 * 1024,
  retainedBytes: 16 * 1024 * 1024,
  sessions: 100,
  sessionMessages: 1000,
  sessionBytes: 1024 * 1024,
  sessionMs: 24 * 3_600_000,
  frozenMs: 4000,
  connectMs: 3000,
};
