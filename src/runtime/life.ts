/** One node's life in one mesh: trust, peers, membership and messages wired together, from joining to leaving. */

import { MycelError } from '../kernel/errors.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { SwimMember } from '../protocol/membership/swim-types.ts';
import type { AuthorityView } from '../protocol/trust/authority-log.ts';
import type { AuthorityEntry, KeyText } from '../protocol/trust/messages.ts';
import { keyTextOf, meshIdOf, meshTagOf } from '../wire/authority-entry.ts';
import { readCertificate } from '../wire/certificate.ts';
import { encodeMeshRecord } from '../wire/mesh-record.ts';
import type { MeshRecord } from '../wire/mesh-record.ts';
import { encodeInterest } from '../wire/interest-codec.ts';
import { createApproval } from './approval.ts';
import { datagramAddress, dispatchControl, leavingReason } from './control-dispatch.ts';
import type { ControlRooms } from './control-dispatch.ts';
import { createDoor } from './door.ts';
import type { Door } from './door.ts';
import { enrol } from './enrolment.ts';
import { addressesOf, introduce, peersFor } from './introductions.ts';
import { readUses, writeUses } from './invite-uses.ts';
import type { Life, LifeWorld } from './life-world.ts';
import { openMemberRecord } from './member-record.ts';
import type { Membership } from './membership.ts';
import { infoOf } from './member-info.ts';
import type { MemberState } from './mesh-node.ts';
import { createMessaging } from './messaging.ts';
import type { Messaging } from './messaging-world.ts';
import { createMoves } from './moves.ts';
import { outboxOf, readFound } from './routing/found-events.ts';
import { selfRefusal, startPeering } from './peering.ts';
import type { Peering } from './peering.ts';
import { roleOf } from './overlays.ts';
import { createPorter, twinsReason, twinText } from './porter.ts';
import { allowedControl, isOpenTopic, mayComeFrom } from './probation.ts';
import { edPublicOf, revokeDevice } from './revocation.ts';
import { createOutgoing } from './routing/outgoing.ts';
import { createTraffic } from './channels/traffic.ts';
import { readTopologyRecord, keepTopologyRecord } from './topology-record.ts';
import { linkPrologue, startTrust } from './trust.ts';
import type { Trust } from './trust.ts';

