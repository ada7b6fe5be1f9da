/** Conversations of a group: the scenarios that etcd keeps as golden transcripts, by their names there. */

import { expect, test } from 'vitest';
import { change, configuration, Stage, stageTiming } from './stage.ts';

test('a group elects one leader and decides in order', () => {
  const stage = new Stage([1, 2, 3]);
  stage.run(400);
  expect(stage.leaders()).toHaveLength(1);
  const leader = stage.leaders()[0] as number;
  for (const text of ['a', 'b', 'c']) stage.propose(leader, text);
  stage.stabilize();
  stage.run(50);
  for (const seat of [1, 2, 3]) expect(stage.texts(seat)).toEqual(['a', 'b', 'c']);
});

test('one voter alone elects itself and decides', () => {
  const stage = new Stage([1]);
  stage.run(300);
  expect(stage.view(1)).toMatchObject({ role: 'leader', isSettled: true });
  stage.propose(1, 'alone');
  expect(stage.texts(1)).toEqual(['alone']);
  expect(stage.at(1).core.deadline()).toBe(Infinity);
});

test('prevote: who cannot win does not raise the term', () => {
  const stage = new Stage([1, 2, 3]);
  stage.elect(1);
  const { term } = stage.view(1);
  stage.passes = ({ from, to }) => from !== 3 && to !== 3;
  stage.run(5_000);
  expect(stage.view(3)).toMatchObject({ term, role: 'preCandidate' });
  stage.passes = () => true;
  stage.run(200);
  expect(stage.view(1)).toMatchObject({ term, role: 'leader' });
  expect(stage.view(3)).toMatchObject({ term, leader: 1 });
});

test('prevote_checkquorum: whoever hears a leader helps nobody else', () => {
  const stage = new Stage([1, 2, 3]);
  stage.elect(1);
  const before = stage.view(1);
  // Node 3 hears nothing from the leader and campaigns; 2 hears it and says no.
  stage.passes = ({ from, to }) => !(from === 1 && to === 3);
  stage.run(3_000);
  expect(stage.view(1)).toMatchObject({ role: 'leader', term: before.term });
});

test('checkquorum: a leader that hears no majority steps down within an election timeout', () => {
  const stage = new Stage([1, 2, 3]);
  stage.elect(1);
  stage.passes = ({ from, to }) => from !== 1 && to !== 1;
  stage.run(250);
  expect(stage.view(1).role).not.toBe('leader');
  stage.run(600);
  expect(stage.leaders()).toHaveLength(1);
});

test('campaign_learner_must_vote: a learner that does not know of its promotion votes', () => {
  const stage = new Stage([1, 2], configuration([1, 2, 3]));
  const old = configuration([1, 2], [3]);
  const snapshot = { index: 1, term: 1, config: old, data: new Uint8Array() };
  stage.add(3, { hard: { term: 1, vote: 0 }, snapshot, entries: [] });
  stage.at(1).isDown = true;
  stage.elect(2);
  expect(stage.view(2).role).toBe('leader');
});

test('a learner never campaigns', () => {
  const stage = new Stage([1, 2, 3], configuration([1], [2, 3]));
  stage.at(1).isDown = true;
  stage.run(5_000);
  expect(stage.view(2)).toMatchObject({ role: 'follower', term: 1 });
});

test('confchange_v2_replace_leader: the group goes on without the leader that it removes', () => {
  const stage = new Stage([1, 2, 3, 4], configuration([1, 2, 3], [4]));
  stage.elect(1);
  stage.feed(1, { type: 'changeAsked', ref: 9, change: change([2, 3, 4]) });
  expect(stage.view(1).config).toMatchObject({ voters: [2, 3, 4], outgoing: [1, 2, 3] });
  stage.stabilize();
  expect(stage.view(1).role).toBe('follower');
  stage.run(400);
  const [leader] = stage.leaders();
  expect([2, 3, 4]).toContain(leader);
  expect(stage.view(leader as number).config).toMatchObject({ voters: [2, 3, 4], outgoing: [] });
  stage.propose(leader as number, 'after');
  stage.stabilize();
  expect(stage.texts(leader as number)).toEqual(['after']);
});

