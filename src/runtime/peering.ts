/** Peers at work: the overlay decides whom to link, this dials, keeps the sessions and tells who is a neighbour. */

import type { Address } from '../kernel/address.ts';
import { BoundedMap } from '../kernel/bounded-map.ts';
import { MycelError } from '../kernel/errors.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Random } from '../kernel/random.ts';
import type { Clock } from '../ports/clock.ts';
import type { LinkTransport } from '../ports/link.ts';
import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Channel } from '../protocol/channels/channel.ts';
import type { ChannelTable } from '../protocol/channels/channel-table.ts';
import type { ProfileName } from '../protocol/membership/profiles.ts';
import type {
  DialTarget,
  OverlayEffect,
  OverlayName,
  OverlayRole,
} from '../protocol/overlay/overlay.ts';
import type {
  SwitchEffect,
  SwitchInput,
  SwitchView,
  TopologyRefusal,
} from '../protocol/overlay/switchboard-types.ts';
import type { Topology, TopologyMark } from '../protocol/overlay/topology.ts';
import type { Envelope } from '../protocol/routing/messages.ts';
import type { ControlMessage } from '../wire/control.ts';
import { encodeOverlayMessage } from '../wire/overlay-codec.ts';
import { datagramAddress } from './control-dispatch.ts';
import { drive } from './drive.ts';
import { createLinks } from './links.ts';
import { linkPaces } from './link-wires.ts';
import type { Hello, LinkInfo, Links } from './link-wires.ts';
import type { NodeStatus } from './mesh-node.ts';
import { activeMaxOf, createTopologySwitch } from './overlays.ts';
import { controlMinor } from '../wire/control.ts';

/** Written into the refusal when a dial came back to this very node. */
export const selfRefusal = 'it is this node itself';

/** Sessions dialled for a bare seed whose hello is awaited. */
const seedSessionsMax = 64;

/** Sessions dialled whose peer's hello is awaited. */
const greetingsMax = 1024;

