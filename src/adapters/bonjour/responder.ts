/** One mDNS presence on one interface: tells this node's records there, answers questions, hears answers. */

import type { RemoteInfo } from 'node:dgram';

import type { Millis } from '../../kernel/core.ts';
import type { Clock } from '../../ports/clock.ts';
import { isOnLink } from '../discovery/lan-address.ts';
import { createTokenBucket } from '../discovery/token-bucket.ts';
import type { NetInterface } from '../system/interfaces.ts';
import { openGuarded } from './guarded-bonjour.ts';
import type { BonjourClass } from './guarded-bonjour.ts';
import { nodeServiceType, readKnownAnswers, readQuestions, servicesName } from './records.ts';
import type { DnsRecord } from './records.ts';

/** RFC 6762 6: a record is multicast at most once a second on an interface. */
const answerPauseMs = 1_000;

/** RFC 6762 8.3: news is told twice, a second apart. */
const announceAgainMs = 1_000;

/** `close` waits this long for the goodbye to leave and the socket to close, in ms. */
const goodbyeMsMax = 500;

/** An own question is not answered this long after the own news, in ms. */
const toldFreshMs = 30_000;

/** Answers to single askers: a LAN that is switched on together, not a reflector for a forger. */
const hastyAllowance = { perSecond: 8, burst: 16 };

const answeredTypes = new Set(['PTR', 'SRV', 'TXT', 'A', 'ANY']);

/** A presence on one interface. No method throws. */
export interface Responder {
  readonly net: NetInterface;
  /** Replaces what is told, and tells it now and once more. */
  publish(records: readonly DnsRecord[]): void;
  records(): readonly DnsRecord[];
  /** Asks who is there. */
  query(): void;
  /** When somebody else last asked the same, on the clock; -Infinity for never. */
  askedAt(): Millis;
  /** Withdraws records that were published. */
  withdraw(records: readonly DnsRecord[]): void;
  /** Frees the socket and every timer, after a goodbye if asked. Takes at most 500 ms. */
  close(isGoodbye: boolean): Promise<void>;
}

/** What a responder needs and reports to. */
export interface ResponderOptions {
  readonly bonjourClass: BonjourClass;
  readonly clock: Clock;
  readonly net: NetInterface;
  /** IPv4 address of the interface. */
  readonly host: string;
  /** Interfaces now in use, to tell whose packet it is: the kernel gives every packet to every socket of the port. */
  interfaces(): readonly NetInterface[];
  /** Cheap check before a packet is decoded. */
  admit(bytes: Buffer, from: RemoteInfo): boolean;
  answered(packet: unknown, from: RemoteInfo): void;
  /** It works: bound, and a member of the group. */
  ready(): void;
  failed(error: Error, isFatal: boolean): void;
}

