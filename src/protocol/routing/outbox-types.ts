/** An outbox's faces: what it is told, what it does, and what may be asked of it. */

import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Destination } from './destination.ts';
import type { Absent, Leftover } from './leftover.ts';
import type { Excluded } from './message-ring.ts';
import type { SeqRange } from './messages.ts';
import type { Brought } from './overflow.ts';

/** Knobs of an outbox. */
export interface OutboxConfig {
  /** Events kept. @default 16_384 */
  readonly countMax?: number;
  /** Encoded bytes kept in memory. @default 10_485_760 */
  readonly bytesMax?: number;
  /** Whether a disk keeps what is owed: what it has may leave the memory. @default false */
  readonly hasDisk?: boolean;
  /** Events that may be on the disk alone, and their bytes. @default 131_072, 67_108_864 */
  readonly awayCountMax?: number;
  readonly awayBytesMax?: number;
  /**
   * When memory and disk are full of what dead members are owed: give the oldest of it up, which both sides are told, or
   * hold the publishers until they are back or owed nothing any more. @default 'give-up'
   */
  readonly whenFull?: 'give-up' | 'hold';
  /** Events that may be under way to a member beyond its last acknowledgement, over its link or by flood. @default 1024 */
  readonly windowMax?: number;
  /** Events that may be sent again to one member beyond its last acknowledgement: what it can hold back. @default 256 */
  readonly resendWindowMax?: number;
  /** How long a dead or silent member is owed anything, in ms. @default 300_000 */
  readonly retentionMs?: Millis;
  /** Shortest time before an event is sent again, in ms. @default 1_000 */
  readonly resendMsMin?: Millis;
  /** Longest time between two resends, in ms. @default 60_000 */
  readonly resendMsMax?: Millis;
}

/** Called synchronously. */
export interface OutboxOutputs {
  /**
   * First transmission over the open link, or through the mesh. False: not taken, the link is saturated.
   * @param skipped how many events before this one the member is not owed.
   */
  send(to: Destination, raw: Uint8Array, skipped: number): boolean;
  /** Sends again, over the link or through the mesh. False: not taken. */
  resend(to: Destination, raw: Uint8Array, skipped: number): boolean;
  /** Tells a member that nothing below `to.base` will be sent to it (again). */
  tellBase(to: Destination): void;
  /** Everything up to `seq` is settled with everybody. */
  settled(seq: number): void;
  /** A member that is held alive acknowledges nothing: what it alone is owed may go to others now. */
  silent(now: Millis, node: NodeId): void;
  /** Bring back events that were put away, from this one on; answered with `brought`. */
  bring(seq: number): void;
  /** What is owed should come to the disk now: the memory is full of it. */
  press(): void;
  /** Shown each event in memory that a member loses. */
  lost?(raw: Uint8Array, node: NodeId, reason: LossReason): void;
  /** A member loses `count` events. */
  forfeited(node: NodeId, count: number, reason: LossReason): void;
}

/** Why a member loses what it was owed. */
export type LossReason = 'dead' | 'silent' | 'quota' | 'gone';

/** Why a member is owed nothing any more, or nothing for now (`dead`). */
export type GoneReason = 'dead' | 'left' | 'evicted';

/** Owed events and who is owed them. */
export interface Outbox {
  nextSeq(): number;
  lastSeq(): number;
  /** Takes what an earlier life still owed, and whom it knew: they have the retention time to come back. Before anything else. */
  restore(leftover: Leftover | undefined, absent: Absent | undefined): void;
  /** Who is owed this event and has not acknowledged it. */
  owedTo(seq: number): readonly NodeId[];
  /** Shows the events in memory after one and up to another that somebody is still owed. */
  unsettled(
    after: number,
    upTo: number,
    visit: (raw: Uint8Array, owed: readonly NodeId[], seq: number) => void,
  ): void;
  /** Everything up to this event is on the disk, or owed to nobody. */
  written(seq: number): void;
  /** The disk takes nothing any more, until something is `written`. */
  diskLost(): void;
  /** Events that `bring` asked for; none: they could not be read. */
  brought(now: Millis, events: readonly Brought[]): void;
  /** Whether an event of this many encoded bytes can be taken; puts away or gives up dead members' share for it. */
  admits(bytes: number): boolean;
  /**
   * Keeps the event `nextSeq()`; hand it to the links with `pump`.
   * @param excluded the members it is not owed to; undefined: everybody is owed it, and those without a link get it by flood.
   */
  append(now: Millis, raw: Uint8Array, excluded?: Excluded): void;
  /** Sends what the window and the links allow to everybody. */
  pump(now: Millis): void;
  /** Whether a member without a link has more under way than floods may add to. */
  hasLaggard(): boolean;
  /** Whether anybody is owed an event with these exclusions. */
  isOwed(excluded: Excluded): boolean;
  /** A link takes bytes again: goes on with first transmissions to its peer and with resends to anybody. */
  drained(now: Millis): void;
  owes(node: NodeId): boolean;
  /** Whether a member is owed events and not dead. */
  isHere(node: NodeId): boolean;
  /** Members that are owed events and dead. */
  away(): readonly NodeId[];
  /**
   * Shows what a member has not acknowledged and was to have in place of a group; it is not owed what `move` says true to.
   * `move` may append.
   */
  reclaim(node: NodeId, move: (raw: Uint8Array, filter: string) => boolean): void;
  /** Everybody it may owe something. */
  nodes(): readonly NodeId[];
  isLinked(node: NodeId): boolean;
  /** @returns whether it is news: a new member, a new life of one, or one that was dead. */
  joined(now: Millis, node: NodeId, boot: number): boolean;
  gone(now: Millis, node: NodeId, reason: GoneReason): void;
  linked(now: Millis, node: NodeId): void;
  unlinked(now: Millis, node: NodeId): void;
  acknowledged(
    now: Millis,
    node: NodeId,
    boot: number,
    upTo: number,
    ranges: readonly SeqRange[],
  ): void;
  tick(now: Millis): void;
  deadline(): Millis;
  view(): OutboxView;
}

/** What people and metrics see of an outbox. */
export interface OutboxView {
  readonly count: number;
  /** In memory. */
  readonly bytes: number;
  /** On the disk alone, of all. */
  readonly awayCount: number;
  readonly awayBytes: number;
  readonly destinations: readonly {
    readonly node: NodeId;
    readonly unacked: number;
    readonly rttMs: number;
    readonly attempts: number;
    readonly isDead: boolean;
  }[];
}
