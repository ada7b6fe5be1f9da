/** Hearing about others: how updates change what this node believes, and what it passes on. */

import { isSameAddress } from '../../kernel/address.ts';
import type { Address } from '../../kernel/address.ts';
import { invariant } from '../../kernel/invariant.ts';
import type { Millis } from '../../kernel/core.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { judge } from './judge.ts';
import { adoptWord, newRecord } from './member-table.ts';
import type { MemberRecord, OwnWord } from './member-table.ts';
import type { Life, Update, VerdictUpdate } from './messages.ts';
import type { SelfMember } from './self.ts';
import { Suspicion, suspicionTerms } from './suspicion.ts';
import type { SuspicionTerms } from './suspicion.ts';
import type { SwimState } from './swim-state.ts';

/** Datagrams of the former life of a restarted member may still be in flight for this long, in ms. */
const formerLifeGraceMs = 10_000;

/** A member is told at most this often that it is thought dead, and alerts repeat no sooner than a minute. */
const tellAgainMs = 500;
const alertAgainMs = 60_000;

const unsigned = new Uint8Array(0);

/** How an update reached us: a `dead` of push-pull may be old, so it only counts as a suspicion (memberlist mergeState). */
export type Route = 'gossip' | 'push-pull';

/** Beliefs about others. */
export class News {
  readonly #state: SwimState;
  readonly #self: SelfMember;

  constructor(state: SwimState, self: SelfMember) {
    this.#state = state;
    this.#self = self;
  }

  hearAll(updates: readonly Update[], route: Route): void {
    for (const update of updates) this.hear(update, route);
  }

  hear(update: Update, route: Route): void {
    const { table, config } = this.#state;
    if (update.node === config.self) {
      this.#self.hear(update);
      return;
    }
    if (table.isEvicted(update.node) || table.isEvicted(update.from)) {
      this.#state.note('evicted-spoke', update.from);
      return;
    }
    if (update.kind === 'alive' || update.kind === 'dormant') this.#hearWord(update);
    else if (update.kind === 'left') this.#hearLeft(update);
    else this.#hearAccusation(update, route);
  }

  /** Our own probe of this member failed. */
  accuse(record: MemberRecord): void {
    this.#accuse(record, this.#ownVerdict('suspect', record));
  }

  /** The suspicion ran out unrefuted. */
  suspicionEnded(node: NodeId): void {
    const record = this.#state.table.get(node);
    if (record?.suspicion === undefined || record.state !== 'suspect') return;
    // Confirmations move the end; a timer that was set before them must not judge early.
    if (record.suspicion.endsAt > this.#state.now) {
      armSuspicion(this.#state, record, record.suspicion);
      return;
    }
    this.#bury(record, 'dead', this.#ownVerdict('dead', record));
    this.#state.note('condemned', node);
  }

  /** The promised sleep is over and nothing was heard: from here on it is probed like anybody. */
  sleepEnded(node: NodeId): void {
    const record = this.#state.table.get(node);
    if (record?.state !== 'dormant') return;
    this.#state.table.place(record, 'alive', this.#state.now);
    this.accuse(record);
  }

  /** A direct datagram of this member: it answers from there, in this life. */
  heardFrom(record: MemberRecord, from: Address, life: Life | undefined): void {
    if (record.word.addresses.some((address) => isSameAddress(address, from))) {
      record.address = from;
    }
    if (life !== undefined) this.#checkLife(record, life);
  }

  /**
   * Tells a member that asks for help with a suspect what was said of it here. Gossip is sent only so often and may have
   * missed just the asker, whose wait would then be many times that of the others.
   */
  tellAccusations(record: MemberRecord, asker: NodeId, to: Address): void {
    const { state, suspicion, verdict } = record;
    if (verdict === undefined || (state !== 'suspect' && state !== 'dead')) return;
    const updates = suspicion?.accusations ?? [verdict];
    this.#state.send(to, { kind: 'gossip', from: this.#state.config.self, updates }, asker);
  }

  /** Tells a member that speaks although it is thought dead, so that it can object without waiting for gossip. */
  tell(record: MemberRecord, from: Address): void {
    if (record.state !== 'dead' || record.verdict === undefined) return;
    if (this.#state.now - record.toldAt < tellAgainMs) return;
    record.toldAt = this.#state.now;
    const updates = this.#state.gossipUpdates([record.verdict]);
    this.#state.send(from, { kind: 'gossip', from: this.#state.config.self, updates }, record.node);
  }

  #checkLife(record: MemberRecord, life: Life): void {
    const known = { boot: record.word.incarnation.boot, instance: record.word.instance };
    const isSecondInstance = life.boot === known.boot && life.instance !== known.instance;
    const isFormerLife =
      life.boot < known.boot && this.#state.now - record.bootSince > formerLifeGraceMs;
    if (isSecondInstance || isFormerLife) this.#alertClone(record, known, life);
  }

  #alertClone(record: MemberRecord, known: Life, other: Life): void {
    if (this.#state.now - record.alertedAt < alertAgainMs) return;
    record.alertedAt = this.#state.now;
    this.#state.emit({ type: 'alert', code: 'clone', node: record.node, known, other });
  }

  #hearWord(word: OwnWord): void {
    const { table, now } = this.#state;
    const known = table.get(word.node);
    // Words of a former boot may be passed on by whoever slept; two instances in one boot are never honest.
    if (known?.word.incarnation.boot === word.incarnation.boot) {
      this.#checkLife(known, { boot: word.incarnation.boot, instance: word.instance });
    }
    if (judge(word, asKnown(known)) !== 'apply') {
      if (known?.state === 'dead' && word.kind === 'alive') {
        this.#state.note('zombie-refused', word.node);
      }
      return;
    }
    const isNew = known === undefined || known.state === 'dead' || known.state === 'left';
    if (isNew && table.isFull) {
      this.#state.note('table-full', word.node);
      return;
    }
    const record = known ?? newRecord(word, now);
    if (known !== undefined) adoptWord(record, word, now);
    stopTimersOf(this.#state, word.node);
    table.place(record, word.kind, now);
    if (word.kind === 'dormant') {
      record.dormantUntil = now + Math.max(0, word.sleepMs - word.elapsedMs);
      this.#state.chores.set(`wake:${word.node}`, record.dormantUntil);
    }
    if (isNew) this.#state.probeList.add(word.node);
    this.#state.broadcast(word);
    this.#state.announce(record);
  }

  #hearLeft(update: VerdictUpdate): void {
    const record = this.#state.table.get(update.node);
    if (record === undefined || update.from !== update.node) return;
    if (judge(update, asKnown(record)) === 'apply') this.#bury(record, 'left', update);
  }

