/** Where a new deployment goes when its placement is an auction: every node that fits is asked how it fares, and bids. */

import * as z from 'zod/mini';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Hardware } from '../../ports/hardware.ts';
import { auctionReplicas } from '../../protocol/placement/hosting.ts';
import type { Hosting, HostingFacts } from '../../protocol/placement/hosting.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';
import type { PartWorld } from '../parts.ts';
import type { DeployOptions } from './deploy-options.ts';
import type { Deployment } from './deployment.ts';
import type { LivePage } from './live-page.ts';
import { biddersFor, checkPlacement } from './placing.ts';

/** How long a node may take to tell how it fares, in ms; one that does not is left out. */
const bidMs: Millis = 1_000;

const number = z.number();
const optionalNumber = z.union([number, z.undefined()]);
const factsSchema: z.ZodMiniType<HostingFacts> = z.object({
  cores: number,
  load: number,
  agents: number,
  freeShare: number,
  temperatureC: optionalNumber,
  isThrottled: z.union([z.boolean(), z.undefined()]),
  batteryShare: optionalNumber,
}) as never;

/** The auctions of one node. */
export interface HostingAuction {
  /** Tells others how this node fares; returns what ends it. */
  serve(): () => void;
  /** The node and cost of each replica; empty when nobody bids, undefined when it is no auction. @throws {MycelError} MYCEL_BAD_OPTION */
  run(
    options: DeployOptions,
    draft: Deployment,
    pages: readonly LivePage[],
  ): Promise<Hosting<NodeId>[] | undefined>;
}

/** Builds them. @param agentCount how many agents this node hosts */
export function createHostingAuction(world: PartWorld, agentCount: () => number): HostingAuction {
  const { adapters, calls, log, mesh, metrics } = world;
  let hardware: Hardware | undefined;

  function factsHere(): HostingFacts {
    hardware ??= adapters.hardware(world.dataDir);
    const { cpu, memory, temperatureC, power } = hardware.read();
    return {
      cores: cpu.cores,
      load: cpu.load,
      agents: agentCount(),
      freeShare: memory.totalBytes > 0 ? memory.availableBytes / memory.totalBytes : 1,
      temperatureC,
      isThrottled: power.isThrottled,
      batteryShare: power.source === 'battery' ? power.batteryShare : undefined,
    };
  }

  async function factsOf(node: NodeId): Promise<HostingFacts | undefined> {
    if (node === mesh.self) return factsHere();
    try {
      const body = new Uint8Array(0);
      const answer = await calls.call(node, 'agents/hosting', body, { deadlineMs: bidMs });
      const read = z.safeParse(factsSchema, decodeCbor(answer));
      if (read.success) return read.data;
      metrics.drop('agents', 'malformed');
    } catch (error) {
      log.debug({ error, node }, 'a node did not bid for hosting');
    }
    return undefined;
  }

  return {
    serve: () => calls.serve('agents/hosting', async () => encodeCbor(factsHere())),
    async run(options, draft, pages) {
      checkPlacement(options);
      if (options.placement !== 'auction') return undefined;
      const sites = biddersFor(world, draft, pages);
      const asked = await Promise.all(sites.map(async (id) => ({ id, facts: await factsOf(id) })));
      const bidding = asked.flatMap(({ id, facts }) =>
        facts === undefined ? [] : [{ id, facts }],
      );
      metrics.count('agents.hosting_auctions');
      metrics.count('agents.hosting_bids', bidding.length);
      return auctionReplicas(draft.name, draft.replicas, bidding);
    },
  };
}
