/** A started node: its ground floor, its lookout, and one life after another as it founds, joins and leaves meshes. */

import type { Address } from '../kernel/address.ts';
import { MycelError } from '../kernel/errors.ts';
import { createRandom } from '../kernel/random.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { BeaconState } from '../ports/discovery.ts';
import type { EventLog } from '../ports/event-log.ts';
import type { Store } from '../ports/store.ts';
import type { MemberMeta } from '../protocol/membership/messages.ts';
import { meshTagOf } from '../wire/authority-entry.ts';
import type { MeshRecord } from '../wire/mesh-record.ts';
import { encodeMeshRecord } from '../wire/mesh-record.ts';
import type { Ground, Interfaces, NodeAdapters, ServiceBook } from './adapters.ts';
import { createAlerts } from './alerts.ts';
import type { Emitter } from './events.ts';
import { createEvictions } from './evictions.ts';
import type { Evictions } from './evictions.ts';
import { openGroundFloor } from './ground-floor.ts';
import { loadGuests, openGuestListener } from './guests.ts';
import type { Guests } from './guests.ts';
import type { Identity } from './identity.ts';
import { createJoining } from './joining.ts';
import type { Joining } from './joining.ts';
import { startLife } from './life.ts';
import type { Life } from './life-world.ts';
import { createLookout } from './lookout.ts';
import type { Lookout } from './lookout.ts';
import { devRecord, loadRecord, provisionalRecord } from './mesh-founding.ts';
import { createLosses } from './losses.ts';
import { tellMember } from './member-info.ts';
import type { MemberInfo, MemberState, MeshEvents, NodeOptions } from './mesh-node.ts';
import { channelTableOf } from './channels/channel-options.ts';
import { hostsOf, isLoopbackOnly, loopbackHost } from './reach.ts';
import type { Groups } from './routing/groups.ts';
import type { LocalInterest } from './routing/local-interest.ts';
import { missingInterfaceText } from './status.ts';
import type { Subscriptions } from './subscriptions.ts';
import { version } from './version.ts';
import { createWhereabouts } from './whereabouts.ts';

/** What a household is made of. */
export interface HouseholdWorld {
  readonly name: string;
  readonly options: NodeOptions;
  readonly adapters: NodeAdapters;
  readonly store: Store;
  readonly identity: Identity;
  readonly emitter: Emitter<MeshEvents>;
  readonly subscriptions: Subscriptions;
  readonly interest: LocalInterest;
  readonly groups: Groups;
  readonly journal: EventLog | undefined;
  /** A parcel for the floors above. */
  parcel(from: NodeId, protocol: string, bytes: Uint8Array): void;
  /** This node belongs to another mesh now. */
  moved(): void;
}

/** A started node. */
export interface Household {
  readonly lookout: Lookout;
  /** Undefined when mDNS is off. */
  readonly services: ServiceBook | undefined;
  readonly startedAt: number;
  ground(): Ground;
  guests(): Guests;
  joining(): Joining;
  life(): Life;
  guestPort(): number | undefined;
  /** The six digits of a newcomer on probation. */
  probationCode(): string | undefined;
  /** Why this node was thrown out of its mesh. */
  expelled(): string | undefined;
  /** Tells what needs a person's eye. */
  alert(code: string, text: string): void;
  /** Alerts of the last minutes. */
  alerts(): readonly string[];
  /** Interfaces that were asked for by name and cannot be used now. */
  missingInterfaces(): readonly string[];
  loopLagMs(): number;
  /** Who was let go by a bound. */
  readonly evictions: Evictions;
  addresses(): readonly Address[];
  /** Makes a provisional mesh real. @throws {MycelError} MYCEL_ALREADY_MEMBER when it is real under another name */
  found(meshName: string | undefined): Promise<void>;
  /** Says goodbye to the mesh and is a provisional mesh of one again. */
  leave(): Promise<void>;
  /** Frees every handle but the store. */
  close(): Promise<void>;
}

