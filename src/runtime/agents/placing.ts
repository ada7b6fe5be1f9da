/** Where the instances of a deployment belong now, given the members, what they can do, and who holds what. */

import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { placeReplicas, replicasMax } from '../../protocol/placement/place.ts';
import { parseSelector } from '../../protocol/placement/selector.ts';
import type { PartWorld } from '../parts.ts';
import type { Claims } from './claims.ts';
import type { AgentsPage } from './agents-page.ts';
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
  const placed = placeReplicas(wanted.name, replicas, sites, holders);
  // Whoever holds an instance moves it itself: nobody takes it from a node that is being drained.
  return placed.map((node, number) => holders[number] ?? node);
}
