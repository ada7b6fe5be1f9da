/** The public face of a node: what programs and the command line may ask of it, before, while and after it runs. */

import { MycelError } from '../kernel/errors.ts';
import { createRandom } from '../kernel/random.ts';
import { fromHex } from '../wire/bytes.ts';
import { nodeIdOf } from '../wire/keys.ts';
import type { NodeAdapters } from './adapters.ts';
import { capabilitiesOf, joinCapabilities } from './device/capabilities.ts';
import { createCalls } from './calls/calls.ts';
import { homeAssistantLabel } from './device/home-assistant-messages.ts';
import { createEmitter } from './events.ts';
import { guestPortDefault } from './guests.ts';
import { openHousehold } from './household.ts';
import type { EventLog } from '../ports/event-log.ts';
import type { Household } from './household.ts';
import { loadIdentity } from './identity.ts';
import type { Identity } from './identity.ts';
import type {
  MemberInfo,
  MeshEvents,
  MeshMessage,
  MeshNode,
  NodeOptions,
  SubscribeOptions,
} from './mesh-node.ts';
import { createParcels } from './parcels.ts';
import type { NodePart, PartWorld } from './parts.ts';
import { createRouteBook } from './explain/route-book.ts';
import { createGroups } from './routing/groups.ts';
import { listenersOf } from './routing/listeners.ts';
import { createLocalInterest } from './routing/local-interest.ts';
import { statusOf } from './status.ts';
import { createSubscriptions } from './subscriptions.ts';
import { channelsOf } from './channels/channel-options.ts';
import { checkOptions } from './options.ts';
import { autoTopology, reportTopology, setTopology } from './topology.ts';
import { version } from './version.ts';

/** Longest announced sleep, in ms: a week. */
const sleepMsMax = 604_800_000;

/** Floors for a node: the parts that start and stop with it, and what they add to its public face. */
export interface Furniture<Handles extends object> {
  readonly parts: readonly NodePart[];
  readonly handles: Handles;
}