  #hearAccusation(update: VerdictUpdate, route: Route): void {
    const { table, config } = this.#state;
    const record = table.get(update.node);
    // An accusation that we made ourselves and that comes back is an echo; from strangers it is worth nothing.
    if (record === undefined || update.from === config.self || update.from === update.node) return;
    if (table.get(update.from) === undefined) {
      this.#state.note('unknown-accuser', update.from);
      return;
    }
    if (judge(update, asKnown(record)) === 'ignore') return;
    const isShared = record.suspicion?.isSharedWith(update.from) === true;
    if (update.kind === 'dead' && route === 'gossip' && isShared)
      this.#bury(record, 'dead', update);
    else this.#accuse(record, update);
  }

  #accuse(record: MemberRecord, update: VerdictUpdate): void {
    const { table, config, now, meshSize } = this.#state;
    if (record.suspicion === undefined) {
      if (record.state !== 'alive') return;
      const terms = suspicionTerms(config.profile, meshSize, this.#state.lifeguard.lhaSuspicion);
      table.place(record, 'suspect', now);
      record.verdict = update;
      table.openSuspicion(record, new Suspicion(terms, now, update));
      this.#state.broadcast(update);
      this.#state.note('suspected', record.node);
      this.#state.announce(record);
      this.#seekSecondOpinion(record, update.from, terms);
    } else if (record.suspicion.confirm(update)) {
      this.#state.broadcast(update);
    }
    invariant(record.suspicion !== undefined, 'an accused member has an open suspicion');
    armSuspicion(this.#state, record, record.suspicion);
  }

  /**
   * Some who hear of a suspicion probe the suspect soon, about K + 1 of them whatever the size of the mesh: round robin
   * alone leaves the confirmations that shorten a wait to luck.
   */
  #seekSecondOpinion(record: MemberRecord, accuser: NodeId, terms: SuspicionTerms): void {
    const { config, meshSize, random, chores, now } = this.#state;
    if (accuser === config.self || terms.confirmationsWanted < 1) return;
    if (random.below(meshSize) > terms.confirmationsWanted) return;
    chores.set(`second:${record.node}`, now + random.below(config.profile.probeTimeoutMs));
  }

  #bury(record: MemberRecord, state: 'dead' | 'left', update: VerdictUpdate): void {
    this.#state.table.place(record, state, this.#state.now);
    record.verdict = update;
    record.isStalled = false;
    this.#state.probeList.remove(record.node);
    stopTimersOf(this.#state, record.node);
    this.#state.broadcast(update);
    this.#state.announce(record);
  }

  #ownVerdict(kind: 'suspect' | 'dead', record: MemberRecord): VerdictUpdate {
    const { incarnation } = record.word;
    const from = this.#state.config.self;
    return { kind, node: record.node, incarnation, from, proof: unsigned };
  }
}

function asKnown(
  record: MemberRecord | undefined,
): { state: MemberRecord['state']; incarnation: OwnWord['incarnation'] } | undefined {
  return record === undefined
    ? undefined
    : { state: record.state, incarnation: record.word.incarnation };
}

/** A member's state changed for good: what was planned about the former one is off. */
export function stopTimersOf(state: SwimState, node: NodeId): void {
  state.verdicts.stop(`suspicion:${node}`);
  for (const chore of ['wake', 'second', 'ask', 'last'] as const)
    state.chores.stop(`${chore}:${node}`);
}

/** Moves the end of every open suspicion by `lagMs`, or starts them anew: what could not be heard must not count. */
export function postponeSuspicions(state: SwimState, lagMs: Millis | 'restart'): void {
  for (const record of state.table.live()) {
    if (record.suspicion === undefined) continue;
    if (lagMs === 'restart') record.suspicion.restart(state.now);
    else record.suspicion.extend(lagMs);
    armSuspicion(state, record, record.suspicion);
  }
}

/** The verdict at the end, and before it the accused's last word: a ping that says what it is accused of. */
function armSuspicion(state: SwimState, record: MemberRecord, suspicion: Suspicion): void {
  const { endsAt, endsAtEarliest } = suspicion;
  state.verdicts.set(`suspicion:${record.node}`, endsAt);
  if (!state.lifeguard.lhaSuspicion) return;
  const { probeTimeoutMs, probeIntervalMs } = state.config.profile;
  const lastAt = endsAt - probeTimeoutMs;
  if (lastAt > state.now) state.chores.set(`last:${record.node}`, lastAt);
  // A voice that is missing may only have missed us: those asked for help say what they know, in time for the others' verdict.
  const askAt = endsAtEarliest - probeIntervalMs;
  if (endsAt === endsAtEarliest) state.chores.stop(`ask:${record.node}`);
  else if (askAt > state.now) state.chores.set(`ask:${record.node}`, askAt);
}