/** Opens everything. What was opened is closed again when it fails. */
export async function openHousehold(world: HouseholdWorld): Promise<Household> {
  const { options, adapters, store, identity, emitter, name } = world;
  const { clock, log, metrics } = adapters;
  const isDev = options.dev === true;
  const channels = channelTableOf(options.channels);
  const random = createRandom(adapters.seed());
  const startedAt = clock.now();
  const evictions = createEvictions(clock, log);
  const rooms: { ground?: Ground; guests?: Guests; joining?: Joining; life?: Life } = {};
  let guestPort: number | undefined;
  let probationCode: string | undefined;
  let expulsion: string | undefined;
  let isOpen = false;

  const interfaces: Interfaces = adapters.watchInterfaces(
    isLoopbackOnly(options) ? ['lo'] : options.interfaces,
    interfacesChanged,
  );
  const { rungs, book, services } = adapters.lookOut({
    interfaces,
    mdns: options.mdns !== false,
    multicast: options.multicast !== false,
    seeds: options.seeds ?? [],
    store,
    log,
  });
  const lookout = createLookout(rungs, log);
  const loop = adapters.watchLoop((lagMs) => rooms.life?.membership()?.lagged(lagMs));
  const suspend = adapters.watchSuspend(woke);

  function ground(): Ground {
    if (rooms.ground === undefined) throw new MycelError('MYCEL_NOT_RUNNING');
    return rooms.ground;
  }

  function life(): Life {
    if (rooms.life === undefined) throw new MycelError('MYCEL_NOT_RUNNING');
    return rooms.life;
  }

  const hosts = (): readonly string[] => hostsOf(options, interfaces);
  const { backbone } = adapters;
  const { addresses, enter, leave } = createWhereabouts({ identity, backbone, hosts, rooms });

  function meta(roles: readonly string[]): MemberMeta {
    const { labels = {}, capabilities = [] } = options;
    return { name, version, roles, labels, capabilities };
  }

  function announce(): void {
    const { trust, door } = life();
    const isWindowOpen = door.windowMs() > 0;
    const isProvisional = trust.isProvisional();
    const state: BeaconState = isProvisional ? 'unclaimed' : isWindowOpen ? 'open' : 'member';
    const meshTag = meshTagOf(trust.meshId);
    lookout.announce({ node: identity.node, meshTag, state, port: ground().port });
  }

  const alerts = createAlerts({
    clock,
    log,
    tell: (code, text) => emitter.emit('alert', { code, text }),
  });

  function memberChanged(info: MemberInfo, before: MemberState | undefined): void {
    if (tellMember(emitter, info, before) === 'up') lookout.burst();
  }

  async function beginLife(record: MeshRecord, isKept = true): Promise<void> {
    // A number of its own for every life: sequence numbers and nonces start again with each.
    const boot = await adapters.nextBoot(store);
    rooms.life = await startLife(
      {
        adapters,
        log,
        metrics,
        random: random.split(),
        store,
        isKept,
        identity,
        boot,
        profile: options.profile ?? (isDev ? 'loopback' : 'wired'),
        overlay: options.overlay ?? 'full-mesh',
        channels,
        outbox: options.outbox ?? {},
        isDev,
        book,
        subscriptions: world.subscriptions,
        interest: world.interest,
        groups: world.groups,
        journal: isKept ? world.journal : undefined,
        isFirst: rooms.life === undefined,
        ground,
        datagramHost: isLoopbackOnly(options) ? loopbackHost : '0.0.0.0',
        addresses,
        meta,
        memberChanged,
        linkChanged: (peer, isUp, reason) => emitter.emit('link', { peer, isOpen: isUp, reason }),
        pending: (newcomer) => emitter.emit('pending', newcomer),
        parcel: world.parcel,
        alert: alerts.raise,
        ...createLosses(emitter, alerts.raise),
        beaconChanged: () => (isOpen ? announce() : undefined),
        expelled,
      },
      record,
    );
    // Not sooner: whoever is told asks at once which mesh this is.
    world.moved();
  }

  /** Out of the mesh: the node goes on serving its local clients, alone, and says so. */
  function expelled(reason: string): void {
    if (expulsion !== undefined) return;
    expulsion = reason;
    log.error({ reason }, 'this node was expelled; it serves its local clients only');
    emitter.emit('expelled', { reason });
    // While the first life begins, `open` sees to it.
    if (rooms.life === undefined) return;
    goPrivate().catch((error: unknown) => log.error({ error }, 'the node could not go private'));
  }

  /** The record on disk stays: after a restart the authority log in it says again that this device is out. */
  async function goPrivate(): Promise<void> {
    await life().stop();
    await beginLife(provisionalRecord(identity.keys, options.mesh), false);
    leave();
    await ground().openTo([]);
    await openGuestDoor(0);
    announce();
  }

  async function goPublic(): Promise<void> {
    const current = life();
    if (current.trust.isProvisional()) return;
    rooms.joining?.cancel();
    await ground().openTo(hosts().filter((host) => host !== loopbackHost));
    await current.goPublic();
    enter(current.trust.meshId, false);
    await openGuestDoor(rooms.guests?.list().length ?? 0);
    for (const sighting of lookout.recent()) current.sighted(sighting);
    announce();
  }

  /** Leaves the life of a provisional mesh for the mesh that granted this record. */
  async function adopt(
    record: MeshRecord,
    code: string | undefined,
    peers: readonly Address[],
  ): Promise<void> {
    await store.write('mesh', encodeMeshRecord(record));
    await life().stop();
    await beginLife(record);
    probationCode = code;
    await goPublic();
    // Discovery may be off, or not reach that far: whoever let this node in said where members are.
    life().introduced(peers);
    emitter.emit('joined', { mesh: life().trust.meshId, name: record.name });
  }

  async function openGuestDoor(count: number): Promise<void> {
    const isWanted = count > 0 && rooms.life?.trust.isProvisional() === false;
    guestPort = await openGuestListener(ground(), {
      host: isWanted ? (isLoopbackOnly(options) ? loopbackHost : '0.0.0.0') : undefined,
      portStated: options.guestPort,
      portBefore: guestPort,
    });
  }

  function interfacesChanged(): void {
    if (!isOpen) return;
    log.info({ hosts: hosts() }, 'the network interfaces changed');
    // Whom this node could not hear while its own cable was out is not accused of it.
    rooms.life?.membership()?.woke(0);
    rooms.joining?.hurry();
    goPublic()
      .then(() => life().addressesChanged())
      .catch((error: unknown) => log.warn({ error }, 'the node could not follow its interfaces'));
    lookout.burst();
  }

  function woke(gapMs: number): void {
    log.info({ gapMs }, 'this machine slept or this process was stopped');
    rooms.life?.membership()?.woke(gapMs);
    interfaces.refresh();
    lookout.burst();
  }

  async function close(): Promise<void> {
    isOpen = false;
    rooms.joining?.cancel();
    loop.stop();
    suspend.stop();
    await rooms.life?.leave(false);
    await rooms.life?.stop();
    await backbone?.stop();
    await lookout.stop();
    interfaces.stop();
    await rooms.ground?.stop();
  }

  async function open(): Promise<void> {
    const record = isDev
      ? devRecord(identity.keys)
      : await loadRecord(store, identity.keys, options.mesh, log);
    rooms.ground = await openGroundFloor({ ...world, evictions, life: () => rooms.life });
    const joining = createJoining({
      identity,
      name,
      clock,
      log,
      ground: rooms.ground,
      isProvisional: () => life().trust.isProvisional() && expulsion === undefined,
      invitedTo: (mesh) => enter(mesh, true),
      refused: ({ code, message, fix }) =>
        alerts.raise(code, `Joining did not work: ${message} ${fix}`),
      adopt,
    });
    rooms.joining = joining;
    await beginLife(record);
    if (expulsion !== undefined) await goPrivate();
    rooms.guests = await loadGuests({
      store,
      ground: rooms.ground,
      hashPassword: adapters.hashPassword,
      changed: openGuestDoor,
    });
    isOpen = true;
    // What could not be reached without it can be tried at once.
    backbone?.onUp(() =>
      life().trust.isProvisional() ? joining.hurry() : life().addressesChanged(),
    );
    await lookout.start((sighting) => {
      rooms.life?.sighted(sighting);
      joining.seen(sighting);
    });
    for (const one of interfaces.missing()) alerts.raise('interface', missingInterfaceText(one));
    await goPublic();
    announce();
    if (options.join !== undefined && life().trust.isProvisional()) {
      joining.invited(options.join, lookout.recent());
    }
  }

  try {
    await open();
  } catch (error) {
    await close();
    throw error;
  }

  return {
    lookout,
    services,
    startedAt,
    evictions,
    ground,
    life,
    addresses,
    close,
    guests: () => rooms.guests as Guests,
    joining: () => rooms.joining as Joining,
    guestPort: () => guestPort,
    probationCode: () => probationCode,
    expelled: () => expulsion,
    alert: alerts.raise,
    alerts: () => alerts.recent(),
    missingInterfaces: () => interfaces.missing(),
    loopLagMs: () => loop.lagMs(),
    async found(meshName) {
      const { trust } = life();
      if (!trust.isProvisional()) {
        if (meshName === undefined || meshName === trust.record().name) return;
        throw new MycelError('MYCEL_ALREADY_MEMBER');
      }
      if (expulsion !== undefined) throw new MycelError('MYCEL_REVOKED');
      rooms.joining?.cancel();
      if (meshName !== undefined && meshName !== trust.record().name) {
        // Nobody knows the provisional mesh yet: a new genesis carries the new name.
        await life().stop();
        await beginLife(provisionalRecord(identity.keys, meshName));
      }
      await life().trust.found();
      await goPublic();
    },
    async leave() {
      if (life().trust.isProvisional()) return;
      await life().leave(true);
      await life().stop();
      const record = provisionalRecord(identity.keys, options.mesh);
      await store.write('mesh', encodeMeshRecord(record));
      await beginLife(record);
      leave();
      await ground().openTo([]);
      await openGuestDoor(0);
      announce();
    },
  };
}
