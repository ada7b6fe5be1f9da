/** What `status` says: every number and every sentence a person needs to see why something does not work. */

import type { NodeId } from '../kernel/ids.ts';
import type { NodeAdapters } from './adapters.ts';
import type { Household } from './household.ts';
import type { MemberState, NodeStatus } from './mesh-node.ts';
import { headOfLineMs } from '../ports/link.ts';
import type { MetricsSnapshot } from '../ports/metrics.ts';
import type { Store } from '../ports/store.ts';
import { controlMinor } from '../wire/control.ts';

/** What is looked at. */
export interface StatusWorld {
  readonly node: NodeId;
  readonly name: string;
  readonly version: string;
  readonly isDev: boolean;
  readonly adapters: NodeAdapters;
  readonly store: Store;
  readonly household: Household;
}

/** Loop lag that is worth a warning, in ms. */
const lagWarnMs = 1_000;

/** Takes the picture. */
export function statusOf(world: StatusWorld): NodeStatus {
  const { household, adapters } = world;
  const life = household.life();
  const ground = household.ground();
  const { trust, door, peering, messaging } = life;
  const now = adapters.clock.now();
  const members = life.members();
  const nameOf = new Map(members.map((one) => [one.id, one.name]));
  const unacked = new Map<NodeId, number>(
    messaging.view().outbox.destinations.map((one) => [one.node, one.unacked]),
  );
  const isOnProbation = trust.certificate().roles.includes('probation');
  return {
    node: world.node,
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
      probationCode: isOnProbation ? household.probationCode() : undefined,
    },
    mqttPort: ground.port,
    guestPort: household.guestPort(),
    uptimeMs: now - household.startedAt,
    members: countStates(members.map((one) => one.state)),
    overlay: peering.overlay(),
    links: peering.links.all().map(({ session, since, rttMs, hello }) => ({
      peer: session.peer,
      name: nameOf.get(session.peer) ?? hello?.name ?? '',
      remote: `${session.remote.host}:${session.remote.port}`,
      isDialler: session.isDialler,
      sinceMs: now - since,
      rttMs,
      protocol: `1.${Math.min(controlMinor, hello?.minor ?? 0)}`,
      queuedBytes: session.queuedBytes(),
      unackedCount: unacked.get(session.peer) ?? 0,
    })),
    channels: peering.links.channels(),
    clients: ground.broker.clients().map(({ clientId, zone, remote, queuedBytes, diskBytes }) => ({
      clientId,
      zone,
      remote,
      queuedBytes,
      diskBytes,
    })),
    evictions: household.evictions.recent(),
    evictionCount: household.evictions.count(),
    headOfLine: headOfLineOf(adapters.metrics.snapshot()),
    discovery: household.lookout
      .report()
      .rungs.map(({ rung, trouble }) => ({ rung, trouble: trouble?.reason })),
    loopLagMs: household.loopLagMs(),
    rssBytes: adapters.rssBytes(),
    metrics: adapters.metrics.snapshot(),
    warnings: warningsOf(world, isOnProbation),
  };
}

function headOfLineOf({ counters, gauges }: MetricsSnapshot): NodeStatus['headOfLine'] {
  return {
    overMs: headOfLineMs,
    incidents: counters['link.head_of_line'] ?? 0,
    waits: counters['link.control_waits'] ?? 0,
    longestMs: gauges['link.control_wait_max_ms'] ?? 0,
  };
}

function countStates(states: readonly MemberState[]): Record<MemberState, number> {
  const counts = { alive: 0, suspect: 0, dead: 0, left: 0, dormant: 0 };
  for (const state of states) counts[state] += 1;
  if (states.length === 0) counts.alive = 1;
  return counts;
}

function warningsOf(world: StatusWorld, isOnProbation: boolean): string[] {
  const { household, store } = world;
  const { lookout } = household;
  const { trust } = household.life();
  const expelled = household.expelled();
  const code = household.probationCode();
  const lagMs = household.loopLagMs();
  const warnings: string[] = [];
  if (world.isDev) {
    warnings.push('This is an open mesh for development: everybody who reaches it is let in.');
  }
  if (expelled !== undefined) {
    warnings.push(
      `${expelled} It serves its local clients only. Remove its data directory to start over.`,
    );
  }
  // An expulsion and a failed join have their own lines.
  const known = [expelled ?? ' ', 'Joining did not work'];
  warnings.push(
    ...household.alerts().filter((text) => !known.some((start) => text.startsWith(start))),
  );
  const trouble = household.joining().trouble();
  if (trouble !== undefined && trust.isProvisional()) {
    warnings.push(`Joining did not work: ${trouble.message} ${trouble.fix}`);
  }
  if (isOnProbation) {
    const shown = code === undefined ? '' : ` Its code is ${code}.`;
    warnings.push(
      `This node is on probation: only guest/ topics pass.${shown} Run "mycel approve" on an admin node.`,
    );
  }
  const kept = household.life().messaging.trouble();
  if (kept !== undefined) warnings.push(kept);
  warnings.push(...household.missingInterfaces().map(missingInterfaceText));
  for (const { rung, trouble: problem } of lookout.report().rungs) {
    if (problem !== undefined)
      warnings.push(`Discovery by ${rung}: ${problem.reason} ${problem.fix}`);
  }
  for (const { name, action } of store.damage()) {
    warnings.push(`The record '${name}' was damaged: ${action}`);
  }
  if (lagMs > lagWarnMs) {
    warnings.push(
      `The event loop was stuck for ${Math.round(lagMs)} ms in the last seconds: something on this machine takes its processor.`,
    );
  }
  return warnings;
}

/** What to tell of an interface that was asked for by name and cannot be used. */
export function missingInterfaceText(name: string): string {
  return `The network interface '${name}' is not there, down, or has no address. Plug it in, or name another one ("ip address" shows them).`;
}
