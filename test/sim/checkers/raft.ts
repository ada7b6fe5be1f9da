/** Checkers for the invariants of consensus (docs/protocols/consensus.md, "Invariants"). */

import type { Entry } from '../../../src/protocol/consensus/messages.ts';
import type { RaftEffect } from '../../../src/protocol/consensus/raft-types.ts';
import { entryBytes } from '../../../src/protocol/consensus/messages.ts';
import { isLinearizable, lockModel, registerModel } from '../linearizability.ts';
import type { RaftClients } from '../raft-clients.ts';
import type { RaftLetter, SimGroup } from '../raft.ts';
import type { Checker } from '../swarm.ts';
import type { HostId } from '../world.ts';
import { crc32c } from '../../../src/wire/crc32c.ts';

/** What a run of consensus is about. */
export interface RaftSubject {
  readonly group: SimGroup;
  readonly clients: RaftClients;
}

type RaftChecker = Checker<RaftLetter, RaftSubject>;

/** At most one leader a term, and at most one vote a seat and term, whatever crashes in between. */
export function electionSafety(): RaftChecker {
  return {
    name: 'election safety',
    watch(world, { group }) {
      let problem: string | undefined;
      const leaders = new Map<number, number>();
      const votes = new Map<string, number>();
      world.observe((at, host, seen) => {
        const effect = seen as RaftEffect;
        const seat = group.hosts.get(host)?.seat ?? 0;
        if (effect.type === 'announce' && effect.role === 'leader') {
          const other = leaders.get(effect.term) ?? seat;
          leaders.set(effect.term, seat);
          if (other !== seat) {
            problem ??= `${other} and ${seat} lead term ${effect.term} at ${at.toFixed(0)} ms`;
          }
        }
        if (effect.type !== 'send' || effect.message.type !== 'voteReply') return;
        if (!effect.message.isGranted) return;
        const key = `${seat}/${effect.message.term}`;
        const before = votes.get(key) ?? effect.to;
        votes.set(key, effect.to);
        if (before !== effect.to) {
          problem ??= `${seat} votes for ${before} and ${effect.to} in term ${effect.message.term}`;
        }
      });
      return { always: () => problem };
    },
  };
}

/** Two logs with an entry of the same index and term are equal up to there; a leader only appends. */
export function logMatching(): RaftChecker {
  return {
    name: 'log matching',
    watch(world, { group }) {
      let problem: string | undefined;
      const contents = new Map<string, string>();
      const logOf = knownLogs(group);
      world.observe((at, host, seen) => {
        const effect = seen as RaftEffect;
        if (effect.type !== 'persist') return;
        const seat = group.hosts.get(host)?.seat ?? 0;
        const log = logOf(host);
        if (effect.snapshot?.isForeign === true) {
          const { index, term } = effect.snapshot.snapshot;
          log.clear();
          log.set(index, term);
        }
        for (const index of log.keys())
          if (index >= (effect.entries[0]?.index ?? Infinity)) log.delete(index);
        for (const entry of effect.entries) {
          const { index, term } = entry;
          log.set(index, term);
          const text = `${log.get(index - 1) ?? 'none'} ${fingerprint(entry)}`;
          const key = `${index}/${term}`;
          const before = contents.get(key) ?? text;
          contents.set(key, before.startsWith('none') ? text : before);
          const isKnown = !text.startsWith('none') && !before.startsWith('none');
          const isOther = isKnown ? before !== text : before.split(' ')[1] !== text.split(' ')[1];
          if (isOther) problem ??= `entry ${key} differs on seat ${seat} at ${at.toFixed(0)} ms`;
        }
      });
      return { always: () => problem };
    },
  };
}

/** No two replicas ever apply different entries at one index, none skips one, and their machines are equal after each. */
export function stateMachineSafety(): RaftChecker {
  return {
    name: 'state-machine safety',
    watch(world, { group }) {
      let problem: string | undefined;
      const applied = new Map<number, string>();
      const hashes = new Map<number, number>();
      const last = new Map<string, number>();
      group.listeners.add({
        accepted() {},
        refused() {},
        readable() {},
        applied(host, entry) {
          const replica = group.hosts.get(host);
          if (replica === undefined) return;
          const key = `${host}/${replica.host.boots()}/${replica.seat}/${replica.restoredAt}`;
          const before = last.get(key) ?? replica.restoredAt;
          last.set(key, entry.index);
          if (entry.index !== before + 1) {
            problem ??= `${host} applied ${entry.index} after ${before} at ${world.now.toFixed(0)} ms`;
          }
          const text = fingerprint(entry);
          const other = applied.get(entry.index) ?? text;
          applied.set(entry.index, other);
          if (other !== text) {
            problem ??= `${host} applied another entry at ${entry.index}, at ${world.now.toFixed(0)} ms`;
          }
          const hash = hashes.get(entry.index) ?? replica.machine.hash;
          hashes.set(entry.index, hash);
          if (hash !== replica.machine.hash) {
            problem ??= `the machine of ${host} differs after ${entry.index}`;
          }
        },
      });
      return { always: () => problem };
    },
  };
}

