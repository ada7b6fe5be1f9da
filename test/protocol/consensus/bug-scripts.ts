/** What went wrong in other implementations of Raft, each as a story that must end well here. */

import { expect } from 'vitest';
import type { Entry, RaftMessage } from '../../../src/protocol/consensus/messages.ts';
import { hasQuorum } from '../../../src/protocol/consensus/quorum.ts';
import { change, configuration, nodeOf, Stage } from './stage.ts';

const refusalOf = (effects: readonly { type: string }[]): unknown =>
  effects.find(({ type }) => type === 'refused');

/** The stories, by name. Each throws when it does not end well. */
export const bugScripts: Readonly<Record<string, () => void>> = {
  'bug 1: no change of members before an entry of the own term is decided (Ongaro 2015, copycat#23, openraft#2051)':
    () => {
      const stage = new Stage([1, 2, 3, 4, 5], configuration([1, 2, 3, 4], [5]));
      stage.passes = ({ message }) => message.type !== 'appendReply';
      stage.elect(1);
      const request = { type: 'changeAsked', ref: 1, change: change([1, 2, 3, 4, 5]) } as const;
      expect(refusalOf(stage.feed(1, request))).toMatchObject({ reason: 'change-pending' });
      stage.passes = () => true;
      stage.run(60);
      expect(refusalOf(stage.feed(1, request))).toBeUndefined();
      expect(refusalOf(stage.feed(1, { ...request, ref: 2 }))).toMatchObject({
        reason: 'change-pending',
      });
    },

  'bug 1: every two consecutive configurations have no two separate majorities': () => {
    const simple = configuration([1, 2, 3]);
    const joint = configuration([3, 4, 5], [], [1, 2, 3]);
    const after = configuration([3, 4, 5]);
    for (const [left, right] of [
      [simple, joint],
      [joint, after],
    ] as const) {
      for (let one = 0; one < 32; one += 1) {
        const holds = (mask: number) => (seat: number) => ((mask >> (seat - 1)) & 1) === 1;
        if (!hasQuorum(left, holds(one))) continue;
        expect(hasQuorum(right, holds(31 & ~one)), `${one}`).toBe(false);
      }
    }
  },

  'bug 1: while the members change, one half alone elects nobody': () => {
    for (const [half, candidate] of [
      [[4, 5], 4],
      [[1, 2], 1],
    ] as const) {
      const stage = new Stage([1, 2, 3, 4, 5], configuration([3, 4, 5], [], [1, 2, 3]));
      const isIn = (seat: number): boolean => (half as readonly number[]).includes(seat);
      stage.passes = ({ from, to }) => isIn(from) && isIn(to);
      stage.run(1_000);
      expect(stage.view(candidate).role).toBe('preCandidate');
      stage.passes = () => true;
      stage.run(1_000);
      expect(stage.leaders()).toHaveLength(1);
    }
  },

  'bug 2: a configuration rules as soon as it is in the log, and no longer when it is cut off (etcd#7625, #12359)':
    () => {
      const stage = new Stage([1, 2, 3, 4], configuration([1, 2, 3], [4]));
      stage.elect(1);
      stage.run(60);
      stage.passes = ({ from, to }) => from !== 1 && to !== 1;
      stage.feed(1, { type: 'changeAsked', ref: 1, change: change([1, 2, 4]) });
      expect(stage.view(1).config).toMatchObject({ voters: [1, 2, 4], outgoing: [1, 2, 3] });
      stage.run(1_000);
      const leader = stage.leaders().find((seat) => seat !== 1) as number;
      stage.propose(leader, 'the others go on');
      stage.stabilize();
      stage.passes = () => true;
      stage.run(500);
      expect(stage.view(1).config).toMatchObject({ voters: [1, 2, 3], outgoing: [] });
      expect(stage.texts(1)).toEqual(['the others go on']);
    },

  'bug 2: the decided end of a joint configuration is found by the next leader too': () => {
    const stage = new Stage([1, 2, 3, 4], configuration([1, 2, 3], [4]));
    stage.elect(1);
    stage.run(60);
    // The joint entry reaches everybody, and nothing after it does.
    stage.passes = ({ from, message }) =>
      !(from === 1 && message.type === 'append' && isFinal(message));
    stage.feed(1, { type: 'changeAsked', ref: 1, change: change([2, 3, 4]) });
    stage.stabilize();
    stage.at(1).isDown = true;
    stage.passes = () => true;
    stage.run(1_000);
    const [leader] = stage.leaders().filter((seat) => seat !== 1);
    expect(stage.view(leader as number).config).toMatchObject({ voters: [2, 3, 4], outgoing: [] });
  },

  'bug 3: pre-vote and check-quorum without any leader do not lock each other out (etcd#8334, #9586, tikv#3270)':
    () => {
      const stage = new Stage([1, 2, 3]);
      stage.elect(1);
      // One follower is behind in term and log, one was cut off as a candidate of a newer term.
      stage.passes = ({ from, to }) => from !== 3 && to !== 3;
      stage.propose(1, 'missed by 3');
      stage.stabilize();
      stage.feed(3, { type: 'received', from: 2, message: voteOf(stage.view(3).term + 5) });
      stage.at(1).isDown = true;
      stage.passes = () => true;
      stage.run(2_000);
      expect(stage.leaders().filter((seat) => seat !== 1)).toEqual([2]);
    },

  'bug 3: a leader of an old term is told so, instead of being left waiting (etcd#8501)': () => {
    const stage = new Stage([1, 2, 3]);
    stage.elect(1);
    stage.passes = ({ from, to }) => from !== 3 && to !== 3;
    stage.feed(3, { type: 'received', from: 2, message: voteOf(stage.view(3).term + 3) });
    stage.passes = () => true;
    stage.run(500);
    expect(stage.leaders()).toHaveLength(1);
    const terms = [1, 2, 3].map((seat) => stage.view(seat).term);
    expect(new Set(terms).size).toBe(1);
  },

  'bug 4: a member that comes and goes forces no elections (etcd#9241)': () => {
    const stage = new Stage([1, 2, 3]);
    stage.elect(1);
    const { term } = stage.view(1);
    for (let round = 0; round < 10; round += 1) {
      stage.passes = ({ from, to }) => from !== 3 && to !== 3;
      stage.run(700);
      stage.passes = () => true;
      stage.run(300);
    }
    expect(stage.view(1)).toMatchObject({ role: 'leader', term });
  },

  'bug 4: with one path cut, whoever reaches a majority leads and keeps leading (Cloudflare, November 2020)':
    () => {
      const stage = new Stage([1, 2, 3]);
      stage.elect(1);
      // 1 and 2 cannot talk, 3 talks to both.
      stage.passes = ({ from, to }) => !(from + to === 3);
      stage.run(2_000);
      const [leader] = stage.leaders();
      const { term } = stage.view(leader as number);
      stage.run(5_000);
      expect(stage.view(leader as number)).toMatchObject({ role: 'leader', term });
    },

  'bug 5: a group of two voters is never made (etcd doc.go)': () => {
    const stage = new Stage([1, 2], configuration([1], [2]));
    stage.elect(1);
    stage.run(60);
    const two = { type: 'changeAsked', ref: 1, change: change([1, 2]) } as const;
    expect(refusalOf(stage.feed(1, two))).toMatchObject({ reason: 'bad-change' });
    const nobody = { ...two, change: change([]) };
    expect(refusalOf(stage.feed(1, nobody))).toMatchObject({ reason: 'bad-change' });
  },

  'bug 6: a leader that is removed steps down, and hands over at once (canonical/raft#234)': () => {
    const stage = new Stage([1, 2, 3, 4], configuration([1, 2, 3], [4]));
    stage.elect(1);
    stage.run(60);
    stage.feed(1, { type: 'changeAsked', ref: 1, change: change([2, 3, 4], [1]) });
    stage.stabilize();
    expect(stage.view(1).role).toBe('follower');
    expect(stage.leaders()).toHaveLength(1);
    stage.run(3_000);
    expect(stage.view(1).role).toBe('follower');
  },

  'bug 6: a removed follower that does not know it disturbs nobody': () => {
    const stage = new Stage([1, 2, 3, 4], configuration([1, 2, 3], [4]));
    stage.elect(1);
    stage.run(60);
    stage.passes = ({ from, to }) => from !== 3 && to !== 3;
    stage.feed(1, { type: 'changeAsked', ref: 1, change: change([1, 2, 4]) });
    stage.stabilize();
    const { term } = stage.view(1);
    stage.passes = () => true;
    stage.run(3_000);
    expect(stage.view(1)).toMatchObject({ role: 'leader', term });
  },

  'bug 7: a seat is given once for all time (etcd: "an ID represents a unique node in a cluster for all time")':
    () => {
      const stage = new Stage([1, 2, 3, 4], configuration([1, 2, 3], [4]));
      stage.elect(1);
      stage.run(60);
      stage.feed(1, { type: 'changeAsked', ref: 1, change: change([1, 2, 4]) });
      stage.stabilize();
      expect(stage.view(1).config).toMatchObject({ voters: [1, 2, 4], outgoing: [], lastSeat: 4 });
      const back = { voters: [1, 2, 4], learners: [3], members: [{ seat: 3, node: nodeOf(3) }] };
      const effects = stage.feed(1, { type: 'changeAsked', ref: 2, change: back });
      expect(refusalOf(effects)).toMatchObject({ reason: 'bad-change' });
      const fresh = { voters: [1, 2, 4], learners: [5], members: [{ seat: 5, node: nodeOf(3) }] };
      expect(
        refusalOf(stage.feed(1, { type: 'changeAsked', ref: 3, change: fresh })),
      ).toBeUndefined();
    },

  'bug 8: after a restart nothing is applied twice, and nothing is left out (etcd 3.5.0, PR#13967)':
    () => {
      const stage = new Stage([1], configuration([1]), { snapshotEntries: 5, trailingEntries: 2 });
      stage.run(400);
      for (let at = 0; at < 5; at += 1) stage.propose(1, `before ${at}`);
      const index = stage.view(1).applied;
      stage.feed(1, { type: 'snapshotTaken', index, data: new Uint8Array([1]) });
      for (const text of ['one', 'two']) stage.propose(1, text);
      expect(stage.at(1).disk.snapshot?.index).toBe(index);
      // What is kept of the log reaches back behind the snapshot.
      expect(stage.at(1).disk.entries[0]?.index).toBeLessThanOrEqual(index);
      stage.restart(1);
      stage.run(400);
      expect(stage.texts(1)).toEqual(['one', 'two']);
      expect(stage.at(1).applied[0]?.index).toBe(index + 1);
    },

  'bug 9: whoever was deposed and does not know it answers no reads (Jepsen, Redis-Raft)': () => {
    const stage = new Stage([1, 2, 3]);
    stage.elect(1);
    stage.run(100);
    stage.passes = ({ from, to }) => from !== 1 && to !== 1;
    for (const seat of [2, 3]) stage.feed(seat, { type: 'linkClosed', seat: 1 });
    stage.run(50);
    expect(stage.leaders()).toEqual([1, 2]);
    const answers = stage.feed(1, { type: 'readAsked', ref: 7 });
    expect(answers.filter(({ type }) => type === 'readable')).toEqual([]);
    stage.run(20);
    expect(stage.at(1).effects.filter(({ type }) => type === 'readable')).toEqual([]);
  },

  'bug 9: a deposed leader decides nothing more, and what it had not decided is replaced (Jepsen, Redis-Raft)':
    () => {
      const stage = new Stage([1, 2, 3]);
      stage.elect(1);
      stage.run(60);
      stage.passes = ({ from, to }) => from !== 1 && to !== 1;
      stage.propose(1, 'never decided');
      stage.run(1_000);
      const leader = stage.leaders().find((seat) => seat !== 1) as number;
      stage.propose(leader, 'decided');
      stage.stabilize();
      stage.passes = () => true;
      stage.run(500);
      for (const seat of [1, 2, 3]) expect(stage.texts(seat)).toEqual(['decided']);
    },

  'bug 10: writes during a transfer are refused or decided, never lost (hashicorp/raft GH-581)':
    () => {
      const stage = new Stage([1, 2, 3]);
      stage.elect(1);
      const accepted: string[] = [];
      for (let at = 0; at < 10; at += 1) {
        if (at === 4) stage.feed(1, { type: 'transferAsked', to: 2 });
        const effects = stage.propose(1, `write ${at}`, at);
        if (effects.some(({ type }) => type === 'accepted')) accepted.push(`write ${at}`);
        else expect(refusalOf(effects)).toBeDefined();
      }
      stage.stabilize();
      stage.run(100);
      expect(accepted).toHaveLength(4);
      for (const seat of [1, 2, 3]) expect(stage.texts(seat)).toEqual(accepted);
    },

  'bug 10: who is no voter elects nobody, least of all itself (hashicorp/raft GH-398)': () => {
    const stage = new Stage([1, 2, 3, 4], configuration([1, 2, 3], [4]));
    stage.elect(1);
    for (const seat of [1, 2, 3]) stage.at(seat).isDown = true;
    stage.feed(4, {
      type: 'received',
      from: 1,
      message: { type: 'timeoutNow', term: stage.view(4).term },
    });
    stage.run(2_000);
    expect(stage.view(4).role).toBe('follower');
  },

  'figure 8: an entry of an older term is not decided by counting': () => {
    const old: Entry = { index: 2, term: 2, type: 'command', data: new Uint8Array([1]) };
    const stage = new Stage([1, 2, 3]);
    // 1 was leader of term 2 and wrote an entry to its own disk only; it leads again in a later term.
    stage.at(1).disk.entries = [old];
    stage.at(1).disk.hard = { term: 2, vote: 1 };
    stage.restart(1);
    // Of what it sends, only the old entry arrives; its own no-op never does.
    stage.passes = ({ message }) => message.type !== 'append';
    stage.elect(1);
    stage.passes = () => true;
    const { term } = stage.view(1);
    stage.feed(1, { type: 'received', from: 2, message: { type: 'appendReply', term, match: 2 } });
    expect(stage.view(1).commit).toBe(1);
    stage.feed(1, { type: 'received', from: 2, message: { type: 'appendReply', term, match: 3 } });
    expect(stage.view(1).commit).toBe(3);
  },

  'nothing is promised before it is on disk, and a promise is kept across a restart': () => {
    const stage = new Stage([1, 2, 3]);
    stage.at(2).isDiskHeld = true;
    stage.now = 1_000;
    stage.feed(2, { type: 'received', from: 1, message: voteOf(9) });
    const granted = (seat: number) =>
      stage.letters.filter(
        ({ message }) => message.type === 'voteReply' && message.isGranted && seat,
      );
    expect(granted(1)).toHaveLength(0);
    stage.sync(2);
    expect(granted(1)).toHaveLength(1);
    stage.at(2).isDiskHeld = false;
    stage.restart(2);
    stage.letters = [];
    stage.feed(2, { type: 'received', from: 3, message: voteOf(9) });
    expect(granted(1)).toHaveLength(0);
    stage.feed(2, { type: 'received', from: 1, message: voteOf(9) });
    expect(granted(1).map(({ to }) => to)).toEqual([1]);
  },

  'async_storage_writes_append_aba_race: an old write does not vouch for an entry written again':
    () => {
      const stage = new Stage([1, 2, 3]);
      stage.at(3).isDiskHeld = true;
      const entry = (term: number, byte: number): Entry => {
        return { index: 2, term, type: 'command', data: new Uint8Array([byte]) };
      };
      const append = (term: number, from: number, entries: readonly Entry[]) =>
        stage.feed(3, {
          type: 'received',
          from,
          message: { type: 'append', term, prevIndex: 1, prevTerm: 1, commit: 1, entries },
        });
      append(2, 1, [entry(2, 1)]);
      append(3, 2, [entry(3, 2)]);
      append(4, 1, [entry(2, 1)]);
      // The first write is done: the disk holds the right entry, and is about to lose it to the second write.
      stage.letters = [];
      stage.sync(3, 1);
      expect(stage.view(3).stable).toBe(1);
      stage.sync(3, 1);
      expect(stage.view(3).stable).toBe(1);
      const told = () =>
        stage.letters.flatMap(({ message }) =>
          message.type === 'appendReply' ? [message.match] : [],
        );
      expect(Math.max(0, ...told())).toBeLessThan(2);
      stage.sync(3);
      expect(told().at(-1)).toBe(2);
    },

  'a repeated answer to a piece of a snapshot is not answered again': () => {
    const stage = new Stage([1, 2, 3], configuration([1, 2, 3]), {
      snapshotEntries: 5,
      trailingEntries: 1,
      messageBytesMax: 64,
    });
    stage.elect(1);
    stage.at(3).isDown = true;
    for (let at = 0; at < 10; at += 1) stage.propose(1, 'x');
    stage.stabilize();
    stage.feed(1, {
      type: 'snapshotTaken',
      index: stage.view(1).applied,
      data: new Uint8Array(500),
    });
    const { term, snapshotIndex: index } = stage.view(1);
    const behind = { term, prevIndex: stage.view(1).lastIndex, hintIndex: 1, hintTerm: 1 };
    stage.feed(1, { type: 'received', from: 3, message: { type: 'appendRefused', ...behind } });
    expect(stage.view(1).progress.find(({ seat }) => seat === 3)?.mode).toBe('snapshot');
    const reply = { type: 'snapshotReply', term, index, offset: 64 } as const;
    const sent = [1, 2, 3].map(
      () =>
        stage
          .feed(1, { type: 'received', from: 3, message: reply })
          .filter(({ type }) => type === 'send').length,
    );
    expect(sent).toEqual([1, 0, 0]);
  },

  'a follower that lost what it had acknowledged is asked at the pace of heartbeats, and gives its seat up':
    () => {
      const stage = new Stage([1, 2, 3]);
      stage.elect(1);
      for (const text of ['one', 'two', 'three']) stage.propose(1, text);
      stage.stabilize();
      expect(stage.view(1).progress.find(({ seat }) => seat === 3)?.match).toBe(
        stage.view(1).lastIndex,
      );
      // Its disk had called the last entry durable.
      stage.at(3).disk.entries.pop();
      stage.restart(3);
      // Heartbeats come late, so that all there is are refusals.
      const asked = { count: 0 };
      stage.passes = ({ from, to, message }) => {
        if (from === 1 && to === 3 && message.type === 'append') asked.count += 1;
        return !(to === 3 && message.type === 'heartbeat');
      };
      for (const text of ['four', 'five', 'six']) stage.propose(1, text);
      stage.stabilize();
      expect(asked.count).toBeLessThan(10);
      expect(noteCount(stage, 1, 'raft.refused-acknowledged')).toBeGreaterThan(0);
      expect(stage.view(1).role).toBe('leader');
      expect(noteCount(stage, 3, 'raft.forgot')).toBe(0);
      stage.passes = () => true;
      stage.run(40);
      expect(noteCount(stage, 3, 'raft.forgot')).toBe(1);
      expect(stage.at(3).effects.at(-1)).toEqual({ type: 'giveUp' });
      // From now on it is silent, whoever asks for its vote.
      const vote = voteOf(stage.view(3).term + 1);
      expect(stage.feed(3, { type: 'received', from: 2, message: vote })).toEqual([]);
      expect(stage.at(3).core.deadline()).toBe(Infinity);
    },

  'a refusal that comes late makes nobody give anything up': () => {
    const stage = new Stage([1, 2, 3]);
    stage.elect(1);
    stage.propose(1, 'one');
    stage.stabilize();
    const { term, lastIndex } = stage.view(1);
    const late = { type: 'appendRefused', term, prevIndex: lastIndex, hintIndex: 1, hintTerm: 1 };
    for (let times = 0; times < 3; times += 1) {
      stage.feed(1, { type: 'received', from: 3, message: late as RaftMessage });
      stage.stabilize();
    }
    stage.run(500);
    stage.propose(1, 'two');
    stage.stabilize();
    stage.run(100);
    expect(stage.texts(3)).toEqual(['one', 'two']);
    expect(noteCount(stage, 3, 'raft.forgot')).toBe(0);
  },

  'what is decided is never overwritten, whoever asks for it': () => {
    const stage = new Stage([1, 2, 3]);
    stage.elect(1);
    stage.propose(1, 'decided');
    stage.stabilize();
    stage.run(50);
    const { term, commit } = stage.view(2);
    const evil: Entry = {
      index: commit,
      term: term + 1,
      type: 'command',
      data: new Uint8Array([6]),
    };
    stage.feed(2, {
      type: 'received',
      from: 3,
      message: {
        type: 'append',
        term: term + 1,
        prevIndex: commit - 1,
        prevTerm: term,
        commit,
        entries: [evil],
      },
    });
    expect(stage.texts(2)).toEqual(['decided']);
  },
};

function noteCount(stage: Stage, seat: number, code: string): number {
  return stage.at(seat).effects.filter((one) => one.type === 'note' && one.code === code).length;
}

function voteOf(term: number): RaftMessage {
  return { type: 'vote', term, lastIndex: 10, lastTerm: 10, isTransfer: true };
}

function isFinal(message: Extract<RaftMessage, { type: 'append' }>): boolean {
  return message.entries.some(
    (entry) => entry.type === 'config' && entry.config.outgoing.length === 0,
  );
}