/** What the node around it provides. */
export interface PeeringWorld {
  readonly self: NodeId;
  readonly boot: number;
  /** What this node runs where nobody has ever set a topology. */
  readonly overlay: OverlayName;
  /** What the mesh ran when this node last knew. */
  readonly topology: Topology;
  readonly role: OverlayRole;
  readonly profile: ProfileName;
  readonly channels: ChannelTable;
  /** Keep the register over a restart. */
  rememberTopology(topology: Topology): void;
  addresses(): readonly Address[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  transport(): LinkTransport;
  hello(): Omit<Hello, 'topology' | 'mark' | 'minor'>;
  /** Whether the peer has a say in how the mesh is linked; one on probation has not. */
  mayLead(link: LinkInfo): boolean;
  /** A peer said hello; false: it is not welcome, hang up. */
  greeted(link: LinkInfo, hello: Hello): boolean;
  neighbourUp(node: NodeId, link: LinkInfo): void;
  neighbourMoved(node: NodeId): void;
  neighbourDown(node: NodeId, reason: string): void;
  control(link: LinkInfo, message: ControlMessage): void;
  data(link: LinkInfo, envelope: Envelope, raw: Uint8Array): void;
  drained(peer: NodeId): void;
  /** A message for a peer was lost in the queue of its channel. */
  lost(peer: NodeId, channel: Channel, record: Uint8Array): void;
}

/** The peers of one node in one mesh. */
export interface Peering {
  readonly links: Links;
  feed(input: SwitchInput): void;
  view(): SwitchView;
  /** Why no other topology may be set now. */
  refusal(): TopologyRefusal | undefined;
  /** The overlay in figures. */
  overlay(): NodeStatus['overlay'];
  stop(): void;
}

/** Starts to link. */
export function startPeering(world: PeeringWorld): Peering {
  const { clock, log, metrics } = world;
  const overlay = createTopologySwitch(world, world.random);
  const stopping = new AbortController();
  const seedOf = new BoundedMap<number, string>(seedSessionsMax);
  /** For which epoch this node dialled, until the peer says hello. */
  const markOf = new BoundedMap<number, TopologyMark>(greetingsMax);
  const unset: TopologyMark = { epoch: 0, by: '' };

  function hello(mark: TopologyMark = unset): Hello {
    return { ...world.hello(), topology: overlay.topology(), mark, minor: controlMinor };
  }

  const links = createLinks({
    clock,
    log,
    metrics,
    pace: linkPaces[world.profile],
    channels: world.channels,
    // Its port is in its hello: the side that was dialled can dial, too.
    dialLane: (link) =>
      world
        .transport()
        .dial(link.session.peer, [datagramAddress(link)], stopping.signal, 'channel'),
    broken: (link) => world.neighbourMoved(link.session.peer),
    lost: (peer, channel, record) => world.lost(peer, channel, record),
    hello,
    greeted(link, theirs) {
      const own = markOf.get(link.id);
      markOf.delete(link.id);
      if (!world.greeted(link, theirs)) return links.hangUp(link.id, 'not welcome');
      driver.feed({
        type: 'linkOpened',
        node: link.session.peer,
        boot: theirs.boot,
        isDialler: link.session.isDialler,
        session: link.id,
        seed: seedOf.get(link.id),
        overlay: theirs.overlay,
        neighbours: theirs.neighbours,
        mark: link.session.isDialler ? (own ?? unset) : theirs.mark,
        topology: world.mayLead(link) ? theirs.topology : overlay.topology(),
      });
    },
    overlay: ({ id, session }, message) =>
      driver.feed({ type: 'received', node: session.peer, session: id, message }),
    quiet: ({ id, session }, isQuiet) =>
      driver.feed({ type: 'linkQuiet', node: session.peer, session: id, isQuiet }),
    control: (link, message) => world.control(link, message),
    data: (link, envelope, raw) => world.data(link, envelope, raw),
    drained: (link) => world.drained(link.session.peer),
    closed(link, reason) {
      log.info({ peer: link.session.peer, reason }, 'a link closed');
      driver.feed({ type: 'linkClosed', node: link.session.peer, session: link.id, reason });
    },
  });

  async function dial(
    target: DialTarget,
    addresses: readonly Address[],
    mark: TopologyMark,
  ): Promise<void> {
    const expected = target.kind === 'node' ? target.node : undefined;
    metrics.count('link.dials');
    try {
      const session = await world.transport().dial(expected, addresses, stopping.signal);
      const id = links.opened(session, hello(mark));
      markOf.set(id, mark);
      if (target.kind === 'seed') seedOf.set(id, target.seed);
    } catch (error) {
      if (stopping.signal.aborted) return;
      const reason = error instanceof Error ? error.message : String(error);
      log.debug({ peer: expected, reason }, 'a dial failed');
      metrics.count('link.dials.failed');
      const answeredBySelf = MycelError.is(error) && reason.includes(selfRefusal);
      driver.feed({ type: 'dialFailed', target, answeredBySelf, mark });
    }
  }

  function run(effect: SwitchEffect): void {
    switch (effect.type) {
      case 'dial':
        void dial(effect.target, effect.addresses, effect.mark);
        return undefined;
      case 'hangUp':
        return links.hangUp(effect.session, effect.reason);
      case 'send': {
        const bytes = encodeOverlayMessage(effect.message);
        return void links.controlOn(effect.session, { kind: 'overlay', bytes });
      }
      case 'note':
        metrics.count(effect.code);
        return log.debug({ node: effect.node, code: effect.code }, 'overlay');
      case 'announce':
        return announce(effect);
      case 'remember':
        return world.rememberTopology(effect.topology);
      case 'tell':
        for (const { id, hello: theirs } of links.all()) {
          const { topology } = effect;
          if (theirs !== undefined) links.controlOn(id, { kind: 'topology', topology });
        }
        return undefined;
    }
  }

  function announce(effect: Extract<OverlayEffect, { type: 'announce' }>): void {
    const { node } = effect;
    if (effect.what === 'neighbourDown') {
      links.choose(node, undefined);
      return world.neighbourDown(node, effect.reason);
    }
    links.choose(node, effect.session);
    const link = links.byId(effect.session);
    if (effect.what === 'neighbourMoved') return world.neighbourMoved(node);
    return link === undefined ? undefined : world.neighbourUp(node, link);
  }

  const driver = drive(overlay, {
    clock,
    tick: { type: 'tick' },
    run,
    failed: (effect, error) =>
      log.error({ effect: effect.type, error }, 'an overlay effect failed'),
    overflowed: () => metrics.drop('overlay', 'inbox full'),
  });

  driver.feed({ type: 'selfMoved', addresses: world.addresses() });

  return {
    links,
    feed: (input) => driver.feed(input),
    view: () => overlay.view(),
    refusal: () => overlay.refusal(clock.now()),
    overlay() {
      const { neighbours, passive, topology } = overlay.view();
      const activeMax = activeMaxOf(topology.kind, world.profile);
      return {
        name: topology.kind,
        active: neighbours.length,
        activeMax,
        passive: passive.length,
      };
    },
    stop() {
      stopping.abort();
      driver.stop();
      links.stop();
    },
  };
}
