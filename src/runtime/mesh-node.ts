/** What a running node offers: the surface that the front door, the command line and tests use. */

import type { Eviction } from './evictions.ts';
import type { ChannelFigures } from './channels/channel-meter.ts';
import type { MeshId, NodeId } from '../kernel/ids.ts';
import type { Peripherals } from '../ports/peripherals.ts';
import type { MetricsSnapshot } from '../ports/metrics.ts';
import type { RungName, RungRecord } from '../ports/discovery.ts';
import type { OverlayName } from '../protocol/overlay/overlay.ts';
import type { TopologyHint } from '../protocol/overlay/topology.ts';
import type {
  MeshMessage,
  OutboxOptions,
  Published,
  PublishOptions,
  SubscribeOptions,
} from './message-types.ts';
import type { ListenersReport } from './routing/listeners.ts';
import type { TopologyOptions, TopologyReport } from './topology.ts';
import type { ToolPolicy } from './llm/tools.ts';
import type { Launch } from './update/launch.ts';

export type { MeshMessage, Published, PublishOptions, SubscribeOptions } from './message-types.ts';

/** What a mesh agrees about a member. `left` went on purpose, `dormant` sleeps and will be back. */
export type MemberState = 'alive' | 'suspect' | 'dead' | 'left' | 'dormant';

/** One member as this node sees it. */
export interface MemberInfo {
  readonly id: NodeId;
  readonly name: string;
  readonly state: MemberState;
  /** `host:port`, or undefined when no address is known. */
  readonly address: string | undefined;
  /** (boot counter, refutation count) written `boot.n`. */
  readonly incarnation: string;
  /** Smoothed round-trip time of probes in ms; undefined before the first answer, 0 for this node. */
  readonly rttMs: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly roles: readonly string[];
  /** What the board can do, as it says itself: `camera`, `gpio`… */
  readonly capabilities: readonly string[];
  readonly version: string;
  /** True when the member answers for itself but its event loop has been stuck for a while. */
  readonly isStalled: boolean;
  readonly isSelf: boolean;
}

/** What `invite` takes. */
export interface InviteOptions {
  /** Lifetime in ms of uptime (a restart voids open invites). @default 900_000 */
  readonly ttlMs?: number;
  /** How many devices may join with it. @default 1 */
  readonly uses?: number;
  /** `admin` may invite and revoke in turn. @default 'node' */
  readonly role?: 'node' | 'admin';
}

/** A fresh invite. The text is a secret until used. */
export interface Invite {
  /** `mycel:1:…`, to be given to the newcomer by flag, environment, file or QR code. */
  readonly invite: string;
  readonly expiresInMs: number;
  readonly uses: number;
}

/** A newcomer waiting on probation in an open join window. */
export interface PendingMember {
  readonly id: NodeId;
  readonly name: string;
  /** The six digits to compare with the ones the newcomer shows. */
  readonly code: string;
}

/** What `status` says. Everything a person needs to see why something does not work. */
export interface NodeStatus {
  readonly node: NodeId;
  readonly name: string;
  readonly version: string;
  readonly mesh: {
    readonly id: MeshId;
    readonly name: string;
    /** True while this is a provisional mesh of one. */
    readonly isProvisional: boolean;
    /** True for `--dev`: everything is let in. */
    readonly isDev: boolean;
    readonly epoch: number;
    /** ms of uptime left of an open join window, or 0. */
    readonly joinWindowMs: number;
    readonly isAdmin: boolean;
    /** On probation until approved; shows the code to compare. */
    readonly probationCode: string | undefined;
  };
  readonly mqttPort: number;
  readonly guestPort: number | undefined;
  readonly uptimeMs: number;
  readonly members: Readonly<Record<MemberState, number>>;
  readonly overlay: {
    readonly name: OverlayName;
    /** Neighbours: links that both ends hold. */
    readonly active: number;
    /** Neighbours wanted; undefined: every member. */
    readonly activeMax: number | undefined;
    /** Peers known and not linked with, to fall back on; 0 in a full mesh. */
    readonly passive: number;
  };
  readonly links: readonly {
    readonly peer: NodeId;
    readonly name: string;
    readonly remote: string;
    readonly isDialler: boolean;
    readonly sinceMs: number;
    readonly rttMs: number | undefined;
    /** What both ends speak, `major.minor`: the lower of the two. */
    readonly protocol: string;
    readonly queuedBytes: number;
    readonly unackedCount: number;
  }[];
  readonly channels: readonly ChannelFigures[];
  readonly clients: readonly {
    readonly clientId: string;
    readonly zone: 'local' | 'guest';
    readonly remote: string;
    /** Bytes that wait for it, in memory and on the disk. */
    readonly queuedBytes: number;
    readonly diskBytes: number;
  }[];
  /** Clients and links that were let go by a bound, the latest first, and how many there were since the start. */
  readonly evictions: readonly Eviction[];
  readonly evictionCount: number;
  /**
   * Control records that waited behind data on a link: how many did at all, for longer than `overMs`, and the longest, in ms.
   */
  readonly headOfLine: {
    readonly overMs: number;
    readonly incidents: number;
    readonly waits: number;
    readonly longestMs: number;
  };
  readonly discovery: readonly { readonly rung: RungName; readonly trouble: string | undefined }[];
  readonly loopLagMs: number;
  readonly rssBytes: number;
  readonly metrics: MetricsSnapshot;
  /** One sentence per thing that is wrong now, each with its fix. Empty when all is well. */
  readonly warnings: readonly string[];
}

