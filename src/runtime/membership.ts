/** Membership at work: the SWIM core, its sealed datagrams, and the link as the way round a blocked UDP port. */

import type { Address } from '../kernel/address.ts';
import { BoundedMap } from '../kernel/bounded-map.ts';
import type { Millis } from '../kernel/core.ts';
import type { MeshId, NodeId } from '../kernel/ids.ts';
import type { Random } from '../kernel/random.ts';
import type { Clock } from '../ports/clock.ts';
import type { Datagrams, DatagramSocket } from '../ports/datagram.ts';
import { datagramBytesMax } from '../ports/datagram.ts';
import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { MemberMeta, SwimMessage } from '../protocol/membership/messages.ts';
import { swimProfiles } from '../protocol/membership/profiles.ts';
import type { ProfileName } from '../protocol/membership/profiles.ts';
import { createSwim } from '../protocol/membership/swim.ts';
import type {
  SwimEffect,
  SwimInput,
  SwimMember,
  SwimView,
} from '../protocol/membership/swim-types.ts';
import { createDatagramSeal, datagramOverheadBytes, shortIdOf } from '../wire/datagram-seal.ts';
import type { EpochKeys } from '../wire/datagram-seal.ts';
import { nodeIdOf, signBytes, verifyBytes } from '../wire/keys.ts';
import { createMembershipCodec } from '../wire/membership-codec.ts';
import type { NodeAdapters, StallResponder } from './adapters.ts';
import { drive } from './drive.ts';
import type { Identity } from './identity.ts';

/** Waits this long for a goodbye to spread before a stop goes on without, in ms. */
const leaveMsMax = 2_000;

/** Members whose UDP is known to work or not; one per member. */
const pathsMax = 4096;

/** A stall of this length shows that this node does work that stalls, in ms (docs/decisions/0008-stall-responder.md). */
const stallMsMin = 1_000;

/** What the node around it provides. */
export interface MembershipWorld {
  readonly identity: Identity;
  readonly boot: number;
  /** Bound into every signature: what is said in one mesh means nothing in another. */
  readonly meshId: MeshId;
  readonly profile: ProfileName;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly datagrams: Datagrams;
  readonly stalls: Pick<NodeAdapters, 'createStallProbe' | 'openResponder'>;
  keys(): EpochKeys;
  addresses(): readonly Address[];
  meta(): MemberMeta;
  announced(member: SwimMember): void;
  /** One key, two devices; `isSelf` when it is this one. */
  cloned(node: NodeId, isSelf: boolean): void;
  /** Carries a datagram over the link instead; false when there is none. */
  viaLink(node: NodeId, bytes: Uint8Array): boolean;
  pingViaLink(node: NodeId, answered: () => void): void;
  /** A member's authority-log rider differs from what it was. */
  riderSeen(node: NodeId, rider: Uint8Array): void;
  persistBoot(boot: number): void;
}

/** A running membership. */
export interface Membership {
  view(): SwimView;
  member(node: NodeId): SwimMember | undefined;
  /** Members are said to answer at these addresses. */
  introduced(addresses: readonly Address[]): void;
  linkOpened(node: NodeId, address: Address): void;
  linkClosed(node: NodeId): void;
  /** A datagram that came over a link from this authenticated node. */
  receivedViaLink(node: NodeId, remote: Address, bytes: Uint8Array): void;
  changed(what: { meta?: MemberMeta; addresses?: readonly Address[]; rider?: Uint8Array }): void;
  woke(gapMs: Millis): void;
  /** The event loop was stuck; from `stallMsMin` on a thread answers for this node the next time. */
  lagged(ms: Millis): void;
  /** The epoch keys changed. */
  rekeyed(): void;
  evict(node: NodeId): void;
  /** Announces a sleep; resolves like `leave`. */
  sleep(ms: Millis): Promise<void>;
  /** Says goodbye; resolves when it has spread or `leaveMsMax` has passed. */
  leave(): Promise<void>;
  stop(): Promise<void>;
}

