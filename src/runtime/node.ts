/** A node from start to stop: identity, ground floor, discovery, and one life after another. */

import type { Address } from '../kernel/address.ts';
import { MycelError } from '../kernel/errors.ts';
import type { NodeId } from '../kernel/ids.ts';
import { createRandom } from '../kernel/random.ts';
import type { BeaconState, Sighting } from '../ports/discovery.ts';
import type { Store } from '../ports/store.ts';
import type { MemberMeta } from '../protocol/membership/messages.ts';
import { meshTagOf } from '../wire/authority-entry.ts';
import type { MeshRecord } from '../wire/mesh-record.ts';
import { decodeMeshRecord, encodeMeshRecord } from '../wire/mesh-record.ts';
import type { Ground, Interfaces, NodeAdapters, PeerBook } from './adapters.ts';
import { createEmitter } from './events.ts';
import { loadGuests } from './guests.ts';
import type { Guests } from './guests.ts';
import { loadIdentity } from './identity.ts';
import type { Identity } from './identity.ts';
import { createJoining } from './joining.ts';
import type { Joining } from './joining.ts';
import { startLife } from './life.ts';
import type { Life } from './life.ts';
import { createLookout } from './lookout.ts';
import type { Lookout } from './lookout.ts';
import { devRecord, provisionalRecord } from './mesh-founding.ts';
import type {
  MemberInfo,
  MeshEvents,
  MeshMessage,
  MeshNode,
  NodeOptions,
  SubscribeOptions,
} from './mesh-node.ts';
import { portDefault } from './options.ts';
import { statusOf } from './status.ts';
import { createSubscriptions } from './subscriptions.ts';
import { version } from './version.ts';

/** Port of the guest listener when nobody says otherwise. */
const guestPortDefault = 1884;

const loopbackHost = '127.0.0.1';

/** What a started node holds. */
interface Running {
  readonly store: Store;
  readonly identity: Identity;
  readonly interfaces: Interfaces;
  readonly lookout: Lookout;
  readonly book: PeerBook;
  ground: Ground;
  guests: Guests;
  joining: Joining;
  life: Life;
  guestPort: number | undefined;
  probationCode: string | undefined;
  expelled: string | undefined;
  readonly stops: (() => void)[];
  readonly startedAt: number;
  loopLagMs(): number;
}

