/** What the composition root hands to the runtime: the world, behind interfaces. */

import type { Address } from '../kernel/address.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Backbone } from '../ports/backbone.ts';
import type { Broker, BrokerHandlers } from '../ports/broker.ts';
import type { Clock } from '../ports/clock.ts';
import type { BlobFiles } from '../ports/blobs.ts';
import type { LoadDocuments } from '../ports/documents.ts';
import type { Datagrams } from '../ports/datagram.ts';
import type { Rung } from '../ports/discovery.ts';
import type { Cells } from '../ports/agent-cell.ts';
import type { Hardware } from '../ports/hardware.ts';
import type { OpenJournal } from '../ports/journal.ts';
import type { LinkHandlers, LinkSession, LinkTransport } from '../ports/link.ts';
import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Peripherals } from '../ports/peripherals.ts';
import type { ReplicaLogs } from '../ports/replica-log.ts';
import type { EventLog } from '../ports/event-log.ts';
import type { Store } from '../ports/store.ts';
import type { Versions } from '../ports/versions.ts';
import type { Conversation } from '../wire/conversation.ts';
import type { EpochKey, EpochKeys } from '../wire/datagram-seal.ts';
import type { NodeKeys } from '../wire/keys.ts';

import type { AdvertisedService, DiscoveryReport } from './mesh-node.ts';
import type { Verdict } from './admission.ts';

/** How a newcomer knocks: with an invite, or at an open join window. */
export type JoinKind = 'invite' | 'open';