/** Begins a life from the record of a mesh. */
export async function startLife(world: LifeWorld, record: MeshRecord): Promise<Life> {
  const { adapters, identity, log, metrics, random, store } = world;
  const { clock } = adapters;
  const self = identity.node;
  const states = new Map<NodeId, MemberState>();
  const found = await readFound(world, meshIdOf(record.genesis), clock.now());
  const known = await openMemberRecord(world, meshIdOf(record.genesis), states);
  const followMove = createMoves(() => peering.links);
  let membership: Membership | undefined;
  let membershipStarting: Promise<void> | undefined;
  let isStopped = false;
  let cancelIntroduction = (): void => {};

  // Two rooms may speak before the last one is built; what they say then reaches nobody, and nobody is linked yet.
  const rooms: { trust?: Trust; messaging?: Messaging } = {};

  const porter = createPorter({
    clock,
    links: () => peering.links,
    proofAgainst: (key) => rooms.trust?.proofAgainst(key) ?? [],
    alert: (code, text) => world.alert(code, text),
  });

  const certifyIfApproved = createApproval({
    trust: () => trust,
    peering: () => peering,
    isOnProbation: (link) => porter.isOnProbation(link),
  });

  const peering: Peering = startPeering({
    self,
    boot: world.boot,
    overlay: world.overlay,
    topology: await readTopologyRecord(store, meshIdOf(record.genesis), world.overlay),
    role: roleOf(world.meta([]).labels),
    profile: world.profile,
    channels: world.channels,
    rememberTopology: (topology) => keepTopologyRecord(world, meshIdOf(record.genesis), topology),
    addresses: () => world.addresses(),
    clock,
    random: random.split(),
    log,
    metrics,
    transport: () => world.ground().links,
    hello: () => ({
      kind: 'hello',
      boot: world.boot,
      instance: identity.instance,
      name: world.meta([]).name,
      port: world.ground().port,
      neighbours: neighbours(),
      overlay: world.overlay,
    }),
    // The handshake judged the certificate; a revocation may have come in the meantime.
    greeted: (link, hello) => porter.greeted(link, hello),
    mayLead: (link) => !porter.isOnProbation(link),
    neighbourUp(node, link) {
      const address = datagramAddress(link);
      log.info({ peer: node, remote: address.host }, 'linked');
      const boot = link.hello?.boot;
      rooms.messaging?.step((router, now) => {
        // A linked peer is a member, whatever membership has heard of it so far: from here on it is owed every event.
        if (boot !== undefined) router.memberJoined(now, node, boot);
        router.linkUp(now, node);
      });
      membership?.linkOpened(node, address);
      rooms.trust?.peers(neighbours());
      rooms.trust?.linked(node);
      compareRetained(node);
      world.book.remember(node, [address], meshTagOf(life.trust.meshId));
      peering.links.control(node, { kind: 'peers', peers: peersFor(node, liveMembers()) });
      certifyIfApproved(node);
      world.linkChanged(node, true, '');
    },
    // Whatever was under way on the old session may be lost with it: the router sends what is unacknowledged again.
    neighbourMoved(node) {
      rooms.messaging?.step((router, now) => router.linkUp(now, node));
      compareRetained(node);
    },
    neighbourDown(node, reason) {
      rooms.messaging?.step((router, now) => router.linkDown(now, node));
      membership?.linkClosed(node);
      rooms.trust?.peers(neighbours());
      world.linkChanged(node, false, reason);
    },
    control(link, message) {
      const { peer } = link.session;
      const said = porter.isOnProbation(link) ? allowedControl(peer, message) : message;
      if (said === undefined) metrics.drop('link', 'on probation');
      else dispatchControl(controlRooms, link, said);
    },
    data(link, envelope, raw) {
      const { peer } = link.session;
      if (porter.isOnProbation(link) && !mayComeFrom(peer, envelope))
        return rooms.messaging?.refused(peer, envelope);
      rooms.messaging?.received(peer, envelope, raw);
    },
    drained: (peer) => rooms.messaging?.step((router, now) => router.drained(now, peer)),
    lost: (peer, { name }, raw) => rooms.messaging?.lost(peer, name, raw),
  });

  function compareRetained(node: NodeId): void {
    const digest = rooms.messaging?.router.retained.digest();
    if (digest !== undefined) peering.links.control(node, { kind: 'retained-digest', digest });
  }

  const liveMembers = (): readonly SwimMember[] => membership?.view().members ?? [];

  function neighbours(): readonly NodeId[] {
    return peering.view().neighbours.map((one) => one.node);
  }

  const controlRooms: ControlRooms = {
    book: world.book,
    overlay: (input) => peering.feed(input),
    messaging: () => rooms.messaging,
    membership: () => membership,
    trust: () => rooms.trust,
    goodbye(peer, reason) {
      log.info({ peer, reason }, 'a peer said goodbye');
      if (reason === leavingReason) world.book.forget(peer);
      if (reason === twinsReason) world.alert('clone-self', twinText);
    },
  };

  function trustChanged(view: AuthorityView, fresh: readonly AuthorityEntry[]): void {
    membership?.changed({ rider: rooms.trust?.rider() ?? new Uint8Array(8) });
    for (const { statement } of fresh) {
      if (statement.kind === 'window' && rooms.trust?.isAdmin() === true) {
        door?.window(statement.openForMs);
      }
    }
    for (const [key, node] of view.revoked) throwOut(node, key);
  }

  function throwOut(node: NodeId, key: KeyText): void {
    if (!porter.throwOut(node, key)) return;
    if (node === self) return world.expelled('This device was revoked by an admin.');
    log.warn({ node }, 'a device was revoked');
    const known = membership?.member(node);
    peering.feed({ type: 'memberGone', node, reason: 'evicted' });
    world.book.forget(node);
    membership?.evict(node);
    rooms.messaging?.step((router, now) => router.memberGone(now, node, 'evicted'));
    const last = states.get(node);
    states.delete(node);
    if (last === undefined || known === undefined) return;
    world.memberChanged({ ...infoOf(known, false), state: 'left' }, last);
  }

  const trust: Trust = startTrust(
    {
      identity,
      isDev: world.isDev,
      clock,
      random: random.split(),
      log,
      metrics,
      save: (fresh) =>
        world.isKept ? store.write('mesh', encodeMeshRecord(fresh)) : Promise.resolve(),
      send(to, bytes) {
        const message = { kind: 'trust', bytes } as const;
        if (to !== 'everyone') peering.links.control(to, message);
        else {
          for (const { node } of peering.view().neighbours) peering.links.control(node, message);
        }
      },
      changed: trustChanged,
      rekeyed: () => membership?.rekeyed(),
      xPublicOf(node) {
        const link = peering.links.current(node);
        return link && readCertificate(link.session.certificate)?.xPublic;
      },
      certified(certificate) {
        membership?.changed({ meta: world.meta(certificate.roles) });
        // Peers judged the old certificate: shake hands anew.
        for (const link of peering.links.all()) {
          peering.links.hangUp(link.id, 'this node has a new certificate');
        }
        world.beaconChanged();
      },
      alert: (code, text) => world.alert(code, text),
    },
    record,
  );
  rooms.trust = trust;

  const door: Door | undefined = createDoor(
    {
      identity,
      trust,
      clock,
      log,
      saveUses: (uses) => writeUses(store, uses),
      peers: () => [...world.addresses().slice(0, 2), ...addressesOf(liveMembers())],
      approved: certifyIfApproved,
      pending: (newcomer) => world.pending(newcomer),
      windowChanged: () => world.beaconChanged(),
    },
    await readUses(store),
  );

  const traffic = createTraffic(world.channels, peering.links);
  const isOnProbation = (peer: NodeId): boolean =>
    porter.isOnProbation(peering.links.current(peer));
  const messaging: Messaging = createMessaging({
    self,
    boot: world.boot,
    clock,
    random: random.split(),
    log,
    metrics,
    broker: world.ground().broker,
    subscriptions: world.subscriptions,
    interest: world.interest,
    groups: world.groups,
    channels: world.channels,
    journal: world.journal,
    found,
    outbox: outboxOf(world.outbox),
    absent: { nodes: known.before, at: clock.now() },
    mesh: trust.meshId,
    alert: (code, text) => world.alert(code, text),
    missed: world.missed,
    givenUp: world.givenUp,
    ...createOutgoing({ log, metrics, traffic, isOnProbation, links: peering.links }),
    mayLeave: (topic) => !trust.certificate().roles.includes('probation') || isOpenTopic(topic),
    sendBroadcast: (peer, bytes) => void peering.links.control(peer, { kind: 'broadcast', bytes }),
    profile: world.profile,
    memberCount: () => states.size,
    rttMs: (peer) => peering.links.current(peer)?.rttMs,
    sendLetter: (peer, letter) => traffic.letter(peer, letter),
    sendInterest(peer, message) {
      // It is owed everything anyway, and what others want is not for it to know.
      if (isOnProbation(peer)) return;
      peering.links.control(peer, { kind: 'interest', bytes: encodeInterest(message) });
    },
    sendRetained(peer, all) {
      const entries = isOnProbation(peer) ? all.filter((one) => isOpenTopic(one.topic)) : all;
      traffic.retained(peer, entries);
    },
    queuedBytes: (peer) => traffic.retainedBytes(peer),
    parcel: (from, protocol, bytes) => world.parcel(from, protocol, bytes),
    announceNeighbours(ids) {
      for (const { node } of peering.view().neighbours) {
        peering.links.control(node, { kind: 'neighbours', ids });
      }
    },
  });
  rooms.messaging = messaging;

  function announced(member: SwimMember): void {
    const { node, state } = member;
    if (node === self || porter.isOut(node)) return;
    if (state === 'alive' || state === 'suspect') {
      const role = roleOf(member.meta.labels);
      peering.feed({ type: 'memberUp', node, addresses: member.addresses, role });
      followMove(node, member.addresses);
      messaging.step((router, now) => router.memberJoined(now, node, member.incarnation.boot));
    } else if (state === 'dormant') {
      peering.feed({ type: 'memberSlept', node });
      // It is owed what the outbox can keep, and holds nobody up meanwhile.
      messaging.step((router, now) => router.memberGone(now, node, 'dead'));
    } else {
      peering.feed({ type: 'memberGone', node, reason: state });
      messaging.step((router, now) => router.memberGone(now, node, state));
    }
    const before = states.get(node);
    states.set(node, state);
    known.changed();
    if (before !== state) world.memberChanged(infoOf(member, false), before);
  }

  async function openMembership(): Promise<void> {
    const started = await enrol(world, { trust, peering, porter, announced });
    if (isStopped) return started.stop();
    membership = started;
    for (const node of porter.out()) membership.evict(node);
    membership.changed({ rider: trust.rider() });
    for (const { node, session } of peering.view().neighbours) {
      const link = peering.links.byId(session);
      if (link === undefined) continue;
      membership.linkOpened(node, datagramAddress(link));
    }
  }

  const life: Life = {
    boot: world.boot,
    trust,
    door,
    messaging,
    peering,
    parcelBytes: traffic.parcelBytes,
    membership: () => membership,
    goPublic() {
      membershipStarting ??= openMembership().catch((error: unknown) => {
        // Whoever asks again tries again.
        membershipStarting = undefined;
        throw error;
      });
      return membershipStarting;
    },
    sighted({ node, meshTag, addresses }) {
      if (trust.isProvisional() || node === self) return;
      if (node !== undefined && meshTag !== undefined && meshTag !== meshTagOf(trust.meshId)) {
        return;
      }
      if (node !== undefined && porter.isOut(node)) return;
      peering.feed({ type: 'sighted', node, addresses });
    },
    introduced(addresses) {
      cancelIntroduction();
      cancelIntroduction = introduce(addresses, { clock, peering, membership });
    },
    members() {
      const view = membership?.view();
      if (view === undefined) return [];
      return [infoOf(view.self, true), ...view.members.map((one) => infoOf(one, false))];
    },
    addressesChanged() {
      membership?.changed({ addresses: world.addresses() });
      peering.feed({ type: 'selfMoved', addresses: world.addresses() });
    },
    admit(certificate, xPublic) {
      const verdict = trust.admit(certificate, xPublic);
      if ('refusal' in verdict) return verdict;
      return verdict.node === self ? { refusal: selfRefusal } : verdict;
    },
    refusedBy: (node, bytes) => trust.refusedBy(node, bytes),
    prologue: () => linkPrologue(trust.meshId),
    async revoke(node) {
      const key = membership?.member(node)?.edPublic ?? edPublicOf(node, peering.links);
      if (key === undefined || node === self) throw new MycelError('MYCEL_UNKNOWN_MEMBER');
      await revokeDevice(trust, porter.certificates, { node, key: keyTextOf(key) });
    },
    async leave(isForGood) {
      for (const node of isForGood ? neighbours() : []) {
        peering.links.control(node, { kind: 'bye', reason: leavingReason });
      }
      await membership?.leave();
    },
    async stop() {
      isStopped = true;
      cancelIntroduction();
      door?.stop();
      for (const link of peering.links.all()) {
        peering.links.controlOn(link.id, { kind: 'bye', reason: 'stopping' });
      }
      const written = messaging.stop();
      peering.stop();
      trust.stop();
      await Promise.all([written, known.stop()]);
      await membershipStarting?.catch(() => {});
      await membership?.stop();
    },
  };
  return life;
}