test('slow_follower_after_compaction: who missed what the log no longer holds gets the state', () => {
  const stage = new Stage([1, 2, 3], configuration([1, 2, 3]), {
    snapshotEntries: 10,
    trailingEntries: 2,
    messageBytesMax: 64,
  });
  stage.elect(1);
  stage.at(3).isDown = true;
  for (let at = 0; at < 30; at += 1) {
    stage.propose(1, `entry ${at}`);
    stage.stabilize();
  }
  const order = stage.at(1).effects.find(({ type }) => type === 'takeSnapshot');
  expect(order).toBeDefined();
  const index = stage.view(1).applied;
  stage.feed(1, { type: 'snapshotTaken', index, data: new Uint8Array(1000).fill(7) });
  expect(stage.view(1)).toMatchObject({ snapshotIndex: index, firstIndex: index - 1 });
  stage.at(3).isDown = false;
  stage.run(500);
  const restored = stage.at(3).effects.find((effect) => effect.type === 'restore');
  expect(restored).toMatchObject({ snapshot: { index, data: new Uint8Array(1000).fill(7) } });
  stage.propose(1, 'more');
  stage.stabilize();
  stage.run(50);
  expect(stage.texts(3).at(-1)).toBe('more');
  expect(stage.view(3).commit).toBe(stage.view(1).commit);
});

test('snapshot_succeed_via_app_resp: the answer to an append ends the snapshot mode', () => {
  const stage = new Stage([1, 2, 3], configuration([1, 2, 3]), {
    snapshotEntries: 5,
    trailingEntries: 1,
  });
  stage.elect(1);
  stage.at(3).isDown = true;
  for (let at = 0; at < 10; at += 1) stage.propose(1, 'x');
  stage.stabilize();
  stage.feed(1, { type: 'snapshotTaken', index: stage.view(1).applied, data: new Uint8Array(4) });
  stage.at(3).isDown = false;
  // Answers to pieces are lost; the match that follows the last one is enough.
  stage.passes = ({ message }) => message.type !== 'snapshotReply';
  stage.run(300);
  expect(stage.view(1).progress.find(({ seat }) => seat === 3)).toMatchObject({
    mode: 'replicate',
    match: stage.view(1).lastIndex,
  });
});

test('forget_leader: a broken link makes a follower campaign at once, and only once', () => {
  const stage = new Stage([1, 2, 3]);
  stage.elect(1);
  stage.run(100);
  stage.at(1).isDown = true;
  for (const seat of [2, 3]) stage.feed(seat, { type: 'linkClosed', seat: 1 });
  expect(stage.view(2).leader).toBeUndefined();
  stage.run(50);
  expect(stage.leaders().filter((seat) => seat !== 1)).toHaveLength(1);
});

test('voters that lose their leader together do not split the vote: they begin one after the other', () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const stage = new Stage([1, 2, 3, 4, 5], undefined, undefined, seed);
    stage.elect(1);
    stage.run(100);
    const { term } = stage.view(1);
    stage.at(1).isDown = true;
    for (const seat of [5, 4, 3, 2]) stage.feed(seat, { type: 'linkClosed', seat: 1 });
    stage.run(20);
    expect(stage.view(2)).toMatchObject({ role: 'leader', term: term + 1 });
  }
});

test('a follower that grants a pre-vote has passed the hint on and waits its usual time', () => {
  const stage = new Stage([1, 2, 3]);
  stage.elect(1);
  stage.run(100);
  const { term } = stage.view(1);
  stage.at(1).isDown = true;
  for (const seat of [2, 3]) stage.feed(seat, { type: 'linkClosed', seat: 1 });
  // The one that begins goes no further than its question.
  stage.passes = ({ message }) => message.type === 'preVote';
  stage.run(60);
  expect(stage.view(3)).toMatchObject({ role: 'follower', term });
  stage.run(stageTiming.electionMsMax);
  expect(stage.view(3).role).toBe('preCandidate');
});

test('a broken link of one follower alone deposes nobody', () => {
  const stage = new Stage([1, 2, 3]);
  stage.elect(1);
  const { term } = stage.view(1);
  stage.feed(2, { type: 'linkClosed', seat: 1 });
  stage.run(500);
  expect(stage.view(1)).toMatchObject({ role: 'leader', term });
  expect(stage.view(2).leader).toBe(1);
});

test('a leader whose loop is late hands over, but not a lead that it has just got: all may share one busy machine', () => {
  const stage = new Stage([1, 2, 3]);
  stage.elect(1);
  const late = (seat: number): boolean => {
    stage.now += 3 * stageTiming.heartbeatMs;
    return stage
      .feed(seat, { type: 'tick' })
      .some((effect) => effect.type === 'note' && effect.code === 'raft.lagging');
  };
  stage.run(100);
  expect(late(1)).toBe(false);
  stage.run(20 * stageTiming.electionMsMax);
  expect(late(1)).toBe(true);
  stage.stabilize();
  stage.run(50);
  const [next] = stage.leaders();
  expect([2, 3]).toContain(next);
  expect(late(next as number)).toBe(false);
  stage.run(20 * stageTiming.electionMsMax);
  expect(late(next as number)).toBe(true);
});

