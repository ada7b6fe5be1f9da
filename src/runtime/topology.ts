/** What people and programs see of a mesh's topology, and how they change it. */

import { MycelError } from '../kernel/errors.ts';
import { isNodeId } from '../kernel/ids.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Clock } from '../ports/clock.ts';
import { overlayNames } from '../protocol/overlay/overlay.ts';
import type { OverlayName } from '../protocol/overlay/overlay.ts';
import { hubsMax, reasonLengthMax, topologyHints } from '../protocol/overlay/topology.ts';
import type { Topology, TopologyHint, TopologyWish } from '../protocol/overlay/topology.ts';
import type { Peering } from './peering.ts';

/** A line of the history of this node's life. */
export interface TopologyEvent {
  readonly kind: OverlayName;
  readonly epoch: number;
  /** `begun`: both overlays run; `kept`: nothing had to be built. */
  readonly what: 'begun' | 'kept' | 'done' | 'rolledBack';
  readonly by: NodeId | undefined;
  readonly reason: string;
  readonly agoMs: number;
}

/** The topology of the mesh, and this node's part in it. */
export interface TopologyReport {
  readonly kind: OverlayName;
  /** Counts up with every change; 0: never changed, each node runs what it was started with. */
  readonly epoch: number;
  readonly by: NodeId | undefined;
  readonly reason: string;
  /** Members named as hubs; empty: chosen by label, else by id. */
  readonly hubs: readonly NodeId[];
  /** Whether the mesh may change it by itself. */
  readonly isAuto: boolean;
  readonly hint: TopologyHint;
  /** The overlay that is being left while both run. */
  readonly leaving: OverlayName | undefined;
  /** Whom this node is linked with. */
  readonly neighbours: readonly NodeId[];
  /** Links of each overlay that runs now. */
  readonly links: readonly { readonly kind: OverlayName; readonly count: number }[];
  /** Time until another one may be set, in ms; 0: now. */
  readonly waitMs: number;
  /** Since this node started, the latest last. */
  readonly history: readonly TopologyEvent[];
}

/** What may be asked for beside the kind. */
export interface TopologyOptions {
  /** Members that relay, for `client-server` and `pub-sub`. @default by label, else by id */
  readonly hubs?: readonly NodeId[];
  /** For the history. @default 'set by hand' */
  readonly reason?: string;
}

/** The report. */
export function reportTopology(peering: Peering, clock: Clock): TopologyReport {
  const { topology, leaving, neighbours, linksPerOverlay, history } = peering.view();
  const { kind, epoch, reason, hubs, isAuto, hint } = topology;
  const now = clock.now();
  return {
    kind,
    epoch,
    by: authorOf(topology),
    reason,
    hubs,
    isAuto,
    hint,
    leaving,
    neighbours: neighbours.map(({ node }) => node),
    links: linksPerOverlay.map((one) => ({ kind: one.kind, count: one.links })),
    waitMs: Math.ceil(peering.refusal()?.waitMs ?? 0),
    history: history.map(({ topology: then, what, at }) => ({
      kind: then.kind,
      epoch: then.epoch,
      what,
      by: authorOf(then),
      reason: then.reason,
      agoMs: Math.round(now - at),
    })),
  };
}

const authorOf = ({ by }: Topology): NodeId | undefined => (by === '' ? undefined : by);

/**
 * Sets another overlay for the whole mesh.
 * @throws {MycelError} MYCEL_BAD_OPTION with the allowed values; MYCEL_TOPOLOGY_BUSY during a switch and for 30 s after one.
 */
export function setTopology(peering: Peering, kind: string, options: TopologyOptions): void {
  const name = overlayNames.find((one) => one === kind);
  if (name === undefined) {
    throw badOption(`There is no topology '${kind}': it is ${listed(overlayNames)}.`);
  }
  const { hubs = [], reason = 'set by hand' } = options;
  if (hubs.length > hubsMax || !hubs.every((hub) => isNodeId(hub))) {
    throw badOption(`Hubs are up to ${hubsMax} node ids.`);
  }
  if (hubs.length > 0 && name !== 'client-server' && name !== 'pub-sub') {
    throw badOption(`'${name}' has no hubs: only client-server and pub-sub have.`);
  }
  if (reason.length > reasonLengthMax) {
    throw badOption(`A reason has ${reasonLengthMax} characters at most.`);
  }
  const { hint } = peering.view().topology;
  wish(peering, { kind: name, hubs, isAuto: false, hint, reason });
}

/**
 * Lets the mesh choose by its size.
 * @throws {MycelError} MYCEL_BAD_OPTION with the allowed hints; MYCEL_TOPOLOGY_BUSY.
 */
export function autoTopology(peering: Peering, hint: string): void {
  const known = topologyHints.find((one) => one === hint);
  if (known === undefined) {
    throw badOption(`There is no workload '${hint}': it is ${listed(topologyHints)}.`);
  }
  const { kind, hubs } = peering.view().topology;
  wish(peering, { kind, hubs, isAuto: true, hint: known, reason: 'automatic from here on' });
}

function wish(peering: Peering, asked: Omit<TopologyWish, 'isReturn'>): void {
  const refusal = peering.refusal();
  if (refusal !== undefined) {
    const seconds = Math.ceil(refusal.waitMs / 1000);
    const reason =
      refusal.why === 'switching'
        ? 'The mesh is switching its topology just now.'
        : `The topology was changed a moment ago; the next change may come in ${seconds} s.`;
    throw new MycelError('MYCEL_TOPOLOGY_BUSY', { reason });
  }
  peering.feed({ type: 'topologyWished', wish: { ...asked, isReturn: false } });
}

const listed = (names: readonly string[]): string =>
  `${names.slice(0, -1).join(', ')} or ${names.at(-1) ?? ''}`;

function badOption(reason: string): MycelError {
  return new MycelError('MYCEL_BAD_OPTION', { reason });
}