/** Opens the socket on `host:port` and starts probing. @throws {MycelError} MYCEL_PORT_TAKEN */
export async function startMembership(
  world: MembershipWorld,
  listen: { readonly host: string; readonly port: number },
): Promise<Membership> {
  const { identity, clock, log, metrics } = world;
  const self = identity.node;
  /** Since when a member owes an answer by UDP, or takes the link itself: its datagrams go over the link as well. */
  const unansweredSince = new BoundedMap<NodeId, Millis>(pathsMax);
  const profile = swimProfiles[world.profile];
  const asked = new BoundedMap<NodeId, number>(pathsMax);
  const probe = world.stalls.createStallProbe(self, world.keys);
  let responder: Promise<StallResponder> | undefined;
  let left: (() => void) | undefined;
  let isStopped = false;
  let isAsleep = false;

  const seal = createDatagramSeal({ node: self, bootCounter: world.boot, keys: world.keys });
  const codec = createMembershipCodec({
    self,
    context: world.meshId,
    sign: (bytes) => signBytes(identity.keys.edSeed, bytes),
    verify: verifyBytes,
    edPublicOf: (node) => swim.member(node)?.edPublic,
    nodeIdOf,
  });
  const swim = createSwim(
    {
      self,
      boot: world.boot,
      instance: identity.instance,
      edPublic: identity.keys.edPublic,
      addresses: world.addresses(),
      meta: world.meta(),
      profile,
      sizeOf: codec.sizeOf,
      packetBytesMax: datagramBytesMax - datagramOverheadBytes,
    },
    world.random,
  );

  function isUdpSilent(node: NodeId): boolean {
    const since = unansweredSince.get(node);
    return since !== undefined && clock.now() - since > profile.probeIntervalMs;
  }

  /** A member is always answered, and a stranger that is introduced to, too. How often depends on the size of the mesh. */
  function expectAnswer(node: NodeId, kind: SwimMessage['kind']): void {
    const isAnswered = kind === 'ping' || (kind === 'digest' && swim.member(node) === undefined);
    if (isAnswered && !unansweredSince.has(node)) unansweredSince.set(node, clock.now());
  }

  function send(to: Address, node: NodeId | undefined, message: SwimMessage): void {
    if (node !== undefined && message.kind === 'ping' && isResponder(node, to)) {
      asked.set(node, message.seq);
      return socket.send(to, probe.ask(node));
    }
    const bytes = codec.encode(message);
    socket.send(to, seal.seal(bytes));
    metrics.count(`swim.out.${message.kind}`);
    if (node === undefined) return;
    if (isUdpSilent(node)) world.viaLink(node, bytes);
    expectAnswer(node, message.kind);
  }

  /** The responder has a port of its own and speaks its own two packets. */
  function isResponder(node: NodeId, to: Address): boolean {
    const member = swim.member(node);
    return member?.meta.responderPort === to.port && member.address?.port !== to.port;
  }

  function receivedAnswer(from: Address, bytes: Uint8Array): void {
    const report = probe.read(bytes);
    const seq = report === undefined ? undefined : asked.get(report.node);
    if (report === undefined || seq === undefined) return metrics.drop('datagram', 'stall answer');
    const { node, stalledMs } = report;
    feedMessage(from, node, { kind: 'stalled', from: node, seq, stalledMs });
  }

  function startResponder(): void {
    if (responder !== undefined || isStopped) return;
    const { current, others } = world.keys();
    const failed = (error: Error): void => log.warn({ error }, 'the stall responder failed');
    const started = world.stalls.openResponder({
      host: listen.host,
      node: self,
      keys: [current, ...others],
      failed,
    });
    responder = started;
    started.then((one) => {
      log.info({ port: one.port }, 'the event loop was stuck: a thread answers for it from now on');
      driver.feed({ type: 'metaChanged', meta: { ...world.meta(), responderPort: one.port } });
    }, failed);
  }

  function run(effect: SwimEffect): void {
    switch (effect.type) {
      case 'send':
        return send(effect.to, effect.node, effect.message);
      case 'pingViaLink': {
        const { node, seq } = effect;
        return world.pingViaLink(node, () => driver.feed({ type: 'linkPong', node, seq }));
      }
      case 'announce':
        return world.announced(effect.member);
      case 'note':
        metrics.count(`swim.${effect.code}`);
        return log.debug({ node: effect.node, code: effect.code }, 'membership');
      case 'alert':
        return world.cloned(effect.node, effect.code === 'clone-self');
      case 'riderSeen':
        return world.riderSeen(effect.node, effect.rider);
      case 'persistBoot':
        return world.persistBoot(effect.boot);
      case 'leftSpread':
        return left?.();
    }
  }

  function feedMessage(from: Address, sender: NodeId, message: SwimMessage): void {
    metrics.count(`swim.in.${message.kind}`);
    driver.feed({ type: 'received', from, sender, message });
  }

  /** The sealing proves the first half of the sender's id: a message that claims another `from` is forged. */
  function receivedByUdp(from: Address, bytes: Uint8Array): void {
    if (probe.isAnswer(bytes)) return receivedAnswer(from, bytes);
    const opened = seal.open(bytes);
    if ('refusal' in opened) return metrics.drop('datagram', opened.refusal);
    const message = codec.decode(opened.plain);
    if (message === undefined) return metrics.drop('membership', 'malformed message');
    if (shortIdOf(message.from) !== opened.sender)
      return metrics.drop('membership', 'forged sender');
    unansweredSince.delete(message.from);
    feedMessage(from, message.from, message);
  }

  /** Feeds a last word and waits until it had a fair chance to spread. */
  function spread(word: SwimInput): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.alarm(clock.now() + leaveMsMax, resolve);
      left = () => {
        cancel();
        resolve();
      };
      driver.feed(word);
    });
  }

  const socket: DatagramSocket = await world.datagrams.open({ ...listen, receive: receivedByUdp });
  const driver = drive(swim, {
    clock,
    tick: { type: 'tick' },
    run,
    failed: (effect, error) =>
      log.error({ effect: effect.type, error }, 'a membership effect failed'),
    overflowed: () => metrics.drop('membership', 'inbox full'),
  });

  return {
    view: () => swim.view(),
    member: (node) => swim.member(node),
    introduced: (addresses) => driver.feed({ type: 'introduced', addresses }),
    linkOpened: (node, address) => driver.feed({ type: 'linkOpened', node, address }),
    linkClosed: (node) => driver.feed({ type: 'linkClosed', node }),
    receivedViaLink(node, remote, bytes) {
      const message = codec.decode(bytes);
      if (message === undefined) return metrics.drop('membership', 'malformed message');
      // It goes over the link because UDP brought it no answer: ours must not rely on UDP either.
      unansweredSince.set(node, -Infinity);
      feedMessage(remote, node, message);
    },
    changed({ meta, addresses, rider }) {
      if (meta !== undefined) {
        const { responderPort } = swim.view().self.meta;
        const kept = responderPort === undefined ? {} : { responderPort };
        driver.feed({ type: 'metaChanged', meta: { ...meta, ...kept } });
      }
      if (addresses !== undefined) driver.feed({ type: 'addressesChanged', addresses });
      if (rider !== undefined) driver.feed({ type: 'riderChanged', rider });
    },
    woke: (gapMs) => driver.feed({ type: 'woke', gapMs }),
    lagged(ms) {
      driver.feed({ type: 'loopLagged', ms });
      if (ms >= stallMsMin) startResponder();
    },
    rekeyed() {
      const { current, others } = world.keys();
      responder?.then((one) => one.setKeys([current, ...others])).catch(() => {});
    },
    evict: (node) => driver.feed({ type: 'evicted', node }),
    sleep(ms) {
      isAsleep = true;
      return spread({ type: 'sleep', ms });
    },
    // Its last word was that it will be back.
    leave: () => (isAsleep ? Promise.resolve() : spread({ type: 'leave' })),
    async stop() {
      isStopped = true;
      driver.stop();
      await responder?.then((one) => one.stop()).catch(() => {});
      await socket.stop();
    },
  };
}
