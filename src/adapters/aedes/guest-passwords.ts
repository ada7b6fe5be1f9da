/** Checks guests' passwords off the event loop, few at a time, and slows down whoever guesses. */

import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { GuestCredential } from './guest-rules.ts';

/** scrypt (RFC 7914): 16 MiB and about 50 ms on a laptop, 300 ms on a small board. */
const scryptCost = { N: 16_384, r: 8, p: 1 } as const;

/** Bytes of a password hash. */
const hashBytes = 32;

/** Checks that may run or wait at once; one costs 16 MiB while it runs. */
const checksMax = 16;

/** Failures an address may make in one `attemptWindowMs`. */
const attemptsMax = 5;

/** How long a failure counts, in ms of uptime. */
const attemptWindowMs = 60_000;

/** Addresses remembered for their failures; the oldest is forgotten. */
const addressesMax = 1024;

/** What a check found. */
export type PasswordVerdict = 'right' | 'wrong' | 'too-many-attempts' | 'busy';

/** Hashes a new guest's password with a fresh salt. */
export async function hashGuestPassword(
  password: string,
): Promise<{ salt: Uint8Array; hash: Uint8Array }> {
  const salt = randomBytes(16);
  return { salt, hash: await derive(Buffer.from(password, 'utf8'), salt) };
}

/** Checks passwords. */
export interface PasswordChecker {
  /** An unknown guest costs as much time as a wrong password, so that names cannot be guessed by the clock. */
  check(
    guest: GuestCredential | undefined,
    password: Uint8Array,
    address: string,
  ): Promise<PasswordVerdict>;
}

/** Builds a checker with no failures on record. */
export function createPasswordChecker(): PasswordChecker {
  const failures = new BoundedMap<string, { count: number; since: number }>(addressesMax);
  const noSalt = randomBytes(16);
  let pending = 0;
  let last: Promise<unknown> = Promise.resolve();

  function isBarred(address: string): boolean {
    const record = failures.get(address);
    if (record === undefined) return false;
    if (performance.now() - record.since < attemptWindowMs) return record.count >= attemptsMax;
    failures.delete(address);
    return false;
  }

  function failed(address: string): void {
    const record = failures.get(address) ?? { count: 0, since: performance.now() };
    failures.set(address, { count: record.count + 1, since: record.since });
  }

  return {
    async check(guest, password, address) {
      if (isBarred(address)) return 'too-many-attempts';
      if (pending >= checksMax) return 'busy';
      pending += 1;
      const turn = last.then(async () => {
        if (isBarred(address)) return undefined;
        return derive(password, guest?.salt ?? noSalt);
      });
      last = turn.catch(() => undefined);
      try {
        const derived = await turn;
        if (derived === undefined) return 'too-many-attempts';
        const isRight =
          guest !== undefined &&
          guest.hash.length === derived.length &&
          timingSafeEqual(guest.hash, derived);
        if (!isRight) failed(address);
        return isRight ? 'right' : 'wrong';
      } finally {
        pending -= 1;
      }
    },
  };
}

function derive(password: Uint8Array, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, hashBytes, scryptCost, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