test('lagging_commit: heartbeats tell followers what is decided when answers were lost', () => {
  const stage = new Stage([1, 2, 3]);
  stage.elect(1);
  stage.propose(1, 'late');
  stage.stabilize();
  expect(stage.texts(2)).toEqual([]);
  stage.run(40);
  expect(stage.texts(2)).toEqual(['late']);
});

test('replicate_pause: at most so many appends are on their way to a silent follower', () => {
  const stage = new Stage([1, 2, 3], configuration([1, 2, 3]), { inFlightMax: 4 });
  stage.elect(1);
  stage.run(60);
  stage.passes = ({ to }) => to !== 3;
  let sent = 0;
  for (let at = 0; at < 20; at += 1) {
    for (const effect of stage.propose(1, `${at}`)) {
      if (effect.type === 'send' && effect.to === 3) sent += 1;
    }
    stage.stabilize();
  }
  expect(sent).toBe(4);
  stage.passes = () => true;
  stage.run(200);
  expect(stage.texts(3)).toHaveLength(20);
});

test('messages and undecided entries are bounded', () => {
  const stage = new Stage([1, 2, 3], configuration([1, 2, 3]), {
    messageBytesMax: 200,
    uncommittedBytesMax: 1_000,
  });
  stage.elect(1);
  stage.run(60);
  stage.passes = ({ message }) => message.type !== 'append';
  const data = new Uint8Array(100);
  const items = Array.from({ length: 20 }, (_, ref) => ({ ref, data }));
  const effects = stage.feed(1, { type: 'proposed', items });
  const refused = effects.filter((effect) => effect.type === 'refused');
  expect(refused.length).toBeGreaterThan(10);
  expect(refused.every(({ reason }) => reason === 'overloaded')).toBe(true);
  for (const effect of effects) {
    if (effect.type !== 'send' || effect.message.type !== 'append') continue;
    expect(effect.message.entries.length).toBeLessThanOrEqual(1);
  }
  const large = { ref: 99, data: new Uint8Array(201) };
  expect(stage.feed(1, { type: 'proposed', items: [large] })).toContainEqual({
    type: 'refused',
    ref: 99,
    reason: 'too-large',
  });
});

test('transfer: the successor leads after one round, without a gap of an election timeout', () => {
  const stage = new Stage([1, 2, 3]);
  stage.elect(1);
  stage.propose(1, 'before');
  stage.feed(1, { type: 'transferAsked', to: 3 });
  expect(stage.propose(1, 'refused', 5)).toContainEqual({
    type: 'refused',
    ref: 5,
    reason: 'transferring',
  });
  stage.stabilize();
  expect(stage.leaders()).toEqual([3]);
});

test('a transfer to someone who does not answer is given up after an election timeout', () => {
  const stage = new Stage([1, 2, 3]);
  stage.elect(1);
  stage.passes = ({ to, message }) => !(to === 3 && message.type === 'timeoutNow');
  stage.feed(1, { type: 'transferAsked', to: 3 });
  stage.run(250);
  expect(stage.view(1)).toMatchObject({ role: 'leader', isTransferring: false });
});

test('a read waits for a round of heartbeats, and never answers from a deposed leader', () => {
  const stage = new Stage([1, 2, 3]);
  stage.elect(1);
  const effects = stage.feed(1, { type: 'readAsked', ref: 1 });
  expect(effects.some(({ type }) => type === 'readable')).toBe(false);
  stage.stabilize();
  const readable = { type: 'readable', ref: 1, index: stage.view(1).commit };
  expect(stage.at(1).effects).toContainEqual(readable);
  // Cut off, it has no majority for the round.
  stage.passes = ({ from, to }) => from !== 1 && to !== 1;
  stage.feed(1, { type: 'readAsked', ref: 2 });
  stage.run(500);
  expect(stage.at(1).effects).toContainEqual({ type: 'refused', ref: 2, reason: 'not-leader' });
});

test('a read before the first decision of the term waits for it', () => {
  const stage = new Stage([1, 2, 3]);
  stage.passes = ({ message }) => message.type !== 'appendReply';
  stage.elect(1);
  stage.feed(1, { type: 'readAsked', ref: 1 });
  stage.stabilize();
  expect(stage.at(1).effects.some(({ type }) => type === 'readable')).toBe(false);
  stage.passes = () => true;
  stage.run(60);
  expect(stage.at(1).effects.some(({ type }) => type === 'readable')).toBe(true);
});

test('waking from sleep, a leader does not believe that it leads', () => {
  const stage = new Stage([1, 2, 3]);
  stage.elect(1);
  stage.feed(1, { type: 'woke' });
  expect(stage.view(1)).toMatchObject({ role: 'follower', leader: undefined });
});
