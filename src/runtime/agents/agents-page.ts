/** What the page of a node says of its agents: what is deployed, and what it holds. */

import * as z from 'zod/mini';
import { numberOf, readDeployments } from './deployment.ts';
import type { Deployment } from './deployment.ts';

/** Instances one node runs at once: what fits its page beside other things. */
export const instancesMax = 1024;

/** Up to so many claims are written one by one, as nodes of every version read them; more are packed, to fit a page. */
export const plainClaimsMax = 200;

const text = z.string().check(z.maxLength(512));

/** One instance on the page of the node that holds it. */
export interface Claim {
  readonly agent: string;
  readonly instance: string;
  readonly epoch: number;
  readonly state: string;
  readonly restarts: number;
  readonly since: number;
}

const claimSchema = z.object({
  agent: text,
  instance: text,
  epoch: z.int().check(z.gte(1)),
  state: text,
  restarts: z.int(),
  since: z.number(),
});

const pageSchema = z.object({
  isDraining: z.boolean(),
  deployments: z.array(z.unknown()),
  claims: z.array(z.unknown()),
});

/** The agents' section of a page. */
export interface AgentsPage {
  readonly isDraining: boolean;
  readonly deployments: readonly Deployment[];
  readonly claims: readonly Claim[];
}

/** Reads one; a section that is none is empty. */
export function readAgentsPage(section: unknown): AgentsPage {
  const read = pageSchema.safeParse(section);
  if (!read.success) return { isDraining: false, deployments: [], claims: [] };
  return {
    isDraining: read.data.isDraining,
    deployments: readDeployments(read.data.deployments),
    claims: read.data.claims.slice(0, instancesMax).flatMap(readClaims).slice(0, instancesMax),
  };
}

const rowSchema = z.tuple([z.int(), z.int(), z.int(), z.int(), z.int()]);

/** The instances of one agent: number, epoch, state by its place, restarts, and ms after the first of them. */
const packedSchema = z.object({
  a: text,
  s: z.array(text).check(z.maxLength(16)),
  t: z.number(),
  r: z.array(rowSchema).check(z.maxLength(instancesMax)),
});

function readClaims(one: unknown): Claim[] {
  const packed = packedSchema.safeParse(one);
  const claims: unknown[] = packed.success
    ? packed.data.r.map(([number, epoch, state, restarts, since]) => ({
        agent: packed.data.a,
        instance: `${packed.data.a}#${number}`,
        epoch,
        state: packed.data.s[state],
        restarts,
        since: packed.data.t + since,
      }))
    : [one];
  return claims.flatMap((claim) => {
    const read = claimSchema.safeParse(claim);
    return read.success ? [read.data] : [];
  });
}

/** The section of a page. */
export function writeAgentsPage(page: AgentsPage): unknown {
  if (page.claims.length <= plainClaimsMax) return page;
  const byAgent = new Map<string, Claim[]>();
  for (const claim of page.claims) {
    const same = byAgent.get(claim.agent);
    if (same === undefined) byAgent.set(claim.agent, [claim]);
    else same.push(claim);
  }
  return { ...page, claims: [...byAgent.values()].map(pack) };
}

function pack(claims: readonly Claim[]): z.infer<typeof packedSchema> {
  const states = [...new Set(claims.map(({ state }) => state))];
  const from = claims.reduce((least, { since }) => Math.min(least, since), Infinity);
  return {
    a: claims[0]?.agent ?? '',
    s: states,
    t: from,
    r: claims.map(({ instance, epoch, state, restarts, since }) => [
      numberOf(instance),
      epoch,
      states.indexOf(state),
      restarts,
      Math.round(since - from),
    ]),
  };
}
