/** The hello rung: nodes find each other by small UDP datagrams to a multicast group and to the subnet's broadcast address. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import type { Random } from '../../kernel/random.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Beacon, Rung, RungHandlers } from '../../ports/discovery.ts';
import { decodeHello, encodeHello } from '../../wire/hello.ts';
import type { Hello } from '../../wire/hello.ts';
import { createDoublingTimer } from '../discovery/doubling-timer.ts';
import { isNeighbour } from '../discovery/lan-address.ts';
import { createSightingTable } from '../discovery/sighting-table.ts';
import type { SightingTable } from '../discovery/sighting-table.ts';
import { createSourceGate, createTokenBucket, sourcesMax } from '../discovery/token-bucket.ts';
import type { TokenBucket } from '../discovery/token-bucket.ts';
import type { InterfaceWatch, NetInterface } from '../system/interfaces.ts';
import { createHelloSockets } from './hello-sockets.ts';
import type { HelloCounts } from './hello-sockets.ts';
import { burstMs, helloHoldMs, helloPauseMs } from './pace.ts';

/** Administratively scoped (RFC 2365): no router forwards it. 77.67 is "MC" in ASCII. */
export const helloGroup = '239.255.77.67';

/** UDP port of the hello group. */
export const helloPort = 7677;

/** How to build the rung. */
export interface MulticastRungOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly interfaces: InterfaceWatch;
  /** @default 239.255.77.67 */
  readonly group?: string;
  /** @default 7677 */
  readonly port?: number;
}

/** The rung, with its traffic figures. */
export interface MulticastRung extends Rung {
  counts(): HelloCounts;
}

/** Answers to one address: a joiner needs one, a lossy network a few. */
const answerAllowance = { perSecond: 1, burst: 3 };

/** Bursts that strangers can cause: without a limit one forger would keep a LAN bursting. */
const strangerBurstAllowance = { perSecond: 1 / 30, burst: 3 };

/** Pause before a taken port or a failed group membership is tried again, in ms, doubling to the second. */
const retryMs = [1_000, 30_000] as const;

/** `stop` waits this long for the goodbye to leave, in ms. */
const goodbyeMsMax = 300;

