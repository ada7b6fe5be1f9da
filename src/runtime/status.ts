/** What `status` says: every number and every sentence a person needs to see why something does not work. */

import type { MycelError } from '../kernel/errors.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { NodeAdapters } from './adapters.ts';
import type { Ground } from './adapters.ts';
import type { Identity } from './identity.ts';
import type { Life } from './life.ts';
import type { Lookout } from './lookout.ts';
import type { MemberState, NodeStatus } from './mesh-node.ts';
import type { Store } from '../ports/store.ts';

/** What is looked at. */
export interface StatusWorld {
  readonly name: string;
  readonly version: string;
  readonly isDev: boolean;
  readonly adapters: NodeAdapters;
  readonly store: Store;
  readonly identity: Identity;
  readonly ground: Ground;
  readonly lookout: Lookout;
  readonly life: Life;
  readonly joining: { trouble(): MycelError | undefined };
  readonly guestPort: number | undefined;
  readonly probationCode: string | undefined;
  readonly expelled: string | undefined;
  readonly startedAt: number;
  loopLagMs(): number;
}

/** Loop lag that is worth a warning, in ms. */
const lagWarnMs = 1_000;

/** Takes the picture. */
export function statusOf(world: StatusWorld): NodeStatus {
  const { life, ground, adapters } = world;
  const { trust, door, peering, messaging } = life;
  const now = adapters.clock.now();
  const members = life.members();
  const nameOf = new Map(members.map((one) => [one.id, one.name]));
  const unacked = new Map<NodeId, number>(
    messaging.view().outbox.destinations.map((one) => [one.node, one.unacked]),
  );
  const isOnProbation = trust.certificate().roles.includes('probation');
  return {
    node: world.identity.node,
    name: world.name,
    version: world.version,
    mesh: {
      id: trust.meshId,
      name: trust.record().name,
      isProvisional: trust.isProvisional(),
      isDev: world.isDev,
      epoch: trust.view().epoch?.number ?? 0,
      joinWindowMs: door.windowMs(),
      isAdmin: trust.isAdmin(),
      probationCode: isOnProbation ? world.probationCode : undefined,
    },
    mqttPort: ground.port,
    guestPort: world.guestPort,
    uptimeMs: now - world.startedAt,
    members: countStates(members.map((one) => one.state)),
    links: peering.links.all().map(({ session, since, rttMs, hello }) => ({
      peer: session.peer,
      name: nameOf.get(session.peer) ?? hello?.name ?? '',
      remote: `${session.remote.host}:${session.remote.port}`,
      isDialler: session.isDialler,
      sinceMs: now - since,
      rttMs,
      queuedBytes: session.queuedBytes(),
      unackedCount: unacked.get(session.peer) ?? 0,
    })),
    clients: ground.broker.clients().map(({ clientId, zone, remote, queuedBytes }) => ({
      clientId,
      zone,
      remote,
      queuedBytes,
    })),
    discovery: world.lookout
      .report()
      .rungs.map(({ rung, trouble }) => ({ rung, trouble: trouble?.reason })),
    loopLagMs: world.loopLagMs(),
    rssBytes: adapters.rssBytes(),
    metrics: adapters.metrics.snapshot(),
    warnings: warningsOf(world, isOnProbation),
  };
}

function countStates(states: readonly MemberState[]): Record<MemberState, number> {
  const counts = { alive: 0, suspect: 0, dead: 0, left: 0, dormant: 0 };
  for (const state of states) counts[state] += 1;
  if (states.length === 0) counts.alive = 1;
  return counts;
}

function warningsOf(world: StatusWorld, isOnProbation: boolean): string[] {
  const { life, store, lookout } = world;
  const warnings: string[] = [];
  if (world.isDev) {
    warnings.push('This is an open mesh for development: everybody who reaches it is let in.');
  }
  if (world.expelled !== undefined) {
    warnings.push(
      `${world.expelled} It serves its local clients only. Remove its data directory to start over.`,
    );
  }
  const trouble = world.joining.trouble();
  if (trouble !== undefined && life.trust.isProvisional()) {
    warnings.push(`Joining did not work: ${trouble.message} ${trouble.fix}`);
  }
  if (isOnProbation) {
    const code = world.probationCode === undefined ? '' : ` Its code is ${world.probationCode}.`;
    warnings.push(`This node is on probation.${code} Run "mycel approve" on an admin node.`);
  }
  for (const { rung, trouble: problem } of lookout.report().rungs) {
    if (problem !== undefined)
      warnings.push(`Discovery by ${rung}: ${problem.reason} ${problem.fix}`);
  }
  for (const { name, action } of store.damage()) {
    warnings.push(`The record '${name}' was damaged: ${action}`);
  }
  if (world.loopLagMs() > lagWarnMs) {
    warnings.push(
      `The event loop was stuck for ${Math.round(world.loopLagMs())} ms in the last seconds: something on this machine takes its processor.`,
    );
  }
  return warnings;
}