/** What each rung of discovery sees. */
export interface DiscoveryReport {
  readonly rungs: readonly {
    readonly rung: RungName;
    readonly trouble: { readonly reason: string; readonly fix: string } | undefined;
    readonly records: readonly RungRecord[];
  }[];
  /** Every DNS record this node publishes now, per interface; empty without mDNS. */
  readonly published: readonly {
    readonly interface: string;
    readonly records: readonly {
      readonly name: string;
      readonly type: string;
      readonly ttl: number;
    }[];
  }[];
}

/** A service of this board to be found by DNS-SD. */
export interface AdvertisedService {
  /** The service name without underscore (RFC 6335), as `http`. */
  readonly type: string;
  /** @default 'tcp' */
  readonly protocol?: 'tcp' | 'udp';
  /** Instance name, 1 to 63 bytes, without a dot. Must be unique on the LAN. */
  readonly name: string;
  readonly port: number;
  readonly txt?: Readonly<Record<string, string>>;
}

/** Events of a node, by name. */
export interface MeshEvents {
  /** This node changed its mind about a member (also the first time it hears of it). */
  member: MemberInfo;
  'member-up': MemberInfo;
  'member-down': MemberInfo;
  /** A link to a peer opened or closed. */
  link: { readonly peer: NodeId; readonly isOpen: boolean; readonly reason: string };
  /** The node gave up its provisional mesh and belongs to this one now. */
  joined: { readonly mesh: MeshId; readonly name: string };
  /** A newcomer waits for approval. */
  pending: PendingMember;
  /** Something needs a person's eye: cloned identity, equivocating admin, full disk. */
  alert: { readonly code: string; readonly text: string };
  /**
   * Events of an origin that were published for this node will never come: the origin gave them up, or is gone. `count` 0:
   * it is not known how many, because this node has started anew since.
   */
  gap: { readonly origin: NodeId; readonly count: number };
  /** A member will never get events of this node that were taken; why is in docs/protocols/routing.md. */
  'given-up': {
    readonly member: NodeId;
    readonly count: number;
    readonly reason: 'dead' | 'silent' | 'quota' | 'gone';
  };
  /** The node was thrown out (revoked) or asked to stop for good. */
  expelled: { readonly reason: string };
}

