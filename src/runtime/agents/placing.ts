/** Where the instances of a deployment belong now, given the members, what they can do, and who holds what. */

import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { placeReplicas, replicasMax } from '../../protocol/placement/place.ts';
import { parseSelector } from '../../protocol/placement/selector.ts';
import type { MemberInfo } from '../mesh-node.ts';
import type { PartWorld } from '../parts.ts';
import type { Claims } from './claims.ts';
import type { AgentsPage } from './agents-page.ts';
import type { DeployOptions } from './deploy-options.ts';
import type { Deployment } from './deployment.ts';

/**
 * The node of each replica.
 * `moving`: an instance whose holder is to be left out. `mustFit`: throws when no node fits, instead of placing nothing.
 * @throws {MycelError} MYCEL_NO_SITE
 */
export function place(
  world: PartWorld,
  wanted: Deployment,
  all: readonly { readonly node: NodeId; readonly page: Pick<AgentsPage, 'isDraining'> }[],
  claims: Claims,
  { moving, mustFit }: { readonly moving?: string; readonly mustFit?: boolean } = {},
): (NodeId | undefined)[] {
  const { fitting, members } = fittingMembers(world, wanted);
  if (mustFit === true && fitting.length === 0) {
    const known = [...new Set(members.flatMap(({ capabilities }) => capabilities))].sort();
    throw new MycelError('MYCEL_NO_SITE', {
      reason: `None of ${members.length} nodes has ${wanted.requires.join(', ') || 'the labels asked for'}.`,
      fix:
        known.length === 0
          ? 'No node tells any capability: see "mycel members".'
          : `There are: ${known.slice(0, 12).join(', ')}.`,
    });
  }
  const replicas = wanted.isAuto ? Math.min(replicasMax, fitting.length) : wanted.replicas;
  const draining = new Set(all.filter(({ page }) => page.isDraining).map(({ node }) => node));
  const { spread } = wanted;
  const sites = fitting
    .filter(({ id }) => !draining.has(id))
    .map(({ id, labels }) => ({
      id,
      ...(spread === undefined ? {} : { zone: labels[spread] ?? '' }),
    }));
  const live = new Set(members.map(({ id }) => id));
  const holders = Array.from({ length: replicas }, (_, number) => {
    const instance = `${wanted.name}#${number}`;
    const holder = claims.holder(instance)?.node;
    return instance === moving || holder === undefined || !live.has(holder) ? undefined : holder;
  });
  if (wanted.homes.length > 0 && moving === undefined) {
    // At home or nowhere; whoever holds it keeps it.
    return holders.map((holder, number) => {
      const home = wanted.homes[number] as NodeId | undefined;
      return holder ?? (home !== undefined && live.has(home) ? home : undefined);
    });
  }
  // What was auctioned begins where it was won, and goes by rendezvous like everything else once that node cannot.
  const able = new Set(sites.map(({ id }) => id));
  const begins = holders.map((holder, number) => {
    const won = wanted.prefers[number] as NodeId | undefined;
    const isMoving = moving === `${wanted.name}#${number}`;
    return holder ?? (won !== undefined && able.has(won) && !isMoving ? won : undefined);
  });
  const placed = placeReplicas(wanted.name, replicas, sites, begins);
  // Whoever holds an instance moves it itself: nobody takes it from a node that is being drained.
  return placed.map((node, number) => holders[number] ?? node);
}

/** Members on which it could run, and all that are alive. @throws {MycelError} MYCEL_BAD_OPTION */
function fittingMembers(
  world: PartWorld,
  wanted: Deployment,
): { readonly fitting: readonly MemberInfo[]; readonly members: readonly MemberInfo[] } {
  const selector = parseSelector(wanted.select);
  if ('problem' in selector) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      reason: `The selector is not valid: ${selector.problem}.`,
    });
  }
  const members = world.node
    .members()
    .filter(({ state, isSelf }) => isSelf || state === 'alive' || state === 'suspect');
  const fitting = members.filter(
    ({ id, labels, capabilities }) =>
      (wanted.pinned === undefined || wanted.pinned === id) &&
      wanted.requires.every((need) => capabilities.includes(need)) &&
      selector.matches({ labels, capabilities }),
  );
  return { fitting, members };
}

/** Nodes that may bid for hosting: those that fit and are not being emptied. @throws {MycelError} MYCEL_BAD_OPTION */
export function biddersFor(
  world: PartWorld,
  wanted: Deployment,
  all: readonly { readonly node: NodeId; readonly page: Pick<AgentsPage, 'isDraining'> }[],
): NodeId[] {
  const draining = new Set(all.filter(({ page }) => page.isDraining).map(({ node }) => node));
  return fittingMembers(world, wanted)
    .fitting.map(({ id }) => id)
    .filter((id) => !draining.has(id));
}

/** Refuses options that contradict each other. @throws {MycelError} MYCEL_BAD_OPTION */
export function checkPlacement({ placement, replicas, spread }: DeployOptions): void {
  if (placement === undefined || placement === 'hash') return;
  const bad = (reason: string, fix: string): MycelError =>
    new MycelError('MYCEL_BAD_OPTION', { reason, fix });
  if (placement !== 'auction') {
    throw bad(`There is no placement '${String(placement).slice(0, 32)}'.`, 'Use hash or auction.');
  }
  if (replicas === 'auto')
    throw bad('With one on every node there is nothing to auction.', 'Say how many.');
  if (spread !== undefined)
    throw bad('An auction spreads by load, not by a label.', 'Leave out spread, or use hash.');
}