/** Builds a node. Its data directory is taken, because the identity lives there; nothing is opened before `start`. */
export async function createMeshNode<Handles extends object = object>(
  given: NodeOptions,
  adapters: NodeAdapters,
  furnish?: (world: PartWorld) => Furniture<Handles>,
): Promise<MeshNode & Handles> {
  const { log, metrics } = adapters;
  const name = given.name ?? adapters.hostName();
  const emitter = createEmitter<MeshEvents>(log);
  const dataDir = given.dataDir ?? adapters.dataDirDefault();
  const found = capabilitiesOf(adapters.hardware(dataDir).read());
  const capabilities = joinCapabilities(given.capabilities ?? [], found);
  const options: NodeOptions = { ...given, capabilities, labels: labelsOf(given) };
  const store = await adapters.openStore(dataDir);
  let identity: Identity;
  try {
    identity = await loadIdentity(store, adapters.seed(), log);
  } catch (error) {
    await store.close();
    throw error;
  }
  let household: Household | undefined;
  let eventLog: EventLog | undefined;
  let parts: readonly NodePart[] = [];
  let endCalls = (): void => {};
  let starting: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;

  const parcels = createParcels({
    self: identity.node,
    log,
    metrics,
    emitter,
    life: () => household?.life(),
  });
  const interest = createLocalInterest(adapters.clock);
  const groups = createGroups({ self: identity.node, clock: adapters.clock, interest });
  const subscriptions = createSubscriptions({
    groups,
    log,
    metrics,
    retained: (filter) => household?.life().messaging.retained(filter) ?? [],
    wanted: (filter, isWanted) => interest.say('programs', filter, isWanted),
  });

  function here(): Household {
    if (household === undefined) throw new MycelError('MYCEL_NOT_RUNNING');
    return household;
  }

  async function openEventLog(): Promise<EventLog | undefined> {
    try {
      return await adapters.openEventLog(dataDir);
    } catch (error) {
      log.error({ error }, 'the event log cannot be opened: events do not survive a power cut');
      return undefined;
    }
  }

  async function start(): Promise<void> {
    eventLog = await openEventLog();
    const world = {
      journal: eventLog,
      name,
      options,
      adapters,
      store,
      identity,
      emitter,
      subscriptions,
      interest,
      groups,
      parcel: parcels.received,
      moved: parcels.moved,
    };
    try {
      household = await openHousehold(world);
    } catch (error) {
      await eventLog?.close();
      await store.close();
      throw error;
    }
    for (const part of parts) await part.start();
  }

  async function stop(): Promise<void> {
    for (const part of parts.toReversed()) {
      await part.stop().catch((error: unknown) => log.error({ error }, 'a part did not stop'));
    }
    endCalls();
    const open = household;
    household = undefined;
    subscriptions.end();
    interest.stop();
    await open?.close();
    await eventLog?.close();
    await store.close();
    emitter.clear();
  }

  function startOnce(): Promise<void> {
    if (stopping !== undefined) {
      return Promise.reject(
        new MycelError('MYCEL_NOT_RUNNING', {
          reason: 'It was stopped.',
          fix: 'Create a new node: a stopped one has given its data directory back.',
        }),
      );
    }
    starting ??= start();
    return starting;
  }

  function stopOnce(): Promise<void> {
    stopping ??= (starting ?? Promise.resolve()).catch(() => {}).then(stop);
    return stopping;
  }

  function admin(): Household {
    const at = here();
    if (!at.life().trust.isAdmin()) throw new MycelError('MYCEL_NOT_ADMIN');
    return at;
  }

  function aloneInfo(): MemberInfo {
    const { trust, boot } = here().life();
    return {
      id: identity.node,
      name,
      state: 'alive',
      address: undefined,
      incarnation: `${boot}.0`,
      rttMs: 0,
      labels: options.labels ?? {},
      roles: trust.certificate().roles,
      capabilities,
      version,
      isStalled: false,
      isSelf: true,
    };
  }

  const node: MeshNode = {
    id: identity.node,
    name,
    start: startOnce,
    stop: stopOnce,
    [Symbol.asyncDispose]: stopOnce,
    status: () =>
      statusOf({
        name,
        version,
        isDev: options.dev === true,
        adapters,
        store,
        node: identity.node,
        household: here(),
      }),
    members() {
      const members = here().life().members();
      return members.length > 0 ? members : [aloneInfo()];
    },
    discover() {
      const { lookout, services } = here();
      return { ...lookout.report(), published: services?.published() ?? [] };
    },
    advertise(service) {
      const { services } = here();
      if (services === undefined) {
        throw new MycelError('MYCEL_BAD_OPTION', {
          reason: 'mDNS is switched off on this node.',
          fix: 'Start it without "--no-mdns".',
        });
      }
      services.add(service);
      return () => services.remove(service);
    },
    async sleep(ms) {
      if (!(ms > 0 && ms <= sleepMsMax)) {
        throw new MycelError('MYCEL_BAD_OPTION', {
          reason: `A sleep lasts more than 0 and at most ${sleepMsMax} ms.`,
        });
      }
      await here().life().membership()?.sleep(ms);
    },
    on: (event, listener) => emitter.on(event, listener),
    publish(topic, payload, publishOptions = {}) {
      // Not an async function: a signal is answered with a promise that is there already.
      try {
        publishOptions.signal?.throwIfAborted();
        const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
        return here().life().messaging.publish(topic, bytes, publishOptions);
      } catch (error) {
        return Promise.reject(error as Error);
      }
    },
    subscribe: ((
      filter: string,
      second: ((message: MeshMessage) => void) | SubscribeOptions = {},
      third: SubscribeOptions = {},
    ) =>
      typeof second === 'function'
        ? subscriptions.listen(filter, second, third)
        : subscriptions.iterate(filter, second)) as MeshNode['subscribe'],
    listeners(topic) {
      const { life } = here();
      const { router, channels } = life().messaging;
      return listenersOf(
        {
          channels,
          members: () => node.members(),
          here: (one) => interest.matching(one),
          wish: (member) => router.wish(member),
        },
        topic,
      );
    },
    found: (meshName) => here().found(meshName),
    async invite(inviteOptions = {}) {
      await here().found(undefined);
      const at = admin();
      return at.life().door.invite(inviteOptions, at.addresses());
    },
    async openJoinWindow(ms) {
      await here().found(undefined);
      const openForMs = Math.max(0, Math.floor(ms));
      await admin().life().trust.author({ kind: 'window', openForMs });
    },
    pending: () => here().life().door.pending(),
    async approve(id) {
      await admin().life().door.approve(id);
    },
    async join(invite) {
      const at = here();
      if (at.expelled() !== undefined) throw new MycelError('MYCEL_REVOKED');
      if (!at.life().trust.isProvisional()) throw new MycelError('MYCEL_ALREADY_MEMBER');
      await at.joining().join(invite, at.lookout.recent());
    },
    async setChannels(channels) {
      // All of it is looked at before anything changes.
      const own = channelsOf(checkOptions({ channels }).channels);
      here().life().messaging.channels.replace(own);
      return node.status().channels;
    },
    topology: () => reportTopology(here().life().peering, adapters.clock),
    async setTopology(kind, topologyOptions = {}) {
      const { peering } = here().life();
      setTopology(peering, kind, topologyOptions);
      return reportTopology(peering, adapters.clock);
    },
    async autoTopology(hint = 'balanced') {
      const { peering } = here().life();
      autoTopology(peering, hint);
      return reportTopology(peering, adapters.clock);
    },
    async revoke(id) {
      await admin().life().revoke(id);
    },
    async leave() {
      await here().leave();
    },
    async addGuest(guest, password, rules = {}) {
      const at = here();
      const secret = await at.guests().add(guest, password, rules);
      return { password: secret, port: at.guestPort() ?? options.guestPort ?? guestPortDefault };
    },
    guests: () => here().guests().list(),
    async removeGuest(guest) {
      await here().guests().remove(guest);
    },
  };
  if (furnish === undefined) return node as MeshNode & Handles;
  const random = createRandom(adapters.seed());
  const { clock } = adapters;
  const calls = createCalls({ mesh: parcels.port, clock, random: random.split(), log, metrics });
  endCalls = calls.stop;
  const furniture = furnish({
    node,
    mesh: parcels.port,
    calls,
    routes: createRouteBook({
      self: identity.node,
      messaging: () => here().life().messaging,
      links: () => node.status().links,
    }),
    options,
    adapters,
    clock,
    log,
    metrics,
    store,
    home() {
      const { meshId, genesis } = here().life().trust;
      const [root] = genesis.roots;
      const isOpen = options.dev === true || root === undefined;
      return { mesh: meshId, founder: isOpen ? undefined : nodeIdOf(fromHex(root)) };
    },
    authority: () => ({
      keys: identity.keys,
      isAdmin: () => here().life().trust.isAdmin(),
      isAdminKey: (key) => here().life().trust.view().admins.includes(key),
    }),
    dataDir,
    alert: (code, text) => household?.alert(code, text),
    random: () => random.split(),
  });
  parts = furniture.parts;
  return Object.assign(node, furniture.handles);
}

/** Nodes that show themselves to Home Assistant know each other by a label. */
function labelsOf({ labels = {}, homeAssistant }: NodeOptions): Readonly<Record<string, string>> {
  return homeAssistant === undefined ? labels : { ...labels, [homeAssistantLabel]: homeAssistant };
}