/** Builds the rung; it opens its sockets in `start`. */
export function createMulticastRung(options: MulticastRungOptions): MulticastRung {
  const { clock, random, interfaces } = options;
  const group = { group: options.group ?? helloGroup, port: options.port ?? helloPort };
  const nonce = random.below(0x1_0000_0000);
  const gate = createSourceGate();
  const answers = new BoundedMap<string, TokenBucket>(sourcesMax);
  const strangerBursts = createTokenBucket(strangerBurstAllowance);
  let beacon: Beacon | undefined;
  let handlers: RungHandlers | undefined;
  let table: SightingTable | undefined;
  let burstBeganAt: Millis = -Infinity;
  let cancelHello = (): void => {};
  let unsubscribe = (): void => {};
  let problem: Problem | undefined;
  let isStopped = false;

  const sockets = createHelloSockets(group, {
    received: (bytes, from) => onDatagram(bytes, from),
    failed(code, action) {
      if (action === 'send') interfaces.refresh();
      if (action !== 'listen') return;
      say({
        reason: `UDP port ${group.port} cannot be opened (${code}).`,
        fix: `Stop the program that keeps UDP port ${group.port} to itself ("ss -ulpn" names it).`,
      });
    },
    listening() {
      if (sockets.isListening()) say(problemOf(interfaces.current()));
      hurry();
    },
  });
  const retry = createDoublingTimer({
    clock,
    random,
    firstMs: retryMs[0],
    maxMs: retryMs[1],
    ring: () => sockets.retry(),
  });

  function say(next: Problem | undefined): void {
    if (next?.reason === problem?.reason || isStopped) return;
    problem = next;
    handlers?.trouble(next);
  }

  function hello(isGoodbye: boolean, isAnswer: boolean): Uint8Array | undefined {
    if (beacon === undefined) return undefined;
    const { node, meshTag, state, port } = beacon;
    return encodeHello({ node, meshTag, state, port, nonce, isGoodbye, isAnswer });
  }

  function tell(): void {
    cancelHello();
    if (isStopped || table === undefined) return;
    const bytes = hello(false, false);
    if (bytes !== undefined) sockets.sendAll(bytes);
    const pauseMs = helloPauseMs(clock.now() - burstBeganAt, table.size, random.unit());
    cancelHello = clock.alarm(clock.now() + pauseMs, tell);
  }

  /** A burst from now on, with a hello at once. */
  function hurry(): void {
    burstBeganAt = clock.now();
    tell();
  }

  /** A stranger appeared: burst, a moment later each at its own time, so that a LAN does not shout in chorus. */
  function greet(): void {
    const now = clock.now();
    if (now - burstBeganAt < burstMs / 2 || !strangerBursts.take(now) || table === undefined)
      return;
    burstBeganAt = now;
    cancelHello();
    cancelHello = clock.alarm(now + helloPauseMs(0, table.size, random.unit()) / 2, tell);
  }

  function answer(to: Address): void {
    const bytes = hello(false, true);
    if (bytes === undefined) return;
    const text = `${to.host} ${to.port}`;
    const bucket = answers.get(text) ?? createTokenBucket(answerAllowance);
    answers.set(text, bucket);
    if (bucket.take(clock.now())) sockets.sendTo(to, bytes);
  }

  function onDatagram(bytes: Uint8Array, from: Address): void {
    if (table === undefined || !gate.admit(clock.now(), from.host)) return;
    const heard = decodeHello(bytes);
    if (heard === undefined || heard.node === beacon?.node) return;
    const subnets = interfaces.current().flatMap((net) => net.addresses);
    if (!isNeighbour(from.host, subnets)) return;
    if (heard.isGoodbye) table.forget(heard.node, from.host);
    else onHello(table, heard, from);
  }

  function onHello(known: SightingTable, heard: Hello, from: Address): void {
    const verdict = known.hear({
      node: heard.node,
      meshTag: heard.meshTag,
      state: heard.state,
      addresses: [{ host: from.host, port: heard.port }],
      holdMs: helloHoldMs,
      source: from.host,
      mark: heard.nonce,
    });
    if (verdict !== 'new' && verdict !== 'restarted') return;
    if (!heard.isAnswer) answer(from);
    greet();
  }

  return {
    name: 'multicast',
    start(given) {
      if (handlers !== undefined || isStopped) return Promise.resolve();
      handlers = given;
      table = createSightingTable({ rung: 'multicast', clock, handlers: given });
      unsubscribe = interfaces.subscribe((current) => {
        sockets.sync(current);
        retry.restart();
        say(problemOf(current));
      });
      sockets.sync(interfaces.current());
      retry.restart();
      say(problemOf(interfaces.current()));
      hurry();
      return Promise.resolve();
    },
    announce(next) {
      beacon = next;
      if (table === undefined || isStopped) return;
      // The last second of a burst: the news is told twice without waking up the LAN.
      burstBeganAt = Math.max(burstBeganAt, clock.now() - burstMs + 1_000);
      tell();
    },
    burst: () => hurry(),
    records: () => table?.records() ?? [],
    counts: () => sockets.counts(),
    async stop() {
      if (isStopped) return sockets.stop();
      isStopped = true;
      table?.close();
      unsubscribe();
      retry.stop();
      cancelHello();
      const bytes = hello(true, false);
      if (bytes !== undefined && handlers !== undefined) {
        await new Promise<void>((resolve) => {
          const cancel = clock.alarm(clock.now() + goodbyeMsMax, resolve);
          sockets.sendAll(bytes, () => {
            cancel();
            resolve();
          });
        });
      }
      await sockets.stop();
    },
  };
}

type Problem = NonNullable<Parameters<RungHandlers['trouble']>[0]>;

function problemOf(current: readonly NetInterface[]): Problem | undefined {
  const hasIpv4 = current.some((net) => net.addresses.some((address) => address.family === 'IPv4'));
  if (hasIpv4) return undefined;
  return {
    reason: 'No network interface with an IPv4 address is up.',
    fix: 'Plug in a cable, connect the Wi-Fi, or name the interface to use.',
  };
}