/** A guest account for plain MQTT clients on the LAN. */
export interface GuestInfo {
  readonly name: string;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** A node of the mesh. */
export interface MeshNode {
  readonly id: NodeId;
  readonly name: string;
  /** Idempotent. Resolves when the broker accepts clients. */
  start(): Promise<void>;
  /** Says goodbye, frees every handle. Idempotent. `leave` first to be counted as `left` instead of `dead`. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
  status(): NodeStatus;
  members(): readonly MemberInfo[];
  discover(): DiscoveryReport;
  /** Listens; returns the function that stops listening. */
  on<Name extends keyof MeshEvents>(
    event: Name,
    listener: (value: MeshEvents[Name]) => void,
  ): () => void;
  /**
   * Publishes to every subscriber on every node, this one included. Resolves when the message is in the outbox.
   * @throws {MycelError} MYCEL_BAD_TOPIC, MYCEL_TOO_LARGE, MYCEL_OUTBOX_FULL, MYCEL_NOT_RUNNING
   */
  publish(
    topic: string,
    payload: Uint8Array | string,
    options?: PublishOptions,
  ): Promise<Published>;
  /**
   * Subscribes; `$share/<group>/<filter>` makes it a member of a group in the whole mesh: each message goes to one
   * member, to one on its publisher's node if there is any. Iterate the result, break out of the loop or abort the
   * signal to end it.
   */
  subscribe(filter: string, options?: SubscribeOptions): AsyncIterableIterator<MeshMessage>;
  /** Subscribes with a callback; returns the function that ends it. */
  subscribe(
    filter: string,
    listener: (message: MeshMessage) => void,
    options?: SubscribeOptions,
  ): () => void;
  /**
   * Who would hear a message on this topic now: nodes with their filters, groups with their nodes, and the channels.
   * What this node knows, without asking anybody: a subscription made elsewhere a moment ago may be under way.
   * @throws {MycelError} MYCEL_BAD_TOPIC, MYCEL_NOT_RUNNING
   */
  listeners(topic: string): ListenersReport;
  /**
   * Makes a provisional mesh real, under this name if one is given. Nothing happens when it is real already.
   * @throws {MycelError} MYCEL_ALREADY_MEMBER when it is real under another name.
   */
  found(name?: string): Promise<void>;
  /** Makes the mesh real when it is provisional, then mints an invite. Only admins can. */
  invite(options?: InviteOptions): Promise<Invite>;
  /** Opens the join window for `ms` of uptime (0 closes it): newcomers enter on probation. */
  openJoinWindow(ms: number): Promise<void>;
  pending(): readonly PendingMember[];
  approve(id: NodeId): Promise<void>;
  /** Gives up a provisional mesh (never a real one) and joins by this invite. */
  join(invite: string): Promise<void>;
  /**
   * Publishes a service of this board over mDNS; returns the function that withdraws it.
   * @throws {MycelError} MYCEL_BAD_OPTION when DNS cannot carry it, there are 32 already, or mDNS is off.
   */
  advertise(service: AdvertisedService): () => void;
  /**
   * Tells the mesh that this board will sleep for `ms`: it is `dormant`, nobody probes it or takes it for dead until
   * that time has passed. Resolves when the word has spread; `stop` the node next.
   */
  sleep(ms: number): Promise<void>;
  /**
   * Puts these channels in place of those that the node had, as if it had been started with them; from the next message on.
   * What waits in a channel that is not among them still goes out; until then a newer value of a topic may overtake it.
   * Not kept over a restart. @returns all channels
   * @throws {MycelError} MYCEL_BAD_OPTION when they contradict themselves: nothing is changed then
   */
  setChannels(channels: Readonly<Record<string, ChannelOptions>>): Promise<NodeStatus['channels']>;
  /** Which overlay the mesh runs, and this node's part in it. */
  topology(): TopologyReport;
  /**
   * Switches the whole mesh to another overlay while it runs; no acknowledged message is lost or delivered twice by it.
   * Resolves when the switch has begun here; `topology` shows when it is done. Kept over restarts.
   * @throws {MycelError} MYCEL_BAD_OPTION, MYCEL_TOPOLOGY_BUSY
   */
  setTopology(kind: OverlayName, options?: TopologyOptions): Promise<TopologyReport>;
  /**
   * Lets the mesh choose its overlay by its size, moved by what it is to be good at.
   * @param hint @default 'balanced'
   * @throws {MycelError} MYCEL_BAD_OPTION, MYCEL_TOPOLOGY_BUSY
   */
  autoTopology(hint?: TopologyHint): Promise<TopologyReport>;
  /** Throws a device out for ever: log entry, new epoch key, its links closed everywhere. */
  revoke(id: NodeId): Promise<void>;
  /** Tells the mesh goodbye and forgets it: the node is a provisional mesh of one again. */
  leave(): Promise<void>;
  addGuest(
    name: string,
    password: string | undefined,
    rules?: { readonly publish?: readonly string[]; readonly subscribe?: readonly string[] },
  ): Promise<{ readonly password: string; readonly port: number }>;
  guests(): readonly GuestInfo[];
  removeGuest(name: string): Promise<void>;
}

/** One channel, as a node's options name it. */
export interface ChannelOptions {
  /** What it carries: `signal` is qos 0, `event` qos 1. Must be given for a channel that is not built in. */
  readonly class?: 'signal' | 'event';
  /**
   * When the queue to a peer is full. Signals: `drop-oldest`, `drop-newest`, `latest-per-topic`. Events: `block`, the
   * publisher waits; `reject`, its publish fails. @default 'latest-per-topic' or 'block'
   */
  readonly overflow?: 'drop-oldest' | 'drop-newest' | 'latest-per-topic' | 'block' | 'reject';
  /** 1, first served, to 9. @default 5 */
  readonly priority?: number;
  /** Bytes that may wait for one peer, 64 KiB to 64 MiB. @default 1 MiB */
  readonly queueBytes?: number;
  /** Deflates frames of at least so many bytes when that saves a tenth. @default never */
  readonly compressAbove?: number;
  /** Filters whose messages take it. */
  readonly topics?: readonly string[];
  /** Only messages with at least so many payload bytes. @default 0 */
  readonly bytesMin?: number;
  /** Only messages with at most so many. @default no bound */
  readonly bytesMax?: number;
  /** Only messages published as `urgent`, instead of `coordination` and without its 4 KiB. @default false */
  readonly urgent?: boolean;
}

/** Options of `createNode`, after validation and defaults. */
export interface NodeOptions {
  /** Shown to people; need not be unique. @default the host name */
  readonly name?: string;
  /** Owned by one process. @default $MYCEL_DATA_DIR, else ~/.local/share/mycel (or /var/lib/mycel for root) */
  readonly dataDir?: string;
  /** TCP and UDP port. @default 1883, or a free one when it is taken; a port stated here must be free. */
  readonly port?: number;
  /** Name for the mesh this node would found. @default 'home' */
  readonly mesh?: string;
  /** Invite to join with while the mesh is provisional. */
  readonly join?: string;
  /** `host:port`s to try besides discovery; a DNS name may have A, AAAA or SRV records. */
  readonly seeds?: readonly string[];
  /** `mqtt://user:password@host:port` (`mqtts:` for TLS) of a broker that carries links between LANs. A secret. @default none */
  readonly backbone?: string;
  /** Names of the network interfaces to use. @default all real ones (no Docker, no VPN) */
  readonly interfaces?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  /** What the board can do, told to every member. @default none */
  readonly capabilities?: readonly string[];
  readonly profile?: 'wired' | 'wifi' | 'fast' | 'loopback';
  /**
   * Whom this node links with until somebody sets a topology for the whole mesh (`setTopology`): `full-mesh`, every
   * member; `hyparview`, 4 to 6 of them, for meshes of 20 and more; `client-server` and `pub-sub`, a few hubs that relay.
   * Nodes of one mesh may differ. @default 'full-mesh'
   */
  readonly overlay?: OverlayName;
  /** Open mesh for a developer's machine: loopback (or the named interfaces) only, everyone is let in, loudly marked. */
  readonly dev?: boolean;
  /** `host:port` of a page of numbers for Prometheus, at /metrics. @default none */
  readonly metrics?: string;
  /** Topic prefix under which this board shows itself to Home Assistant (usually `homeassistant`). @default it does not */
  readonly homeAssistant?: string;
  /** @default true */
  readonly mdns?: boolean;
  /** UDP multicast and broadcast hello. @default true */
  readonly multicast?: boolean;
  /** Log level. @default 'warn' */
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Channels of this node's own, and other figures for the built-in ones. @default none; see docs/protocols/channels.md */
  readonly channels?: Readonly<Record<string, ChannelOptions>>;
  /** Bounds of the outbox, and what it does at them. @default see `OutboxOptions` */
  readonly outbox?: OutboxOptions;
  /** Port of the guest listener. @default 1884, or a free one; opened with the first guest */
  readonly guestPort?: number;
  /** How this process was started, by a launcher that can start other versions. @default it cannot change its version */
  readonly launch?: Launch;
  /**
   * Says what is wrong with what this node is for; undefined: nothing. Asked once a second while a new version is on trial.
   * @default nothing but the node itself is looked at
   */
  readonly probe?: () => Promise<string | undefined>;
  /** Another board than the one under this process: a simulated one. @default what Linux shows */
  readonly peripherals?: Peripherals;
  /**
   * Who may have a language model call actions that change something: a function that says true or why not, or a table
   * like `{ 'lamp.set': ['keeper'], 'radio.*': ['*'] }` of actions and agents. @default nobody
   */
  readonly toolPolicy?: ToolPolicy;
}
