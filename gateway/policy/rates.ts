/** How fast principals and groups may ask: requests and tokens a minute, taken by estimate and corrected by what was used. */

import { createTokenBucket } from 'mycel/flow';
import type { TokenBucket } from 'mycel/flow';

import type { GatewayConfig, PrincipalConfig } from '../config/load.ts';
import type { RateConfig } from '../config/schema.ts';
import { LlmFailure } from '../failure.ts';

/** The rates of one gateway. */
export interface Rates {
  /** Takes one request and so many tokens from everybody it counts for, or nothing. @throws {LlmFailure} rate, with a time. */
  take(principal: PrincipalConfig, tokens: number): void;
  /** More was used than was taken (positive) or less. */
  correct(principal: PrincipalConfig, tokens: number): void;
}

interface Gate {
  /** As it is named in a message. */
  readonly whose: string;
  readonly requests: TokenBucket | undefined;
  readonly tokens: TokenBucket | undefined;
}

/** Starts with full buckets. */
export function createRates({ groups }: Pick<GatewayConfig, 'groups'>): Rates {
  const byGroup = new Map(
    groups.flatMap(({ name, rate }) => {
      const gate = gateOf(`The group '${name}'`, rate ?? {});
      return gate === undefined ? [] : [[name, gate] as const];
    }),
  );
  /** Only of principals in the configuration: members without a name there have no rate. */
  const byPrincipal = new Map<string, Gate>();

  function gatesOf({ name, group, rate }: PrincipalConfig): readonly Gate[] {
    if (isFree(rate) && group === undefined) return [];
    const own = byPrincipal.get(name) ?? gateOf(`'${name}'`, rate);
    if (own !== undefined) byPrincipal.set(name, own);
    return [own, group === undefined ? undefined : byGroup.get(group)].filter(
      (gate) => gate !== undefined,
    );
  }

  return {
    take(principal, tokens) {
      const gates = gatesOf(principal);
      if (gates.length === 0) return;
      const now = performance.now();
      const taken: (() => void)[] = [];
      for (const gate of gates) {
        for (const [bucket, amount, unit] of [
          [gate.requests, 1, 'requests'],
          [gate.tokens, tokens, 'tokens'],
        ] as const) {
          const waitMs = bucket?.take(now, amount) ?? 0;
          if (waitMs === 0) {
            taken.push(() => bucket?.correct(now, -amount));
            continue;
          }
          for (const giveBack of taken) giveBack();
          throw new LlmFailure(
            'rate',
            `${gate.whose} asks for more ${unit} a minute than its rate allows. Ask again in ${Math.ceil(waitMs / 1000)} s, or raise ${unit}PerMinute.`,
            { retryAfterMs: waitMs },
          );
        }
      }
    },
    correct(principal, tokens) {
      const now = performance.now();
      for (const gate of gatesOf(principal)) gate.tokens?.correct(now, tokens);
    },
  };
}

function isFree({ requestsPerMinute, tokensPerMinute }: RateConfig): boolean {
  return requestsPerMinute === undefined && tokensPerMinute === undefined;
}

function gateOf(whose: string, rate: RateConfig): Gate | undefined {
  if (isFree(rate)) return undefined;
  const { requestsPerMinute, tokensPerMinute } = rate;
  return { whose, requests: bucketOf(requestsPerMinute), tokens: bucketOf(tokensPerMinute) };
}

function bucketOf(perMinute: number | undefined): TokenBucket | undefined {
  return perMinute === undefined ? undefined : createTokenBucket({ perMinute });
}