/** Builds a node; nothing happens before `start`, except that the identity is not known before either. */
export async function createMeshNode(
  options: NodeOptions,
  adapters: NodeAdapters,
): Promise<MeshNode> {
  const { clock, log, metrics } = adapters;
  const name = options.name ?? adapters.hostName();
  const isDev = options.dev === true;
  const random = createRandom(adapters.seed());
  const emitter = createEmitter<MeshEvents>(log);
  const dataDir = options.dataDir ?? adapters.dataDirDefault();

  const store = await adapters.openStore(dataDir);
  let identity: Identity;
  try {
    identity = await loadIdentity(store, adapters.seed(), log);
  } catch (error) {
    await store.close();
    throw error;
  }
  let running: Running | undefined;
  let starting: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;

  const subscriptions = createSubscriptions({
    log,
    metrics,
    retained: (filter) => running?.life.messaging.retained(filter) ?? [],
  });

  function here(): Running {
    if (running === undefined) throw new MycelError('MYCEL_NOT_RUNNING');
    return running;
  }

  function isLoopbackOnly(): boolean {
    if (isDev && options.interfaces === undefined) return true;
    return options.interfaces?.every((one) => one === 'lo') === true;
  }

  /** Addresses that this node offers to peers; loopback only when there is nothing else to offer. */
  function hosts(): readonly string[] {
    if (isLoopbackOnly()) return [loopbackHost];
    const found = (running?.interfaces.current() ?? []).flatMap((one) => one.hosts);
    return found.length > 0 ? found : [loopbackHost];
  }

  function addresses(): readonly Address[] {
    const port = running?.ground.port ?? 0;
    return hosts()
      .filter((host) => !host.includes(':'))
      .slice(0, 8)
      .map((host) => ({ host, port }));
  }

  function meta(roles: readonly string[]): MemberMeta {
    return { name, version, roles, labels: options.labels ?? {}, capabilities: [] };
  }

  function announce(): void {
    if (running === undefined) return;
    const { life, lookout, ground, joining } = running;
    const { trust, door } = life;
    const isOpen = door.windowMs() > 0;
    const state: BeaconState = trust.isProvisional() ? 'unclaimed' : isOpen ? 'open' : 'member';
    const meshTag = meshTagOf(trust.meshId);
    lookout.announce({ node: identity.node, meshTag, state, port: ground.port });
    if (!trust.isProvisional()) joining.cancel();
  }

  async function beginLife(at: Omit<Running, 'life'>, record: MeshRecord): Promise<Life> {
    const boot = await adapters.nextBoot(at.store);
    return startLife(
      {
        adapters,
        log,
        metrics,
        random: random.split(),
        store: at.store,
        identity,
        boot,
        profile: options.profile ?? (isDev ? 'loopback' : 'wired'),
        isDev,
        book: at.book,
        subscriptions,
        ground: () => at.ground,
        datagramHost: isLoopbackOnly() ? loopbackHost : '0.0.0.0',
        addresses,
        meta,
        memberChanged(info, before) {
          emitter.emit('member', info);
          const isUp = info.state === 'alive';
          const wasUp = before !== undefined && before !== 'dead' && before !== 'left';
          if (isUp && !wasUp) emitter.emit('member-up', info);
          if (wasUp && (info.state === 'dead' || info.state === 'left')) {
            emitter.emit('member-down', info);
          }
          if (isUp && !wasUp) at.lookout.burst();
        },
        linkChanged: (peer, isOpen, reason) => emitter.emit('link', { peer, isOpen, reason }),
        pending: (newcomer) => emitter.emit('pending', newcomer),
        alert(code, text) {
          log.error({ code }, text);
          emitter.emit('alert', { code, text });
        },
        beaconChanged: announce,
        expelled,
      },
      record,
    );
  }

  /** Out of the mesh: the node goes on serving its local clients, alone, and says so. */
  function expelled(reason: string): void {
    if (running === undefined || running.expelled !== undefined) return;
    running.expelled = reason;
    log.error({ reason }, 'this node was expelled; it serves its local clients only');
    emitter.emit('expelled', { reason });
    goPrivate().catch((error: unknown) => log.error({ error }, 'the node could not go private'));
  }

  async function goPrivate(): Promise<void> {
    const at = here();
    await at.life.stop();
    at.life = await beginLife(at, provisionalRecord(identity.keys, options.mesh));
    await at.ground.openTo([]);
    announce();
  }

  async function goPublic(): Promise<void> {
    const at = here();
    if (at.life.trust.isProvisional()) return;
    await at.ground.openTo(hosts().filter((host) => host !== loopbackHost));
    await at.life.goPublic();
    await openGuestDoor(at.guests.list().length);
    for (const sighting of at.lookout.recent()) at.life.sighted(sighting);
    announce();
  }

  /** Leaves the life of a provisional mesh for the mesh that granted this record. */
  async function adopt(record: MeshRecord, probationCode: string | undefined): Promise<void> {
    const at = here();
    await at.store.write('mesh', encodeMeshRecord(record));
    await at.life.stop();
    at.life = await beginLife(at, record);
    at.probationCode = probationCode;
    await goPublic();
    emitter.emit('joined', { mesh: at.life.trust.meshId, name: record.name });
  }

  async function openGuestDoor(count: number): Promise<void> {
    if (running === undefined) return;
    const isWanted = count > 0 && !running.life.trust.isProvisional();
    const port = options.guestPort ?? guestPortDefault;
    try {
      running.guestPort = await running.ground.openGuests(
        isWanted ? { port, hosts: ['0.0.0.0'] } : undefined,
      );
    } catch (error) {
      if (options.guestPort !== undefined || !MycelError.is(error)) throw error;
      running.guestPort = await running.ground.openGuests({ port: 0, hosts: ['0.0.0.0'] });
    }
  }

  function seen(sighting: Sighting): void {
    running?.life.sighted(sighting);
    running?.joining.seen(sighting);
  }

  async function loadRecord(): Promise<MeshRecord> {
    if (isDev) return devRecord(identity.keys);
    const bytes = await store.read('mesh');
    const record = bytes === undefined ? undefined : decodeMeshRecord(bytes);
    if (record !== undefined) return record;
    if (bytes !== undefined) {
      log.error(
        {},
        'the mesh record cannot be read; this node starts as a provisional mesh of one',
      );
    }
    const fresh = provisionalRecord(identity.keys, options.mesh);
    await store.write('mesh', encodeMeshRecord(fresh));
    return fresh;
  }

  async function start(): Promise<void> {
    const record = await loadRecord();
    const stops: (() => void)[] = [];
    const interfaces = adapters.watchInterfaces(
      isLoopbackOnly() ? ['lo'] : options.interfaces,
      interfacesChanged,
    );
    stops.push(() => interfaces.stop());
    const { rungs, book } = adapters.lookOut({
      interfaces,
      mdns: options.mdns !== false,
      multicast: options.multicast !== false,
      seeds: options.seeds ?? [],
      store,
      log,
    });
    const loop = adapters.watchLoop((lagMs) => running?.life.membership()?.lagged(lagMs));
    stops.push(() => loop.stop());
    const suspend = adapters.watchSuspend((gapMs) => woke(gapMs));
    stops.push(() => suspend.stop());
    const at = {
      store,
      identity,
      interfaces,
      lookout: createLookout(rungs, log),
      book,
      guestPort: undefined,
      probationCode: undefined,
      expelled: undefined,
      stops,
      startedAt: clock.now(),
      loopLagMs: () => loop.lagMs(),
    } as unknown as Running;
    try {
      at.ground = await openGround();
      at.joining = createJoining({
        identity,
        name,
        clock,
        log,
        ground: at.ground,
        isProvisional: () => at.life.trust.isProvisional() && at.expelled === undefined,
        adopt,
      });
      at.life = await beginLife(at, record);
      running = at;
      at.guests = await loadGuests({
        store,
        ground: at.ground,
        hashPassword: adapters.hashPassword,
        changed: openGuestDoor,
      });
      await at.lookout.start(seen);
      await goPublic();
      announce();
    } catch (error) {
      running = at;
      await stop();
      throw error;
    }
    if (options.join !== undefined && at.life.trust.isProvisional()) {
      at.joining.invited(options.join, at.lookout.recent());
    }
  }

  function openGround(): Promise<Ground> {
    return adapters.openGround({
      port: options.port ?? portDefault,
      mayMove: options.port === undefined,
      brokerId: identity.node,
      credentials: {
        node: identity.node,
        keys: identity.keys,
        prologue: () => here().life.prologue(),
        certificate: () => running?.life.trust.certificate().bytes,
        admit: (certificate, xPublic) =>
          running?.life.admit(certificate, xPublic) ?? { refusal: 'the node is starting' },
      },
      handlers: {
        published(message, _client, taken) {
          if (running === undefined) taken('the node is starting');
          else running.life.messaging.fromClient(message, taken);
        },
        interest() {},
        opened: (session) => void running?.life.peering.links.opened(session),
        frame: (session, lane, bytes) => running?.life.peering.links.frame(session, lane, bytes),
        drained: (session) => running?.life.peering.links.drained(session),
        closed: (session, reason) => running?.life.peering.links.closed(session, reason),
        knocked: (kind, remote) => running?.life.door.knocked(kind, remote),
      },
      log,
      metrics,
    });
  }

  function interfacesChanged(): void {
    const at = running;
    if (at === undefined) return;
    log.info({ hosts: hosts() }, 'the network interfaces changed');
    goPublic()
      .then(() => at.life.addressesChanged())
      .catch((error: unknown) => log.warn({ error }, 'the node could not follow its interfaces'));
    at.lookout.burst();
  }

  function woke(gapMs: number): void {
    log.info({ gapMs }, 'this machine slept or this process was stopped');
    running?.life.membership()?.woke(gapMs);
    running?.interfaces.refresh();
    running?.lookout.burst();
  }

  async function stop(): Promise<void> {
    const at = running;
    running = undefined;
    subscriptions.end();
    if (at !== undefined) {
      at.joining?.cancel();
      for (const each of at.stops) each();
      await at.life?.stop();
      await at.lookout.stop();
      await at.ground?.stop();
    }
    await store.close();
    emitter.clear();
  }

  function admin(): Running {
    const at = here();
    if (!at.life.trust.isAdmin()) throw new MycelError('MYCEL_NOT_ADMIN');
    return at;
  }

  async function found(meshName: string | undefined): Promise<void> {
    const at = here();
    const { trust } = at.life;
    if (!trust.isProvisional()) {
      if (meshName === undefined || meshName === trust.record().name) return;
      throw new MycelError('MYCEL_ALREADY_MEMBER');
    }
    if (at.expelled !== undefined) throw new MycelError('MYCEL_REVOKED');
    at.joining.cancel();
    if (meshName !== undefined && meshName !== trust.record().name) {
      // Nobody knows the provisional mesh yet: a new genesis carries the new name.
      await at.life.stop();
      at.life = await beginLife(at, provisionalRecord(identity.keys, meshName));
    }
    await at.life.trust.found();
    await goPublic();
  }

  function stopOnce(): Promise<void> {
    stopping ??= (starting ?? Promise.resolve()).catch(() => {}).then(stop);
    return stopping;
  }

  return {
    id: identity.node,
    name,
    start: () => (starting ??= start()),
    stop: stopOnce,
    [Symbol.asyncDispose]: stopOnce,
    status: () => statusOf({ ...here(), name, isDev, adapters, version }),
    members: () => {
      const members = here().life.members();
      return members.length > 0 ? members : [aloneInfo()];
    },
    discover: () => here().lookout.report(),
    on: (event, listener) => emitter.on(event, listener),
    publish(topic, payload, publishOptions = {}) {
      const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
      return Promise.resolve().then(() =>
        here().life.messaging.publish(topic, bytes, publishOptions),
      );
    },
    subscribe: ((
      filter: string,
      second: ((message: MeshMessage) => void) | SubscribeOptions = {},
      third: SubscribeOptions = {},
    ) =>
      typeof second === 'function'
        ? subscriptions.listen(filter, second, third)
        : subscriptions.iterate(filter, second)) as MeshNode['subscribe'],
    found,
    async invite(inviteOptions = {}) {
      await found(undefined);
      const at = admin();
      return at.life.door.invite(inviteOptions, addresses());
    },
    async openJoinWindow(ms) {
      await found(undefined);
      const at = admin();
      await at.life.trust.author({ kind: 'window', openForMs: Math.max(0, Math.floor(ms)) });
    },
    pending: () => here().life.door.pending(),
    approve: (id) => admin().life.door.approve(id),
    async join(invite) {
      const at = here();
      if (!at.life.trust.isProvisional()) throw new MycelError('MYCEL_ALREADY_MEMBER');
      await at.joining.join(invite, at.lookout.recent());
    },
    async revoke(id) {
      const { life } = admin();
      await life.revoke(id);
    },
    async leave() {
      const at = here();
      if (at.life.trust.isProvisional()) return;
      await at.life.leave();
      await at.life.stop();
      const record = provisionalRecord(identity.keys, options.mesh);
      await at.store.write('mesh', encodeMeshRecord(record));
      at.life = await beginLife(at, record);
      await at.ground.openTo([]);
      announce();
    },
    async addGuest(guest, password, rules = {}) {
      const at = here();
      const secret = await at.guests.add(guest, password, rules);
      return { password: secret, port: at.guestPort ?? options.guestPort ?? guestPortDefault };
    },
    guests: () => here().guests.list(),
    removeGuest: (guest) => here().guests.remove(guest),
  };

  function aloneInfo(): MemberInfo {
    const { trust, boot } = here().life;
    return {
      id: identity.node as NodeId,
      name,
      state: 'alive',
      address: undefined,
      incarnation: `${boot}.0`,
      rttMs: 0,
      labels: options.labels ?? {},
      roles: trust.certificate().roles,
      version,
      isStalled: false,
      isSelf: true,
    };
  }
}