/** Whatever was decided before a term is in the log of the leader of that term. */
export function leaderCompleteness(): RaftChecker {
  return {
    name: 'leader completeness',
    watch(world, { group }) {
      let problem: string | undefined;
      const decided = new Map<number, { term: number; decidedIn: number }>();
      const logOf = knownLogs(group);
      group.listeners.add({
        accepted() {},
        refused() {},
        readable() {},
        applied(host, { index, term }) {
          const view = group.hosts.get(host)?.host.view();
          const decidedIn = Math.min(
            view?.term ?? Infinity,
            decided.get(index)?.decidedIn ?? Infinity,
          );
          decided.set(index, { term, decidedIn });
        },
      });
      world.observe((at, host, seen) => {
        const effect = seen as RaftEffect;
        const seat = group.hosts.get(host)?.seat ?? 0;
        const log = logOf(host);
        if (effect.type === 'persist') {
          const first = effect.entries[0];
          if (first !== undefined) {
            for (const index of log.keys()) if (index >= first.index) log.delete(index);
          }
          if (effect.snapshot?.isForeign === true) log.clear();
          for (const { index, term } of effect.entries) log.set(index, term);
          return;
        }
        if (effect.type !== 'announce' || effect.role !== 'leader') return;
        const snapshotIndex = group.hosts.get(host)?.host.view()?.snapshotIndex ?? 0;
        for (const [index, { term, decidedIn }] of decided) {
          if (index <= snapshotIndex || decidedIn >= effect.term) continue;
          if (log.get(index) === term) continue;
          problem ??= `the leader ${seat} of term ${effect.term} lacks entry ${index} at ${at.toFixed(0)} ms`;
        }
      });
      return { always: () => problem };
    },
  };
}

/** What is decided stays decided: the commit index of a running replica never falls. */
export function monotoneCommit(): RaftChecker {
  return {
    name: 'monotone commit',
    watch(_, { group }) {
      const highest = new Map<string, number>();
      return {
        always() {
          for (const replica of group.hosts.values()) {
            const { host, seat } = replica;
            const view = host.phase() === 'down' ? undefined : host.view();
            if (view === undefined) continue;
            const key = `${seat}/${host.boots()}`;
            const before = highest.get(key) ?? 0;
            if (view.commit < before)
              return `seat ${seat} went back from ${before} to ${view.commit}`;
            highest.set(key, view.commit);
          }
          return undefined;
        },
      };
    },
  };
}

/** After the storm there is a leader, everybody with a seat has what it decided, and clients get answers. */
export function goesOn(): RaftChecker {
  return {
    name: 'a leader, and everybody up to date',
    watch(_, { group, clients }) {
      let doneBefore = -1;
      return {
        eventually() {
          const leader = group.leader();
          const view = leader?.host.view();
          if (leader === undefined || view === undefined) return 'nobody leads';
          if (!view.isSettled) return 'the leader has decided nothing yet';
          if (view.config.outgoing.length > 0) return 'a change of members is not finished';
          for (const seat of view.config.voters) {
            const replica = group.hosts.get(group.seats.get(seat) ?? '');
            if (replica?.seat !== seat)
              return `the voter ${seat} lost its disk and is not replaced`;
            const lag = view.commit - (replica.host.view()?.applied ?? 0);
            if (lag > 30) return `seat ${seat} is ${lag} entries behind`;
          }
          if (doneBefore < 0) doneBefore = clients.doneCount;
          return clients.doneCount > doneBefore
            ? undefined
            : 'no client got an answer since the storm';
        },
      };
    },
  };
}

/** What clients saw could have happened one operation at a time. */
export function linearizable(): RaftChecker {
  return {
    name: 'linearizable',
    watch(_, { clients }) {
      let verdict: string | undefined;
      let isChecked = false;
      return {
        eventually() {
          clients.isResting = true;
          if (!clients.isIdle()) return 'clients still wait for answers';
          if (isChecked) return verdict;
          isChecked = true;
          clients.close();
          for (const { name, events } of clients.registers.values()) {
            if (!isLinearizable(events, registerModel)) verdict ??= `the history of ${name} is not`;
          }
          for (const { name, events } of clients.locks.values()) {
            if (!isLinearizable(events, lockModel)) verdict ??= `the history of ${name} is not`;
          }
          return verdict;
        },
      };
    },
  };
}

/** The terms of what each host has in its log, by index: what it found on its disk, and all it has ordered to write since. */
function knownLogs(group: SimGroup): (host: HostId) => Map<number, number> {
  const logs = new Map<HostId, { readonly life: string; readonly log: Map<number, number> }>();
  return (host) => {
    const replica = group.hosts.get(host);
    // What was on its way to the disk when it crashed may be there or not.
    const life = `${replica?.seat}/${replica?.host.boots()}`;
    const known = logs.get(host);
    if (known?.life === life) return known.log;
    const log = new Map(replica?.found?.entries.map(({ index, term }) => [index, term]));
    const snapshot = replica?.found?.snapshot;
    if (snapshot !== undefined) log.set(snapshot.index, snapshot.term);
    logs.set(host, { life, log });
    return log;
  };
}

function fingerprint(entry: Entry): string {
  const content = entry.type === 'command' ? crc32c(entry.data) : entryBytes(entry);
  return `${entry.term}/${entry.type}/${content}`;
}