/** A guest account as the broker needs it: the password only as a salted hash. */
export interface GuestAccount {
  readonly name: string;
  readonly salt: Uint8Array;
  readonly hash: Uint8Array;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** What a link shows of this node, and how it judges the peer. Read anew for every handshake. */
export interface LinkCredentials {
  readonly node: NodeId;
  readonly keys: NodeKeys;
  /** Bound into the handshake: two meshes never complete one. */
  prologue(): Uint8Array;
  certificate(): Uint8Array | undefined;
  /** Judges a peer by its certificate and the key it proved to hold. */
  admit(certificate: Uint8Array, xPublic: Uint8Array): Verdict;
  /** A member that was dialled refuses this node and shows why. */
  refused(node: NodeId, proof: Uint8Array): void;
}

/** What the ground floor reports. */
export interface GroundHandlers extends BrokerHandlers, LinkHandlers {
  opened(session: LinkSession): void;
  /** Someone knocks; the answer is the conversation to have, or undefined to hang up. */
  knocked(kind: JoinKind, remote: Address): Conversation<unknown> | undefined;
}

/** How to open the ground floor. */
export interface GroundOptions {
  /** The widest address it will listen on later; the port must be free there, on TCP and on UDP. */
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Fall back to a free port when `port` is taken. */
  readonly mayMove: boolean;
  /** Where any free port would do, this one first: the others look for the node there. */
  readonly keptPort?: number | undefined;
  /** Unique per broker start; never reused. */
  readonly brokerId: string;
  readonly credentials: LinkCredentials;
  readonly handlers: GroundHandlers;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** The listening side of a node: the local broker, the links and the door for newcomers, on one TCP port. */
export interface Ground {
  readonly port: number;
  readonly broker: Broker;
  readonly links: LinkTransport;
  /** Accepts links and newcomers on these addresses too; loopback is always open, addresses not named are closed. */
  openTo(hosts: readonly string[]): Promise<void>;
  /** Opens (or moves) the guest listener; undefined closes it. Returns the port. */
  openGuests(
    listen: { readonly port: number; readonly hosts: readonly string[] } | undefined,
  ): Promise<number | undefined>;
  setGuests(accounts: readonly GuestAccount[]): void;
  /** Knocks at the first address that answers and has the conversation. */
  knock<Result>(
    kind: JoinKind,
    addresses: readonly Address[],
    converse: () => Conversation<Result>,
    signal: AbortSignal,
  ): Promise<{ readonly result: Result; readonly remote: Address }>;
  stop(): Promise<void>;
}

/** One usable interface. */
export interface GroundInterface {
  readonly name: string;
  readonly hosts: readonly string[];
}

/** Which interfaces there are, now and later. */
export interface Interfaces {
  current(): readonly GroundInterface[];
  /** Names that were asked for and are not there, down, or without an address. */
  missing(): readonly string[];
  refresh(): void;
  stop(): void;
}

/** Known peers, kept on disk and told by others. */
export interface PeerBook {
  /** A link to this node worked. */
  remember(node: NodeId, addresses: readonly Address[], meshTag: string): void;
  /** It left or was thrown out: it is not dialled after a restart. */
  forget(node: NodeId): void;
  /** A peer told where others are. */
  told(from: NodeId, peers: readonly { node: NodeId; addresses: readonly Address[] }[]): void;
}

/** How to look around. */
export interface LookoutOptions {
  readonly interfaces: Interfaces;
  readonly mdns: boolean;
  readonly multicast: boolean;
  readonly seeds: readonly string[];
  readonly store: Store;
  readonly log: Log;
}

/** An answerer of probes that works while the event loop is stuck. */
export interface StallResponder {
  readonly port: number;
  setKeys(keys: readonly { readonly epoch: number; readonly key: Uint8Array }[]): void;
  stop(): Promise<void>;
}

/** A thread that answers for this node while its event loop is stuck. */
export interface StallResponder {
  readonly port: number;
  /** Hands over the epoch keys after a rotation. */
  setKeys(keys: readonly EpochKey[]): void;
  stop(): Promise<void>;
}

/** Questions to the responders of others. */
export interface StallProbe {
  ask(node: NodeId): Uint8Array;
  isAnswer(bytes: Uint8Array): boolean;
  /** The answer to an open question; undefined for anything else. */
  read(bytes: Uint8Array): { readonly node: NodeId; readonly stalledMs: number } | undefined;
}

/** Services of this board that other software on the LAN can find. */
export interface ServiceBook {
  add(service: AdvertisedService): void;
  remove(service: AdvertisedService): void;
  published(): DiscoveryReport['published'];
}

/** Everything a node needs from outside. */
export interface NodeAdapters {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** 32 random bits from the operating system, to seed the cores. */
  seed(): number;
  openStore(directory: string): Promise<Store>;
  /** Where replicas of the mesh's group keep themselves, in a data directory. */
  replicaLogs(dataDir: string): ReplicaLogs;
  /** What the outbox keeps in this data directory. */
  openEventLog(directory: string): Promise<EventLog>;
  /** Journals of the data directory. */
  openJournal(directory: string): OpenJournal;
  /** The library for documents, if it is installed. */
  readonly loadDocuments: LoadDocuments;
  nextBoot(store: Store): Promise<number>;
  /** Makes the next boot count higher than this one: the data directory is older than the mesh remembers. */
  raiseBoot(store: Store, boot: number): Promise<void>;
  openGround(options: GroundOptions): Promise<Ground>;
  readonly datagrams: Datagrams;
  /** A broker between sites; undefined: there is none. */
  readonly backbone: Backbone | undefined;
  watchInterfaces(names: readonly string[] | undefined, changed: () => void): Interfaces;
  /** `services` is undefined when mDNS is off. */
  lookOut(options: LookoutOptions): {
    readonly rungs: readonly Rung[];
    readonly book: PeerBook;
    readonly services: ServiceBook | undefined;
  };
  createStallProbe(node: NodeId, keys: () => EpochKeys): StallProbe;
  openResponder(options: {
    readonly host: string;
    readonly node: NodeId;
    readonly keys: readonly EpochKey[];
    failed(error: Error): void;
  }): Promise<StallResponder>;
  watchLoop(spike: (lagMs: number) => void): { lagMs(): number; stop(): void };
  watchSuspend(woke: (gapMs: number) => void): { stop(): void };
  /** Facts of the board; the data directory is the disk that matters. */
  hardware(dataDir: string): Hardware;
  /** What is wired to the board. */
  readonly peripherals: Peripherals;
  /** Files of blobs, below the data directory. */
  blobFiles(dataDir: string): BlobFiles;
  /** Versions of the program, below the data directory. */
  versions(dataDir: string): Versions;
  /** Where agents run. */
  readonly cells: Cells;
  /** Serves one page of text over HTTP. @throws {MycelError} MYCEL_PORT_TAKEN, MYCEL_BAD_OPTION */
  serveText(page: {
    readonly host: string;
    readonly port: number;
    readonly path: string;
    readonly type: string;
    render(): string;
  }): Promise<{ readonly port: number; stop(): Promise<void> }>;
  hashPassword(password: string): Promise<{ salt: Uint8Array; hash: Uint8Array }>;
  /** Facts for `status`. */
  rssBytes(): number;
  hostName(): string;
  dataDirDefault(): string;
}
