/** Tries several addresses at once, staggered: the first that works wins, the others are given up (RFC 8305). */

import type { Address } from '../../kernel/address.ts';
import { formatAddress } from '../../kernel/address.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { ErrorCode } from '../../kernel/errors.ts';

/** How long one attempt has before the next address is tried beside it, in ms. */
const staggerMs = 250;

/** Addresses of one peer that are tried; more are ignored. */
const addressesMax = 16;

/** Every attempt failed; the reasons by address. */
export class AllFailed extends Error {
  override readonly name = 'AllFailed';
  readonly reasons: Readonly<Record<string, string>>;

  constructor(reasons: Readonly<Record<string, string>>) {
    super('no address worked');
    this.reasons = reasons;
  }
}

/**
 * Races the attempts. An attempt must end soon after its signal aborts, and clean up after itself;
 * one that works all the same after the decision goes to `discard`.
 * @throws {Error} when none worked or the signal aborted; `dialFailure` makes it readable.
 */
export async function raceAddresses<Result>(
  addresses: readonly Address[],
  signal: AbortSignal,
  attempt: (address: Address, signal: AbortSignal) => Promise<Result>,
  discard: (late: Result) => void,
): Promise<Result> {
  const tried = addresses.slice(0, addressesMax);
  const reasons: Record<string, string> = {};
  // Not AbortSignal.any: on Node 20 a signal that lives as long as the node keeps a trace of each one made from it.
  const losers = new AbortController();

  return new Promise<Result>((resolve, reject) => {
    let started = 0;
    let failed = 0;
    let timer: NodeJS.Timeout | undefined;
    let isDecided = false;

    function settle(decide: () => void): void {
      if (isDecided) return;
      isDecided = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      decide();
      losers.abort();
    }
    function aborted(): void {
      settle(() => reject(new AllFailed({ ...reasons, '*': 'given up' })));
    }
    function next(): void {
      clearTimeout(timer);
      const address = tried[started];
      if (isDecided || address === undefined) return;
      started += 1;
      attempt(address, losers.signal).then(
        (result) => (isDecided ? discard(result) : settle(() => resolve(result))),
        (error: unknown) => lost(address, error),
      );
      timer = setTimeout(next, staggerMs);
    }
    function lost(address: Address, error: unknown): void {
      reasons[formatAddress(address)] = error instanceof Error ? error.message : String(error);
      failed += 1;
      if (failed === tried.length) settle(() => reject(new AllFailed(reasons)));
      else if (failed === started) next();
    }

    if (signal.aborted) return aborted();
    signal.addEventListener('abort', aborted, { once: true });
    if (tried.length === 0)
      return settle(() => reject(new AllFailed({ '*': 'no address is known' })));
    next();
  });
}

/** The failure of a dial as the caller gets it: the reason of each address, in words and as data. */
export function dialFailure(
  code: ErrorCode,
  addresses: readonly Address[],
  error: unknown,
): MycelError {
  const message = error instanceof Error ? error.message : String(error);
  const reasons = error instanceof AllFailed ? error.reasons : { '*': message };
  const reason = Object.entries(reasons)
    .map(([address, why]) => (address === '*' ? `${why}.` : `${address}: ${why}.`))
    .join(' ');
  return new MycelError(code, { addresses: addresses.map(formatAddress), reasons, reason });
}