/** Opens a responder. */
export function createResponder(options: ResponderOptions): Responder {
  const { clock, net, host } = options;
  let published: readonly DnsRecord[] = [];
  let isClosed = false;
  let askedAt: Millis = -Infinity;
  /** Own questions come back by loopback; those are not somebody else's. */
  let echoCount = 0;
  /** When the own records were last told unasked. */
  let toldAt: Millis = -Infinity;
  const hastyAnswers = createTokenBucket(hastyAllowance);
  const answeredAt = new Map<string, Millis>();
  const pending = new Map<string, { name: string; type: string }>();
  let cancelAnswer: (() => void) | undefined;
  let cancelAgain = (): void => {};

  const server = openGuarded(options.bonjourClass, {
    host,
    admit: (bytes, from) => !isClosed && isOurs(from.address) && options.admit(bytes, from),
    failed(error, isFatal) {
      if (!isClosed) options.failed(error, isFatal);
    },
  });
  // The library would answer each question of a packet at once, however often it is asked.
  server.mdns.removeAllListeners('query');
  server.mdns.on('query', onQuery);
  server.mdns.on('response', options.answered);
  server.mdns.on('networkInterface', () => {
    if (!isClosed) options.ready();
  });

  /** A packet from the subnet of another of our interfaces is that one's business. */
  function isOurs(source: string): boolean {
    if (isOnLink(source, net.addresses)) return true;
    return !options.interfaces().some((other) => isOnLink(source, other.addresses));
  }

  function isOwnAddress(source: string): boolean {
    return net.addresses.some((address) => address.host === source);
  }

  function onQuery(packet: unknown, from: RemoteInfo): void {
    const known = readKnownAnswers(packet);
    const now = clock.now();
    let mustWait = false;
    for (const question of readQuestions(packet)) {
      if (question.name === nodeServiceType && question.type === 'PTR') {
        if (echoCount > 0 && isOwnAddress(from.address)) {
          echoCount -= 1;
          // Who asks answers too, for the others hear one question a minute; not while its own news is fresh.
          if (now - toldAt < toldFreshMs) continue;
        } else {
          askedAt = now;
        }
      }
      if (!isAnswerable(question, known)) continue;
      pending.set(keyOf(question), question);
      mustWait ||= waitMs(question) > 0;
    }
    if (mustWait) hasten(from.address);
    answerPending();
  }

  /** Until the answer may be multicast again, the asker gets one of its own (RFC 6762 5.4). */
  function hasten(asker: string): void {
    if (isOwnAddress(asker) || !hastyAnswers.take(clock.now())) return;
    const packet = packetsOf(published)[0] ?? [];
    guard(() => server.mdns.respond(packet, { address: asker, port: 5353 }, failIf));
  }

  /** How long a question must wait for its answer, in ms; 0 or less: not at all. */
  function waitMs(question: { name: string; type: string }): number {
    return (answeredAt.get(keyOf(question)) ?? -Infinity) + answerPauseMs - clock.now();
  }

  function isAnswerable(
    question: { name: string; type: string },
    known: ReadonlySet<string>,
  ): boolean {
    if (!answeredTypes.has(question.type)) return false;
    const matching = published.filter(
      (record) =>
        record.name.toLowerCase() === question.name &&
        (question.type === 'ANY' || record.type === question.type),
    );
    return matching.some(
      (record) => typeof record.data !== 'string' || !known.has(record.data.toLowerCase()),
    );
  }

  /** Answers what may be answered now, and sets one alarm for the rest. */
  function answerPending(): void {
    cancelAnswer?.();
    cancelAnswer = undefined;
    const now = clock.now();
    let soonestMs = Infinity;
    for (const [key, question] of pending) {
      const dueMs = waitMs(question);
      if (dueMs > 0) {
        soonestMs = Math.min(soonestMs, dueMs);
        continue;
      }
      pending.delete(key);
      answeredAt.set(key, now);
      guard(() => server.respondToQuery({ questions: [question] }));
    }
    if (soonestMs < Infinity && !isClosed) {
      cancelAnswer = clock.alarm(now + soonestMs, answerPending);
    }
  }

  function tellAll(): void {
    toldAt = clock.now();
    for (const packet of packetsOf(published)) tell(packet);
  }

  function tell(records: readonly DnsRecord[], sent?: () => void): void {
    if (records.length === 0) {
      sent?.();
      return;
    }
    guard(() =>
      server.mdns.respond(records, null, (error) => {
        failIf(error);
        sent?.();
      }),
    );
  }

  function failIf(error?: Error | null): void {
    if (error !== undefined && error !== null && !isClosed) options.failed(error, false);
  }

  function guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!isClosed)
        options.failed(error instanceof Error ? error : new Error(String(error)), false);
    }
  }

  return {
    net,
    publish(records) {
      if (isClosed) return;
      server.unregister(published);
      published = records;
      // What may be asked is what is published, so this map is bounded by it.
      answeredAt.clear();
      server.register(published);
      tellAll();
      cancelAgain();
      cancelAgain = clock.alarm(clock.now() + announceAgainMs, tellAll);
    },
    records: () => published,
    query() {
      if (isClosed) return;
      echoCount = 1;
      guard(() => server.mdns.query(nodeServiceType, 'PTR', failIf));
    },
    askedAt: () => askedAt,
    withdraw: (records) => tell(records.map((record) => ({ ...record, ttl: 0 }))),
    async close(isGoodbye) {
      if (isClosed) return;
      isClosed = true;
      cancelAnswer?.();
      cancelAgain();
      const goodbye = isGoodbye ? published.map((record) => ({ ...record, ttl: 0 })) : [];
      const packets = packetsOf(goodbye);
      await within(goodbyeMsMax / 2, (done) => {
        for (const packet of packets.slice(0, -1)) tell(packet);
        tell(packets.at(-1) ?? [], done);
      });
      await within(goodbyeMsMax / 2, (done) => guard(() => server.mdns.destroy(done)));
    },
  };

  function within(ms: number, run: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.alarm(clock.now() + ms, resolve);
      run(() => {
        cancel();
        resolve();
      });
    });
  }
}

function keyOf(question: { name: string; type: string }): string {
  return `${question.type} ${question.name}`;
}

/** The records in packets that fit a frame: each service begins with the PTR of its instance. */
function packetsOf(records: readonly DnsRecord[]): DnsRecord[][] {
  const packets: DnsRecord[][] = [];
  for (const record of records) {
    const isStart = record.type === 'PTR' && record.name !== servicesName;
    const last = packets.at(-1);
    if (last === undefined || isStart) packets.push([record]);
    else last.push(record);
  }
  return packets;
}
