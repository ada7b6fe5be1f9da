/** The seeds rung: addresses and DNS names that a person gave, for networks where nothing else gets through. */

import { isIP } from 'node:net';

import { parseAddress } from '../../kernel/address.ts';
import type { Address } from '../../kernel/address.ts';
import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Rung, RungHandlers, RungRecord } from '../../ports/discovery.ts';
import { createDoublingTimer } from '../discovery/doubling-timer.ts';
import { createSystemResolver } from './resolver.ts';
import type { SeedResolver } from './resolver.ts';

/** Seeds of one node. */
export const seedsMax = 32;

/** Hosts that one seed may lead to, and addresses of one host. */
const seedTargetsMax = 16;

/** Pause between rounds over all seeds, in ms: 1 s, doubling to a minute. */
const roundMs = [1_000, 60_000] as const;

/** How to build the rung. */
export interface SeedsRungOptions {
  readonly clock: Clock;
  readonly random: Random;
  /**
   * `host`, `host:port` or `[v6]:port`. A DNS name without a port is first asked for SRV `_mycel._tcp.<name>`, then for
   * addresses, which are taken with the default port.
   */
  readonly seeds: readonly string[];
  readonly portDefault: number;
  /** @default the operating system's */
  readonly resolver?: SeedResolver;
}

interface Seed {
  readonly text: string;
  readonly host: string;
  /** Undefined: the text named none, so SRV may. */
  readonly port: number | undefined;
  found: readonly (readonly Address[])[];
  foundAt: Millis;
  problem: string | undefined;
}

/**
 * Builds the rung; nothing is resolved before `start`.
 * @throws {MycelError} MYCEL_BAD_OPTION for a seed that is no address, or more than 32.
 */
export function createSeedsRung(options: SeedsRungOptions): Rung {
  const { clock, random, portDefault } = options;
  const resolver = options.resolver ?? createSystemResolver();
  const seeds = readSeeds(options.seeds);
  let handlers: RungHandlers | undefined;
  let isStopped = false;
  let isBusy = false;
  let toldReason: string | undefined;

  const rounds = createDoublingTimer({
    clock,
    random,
    firstMs: roundMs[0],
    maxMs: roundMs[1],
    ring: () => void round(),
  });

  /** Literal addresses at once, then one name after the other: a dead DNS server must not occupy the thread pool. */
  async function round(): Promise<void> {
    for (const seed of seeds) if (isIP(seed.host) !== 0) report(seed);
    if (isBusy) return;
    isBusy = true;
    for (const seed of seeds) {
      if (isStopped) break;
      if (isIP(seed.host) !== 0) continue;
      try {
        seed.found = await resolve(seed);
        seed.foundAt = clock.now();
        seed.problem = undefined;
      } catch (error) {
        // The last good answer stays: DNS being down does not mean that the seed is.
        seed.problem = `'${seed.text}' does not resolve (${codeOf(error)})`;
      }
      report(seed);
    }
    isBusy = false;
    tellTrouble();
  }

  async function resolve(seed: Seed): Promise<readonly (readonly Address[])[]> {
    if (seed.port !== undefined) return [await addressesOf(seed.host, seed.port)];
    const targets = await resolver.services(`_mycel._tcp.${seed.host}`).catch(() => []);
    const found: (readonly Address[])[] = [];
    for (const target of targets.slice(0, seedTargetsMax)) {
      if (isStopped) break;
      // One target that does not resolve must not hide the others.
      const addresses = await addressesOf(target.name, target.port).catch(() => []);
      if (addresses.length > 0) found.push(addresses);
    }
    return found.length > 0 ? found : [await addressesOf(seed.host, portDefault)];
  }

  async function addressesOf(name: string, port: number): Promise<readonly Address[]> {
    const hosts = await resolver.addresses(name);
    return hosts.slice(0, seedTargetsMax).map((host) => ({ host, port }));
  }

  function report(seed: Seed): void {
    for (const addresses of seed.found) {
      if (!isStopped && addresses.length > 0) handlers?.seen({ rung: 'seeds', addresses });
    }
  }

  function tellTrouble(): void {
    const reason = seeds.find((seed) => seed.problem !== undefined)?.problem;
    if (isStopped || reason === toldReason) return;
    toldReason = reason;
    const fix = 'Check the spelling and the DNS server, or give the seed as IP address and port.';
    handlers?.trouble(reason === undefined ? undefined : { reason: `Seed ${reason}.`, fix });
  }

  function readSeeds(texts: readonly string[]): Seed[] {
    if (texts.length > seedsMax) {
      const reason = `There may be ${seedsMax} seeds at most.`;
      throw new MycelError('MYCEL_BAD_OPTION', { field: 'seeds', reason });
    }
    return texts.map((text) => {
      // Port 0 cannot be written, so it tells a seed without a port.
      const address = parseAddress(text, portDefault);
      const hasPort = parseAddress(text, 0) !== undefined;
      if (address === undefined) {
        const reason = `'${text.slice(0, 64)}' is not host:port.`;
        throw new MycelError('MYCEL_BAD_OPTION', { field: 'seeds', reason });
      }
      const isLiteral = isIP(address.host) !== 0;
      return {
        text,
        host: address.host,
        port: hasPort ? address.port : undefined,
        found: isLiteral ? [[address]] : [],
        foundAt: clock.now(),
        problem: undefined,
      };
    });
  }

  return {
    name: 'seeds',
    start(given) {
      if (handlers !== undefined || isStopped) return Promise.resolve();
      handlers = given;
      if (seeds.length > 0) rounds.restart();
      return Promise.resolve();
    },
    // A seed is told by a person, so there is nothing to tell back.
    announce() {},
    burst() {
      if (handlers !== undefined && !isStopped && seeds.length > 0) rounds.restart();
    },
    records: () => seeds.flatMap((seed) => recordsOf(seed, clock.now())),
    stop() {
      isStopped = true;
      rounds.stop();
      resolver.cancel();
      return Promise.resolve();
    },
  };
}

function recordsOf(seed: Seed, now: Millis): RungRecord[] {
  const ageMs = Math.max(0, now - seed.foundAt);
  return seed.found
    .filter((addresses) => addresses.length > 0)
    .map((addresses) => ({ addresses, ageMs }));
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'no answer';
}
