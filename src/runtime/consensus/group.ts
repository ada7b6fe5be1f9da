/** A node's part in its mesh's group: the replica that it holds, if it has a seat, and what it knows of the leader. */

import { BoundedMap } from '../../kernel/bounded-map.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { PeerChange } from '../../ports/mesh.ts';
import type { Seat } from '../../protocol/consensus/messages.ts';
import type { ProfileName } from '../../protocol/membership/profiles.ts';
import { decodeRaftLetter, encodeRaftLetter } from '../../wire/raft-codec.ts';
import { decodeHint, encodeHint } from '../../wire/consensus-calls.ts';
import type { GroupHint } from '../../wire/consensus-calls.ts';
import type { PartWorld } from '../parts.ts';
import {
  createVoterMemory,
  newGroupId,
  readGroupRecord,
  removeGroupRecord,
  replicaName,
  writeGroupRecord,
} from './group-record.ts';
import type { GroupRecord } from './group-record.ts';
import type { Group } from './group-types.ts';
import { layFirstReplica } from './first-replica.ts';
import { handOver } from './hand-over.ts';
import { startReplica } from './replica.ts';
import type { Replica } from './replica-world.ts';
import { laySeat, openSeat, reasonOf } from './seat-files.ts';
import { timingFor } from './timing.ts';

/** The protocol of messages between replicas. */
const raftProtocol = 'raft';

/** Who leads, told to everybody; and that a seat is empty, told to whoever wrote to it. */
const hintProtocol = 'raft.hint';

/** How often a seat whose files could not be opened is tried again, in ms. */
const shutRetryMs = 10_000;

/** Other groups of this mesh whose leaders were told of this one. */
const othersMax = 16;

/** Nodes known to have asked and so to listen for hints. */
const askersMax = 1024;

/** Opens it: a seat that was held is held again. */
export async function openGroup(world: PartWorld): Promise<Group> {
  const { mesh, store, log, metrics, clock, adapters, options } = world;
  const profile: ProfileName = options.profile ?? (options.dev === true ? 'loopback' : 'wired');
  const logs = adapters.replicaLogs(world.dataDir);
  const listeners = new Set<() => void>();
  const memory = createVoterMemory(store);
  const touchListeners = new Set<(things: readonly string[]) => void>();
  const emptySeats = new Set<Seat>();
  let record: GroupRecord | undefined;
  let replica: Replica | undefined;
  let hint: GroupHint | undefined;
  let syncMs: () => number = () => 0;
  /** What lays replicas down and takes them away, one at a time: each decides by what the one before has left. */
  let turn: Promise<unknown> = Promise.resolve();
  let isMoving = false;
  let beginning: Promise<boolean> | undefined;
  let isStopped = false;
  let cancelRetry = (): void => {};
  let toldText = '';
  const told = new Set<NodeId>();
  const others = new BoundedMap<string, true>(othersMax);
  const askers = new BoundedMap<NodeId, true>(askersMax);
  let timing = timingFor(profile, { syncMs: 0, lateMs: 0 });

  const onChange: Group['onChange'] = (listener) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };

  const changed = (): void => {
    followReplica();
    for (const listener of listeners) listener();
  };

  function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = turn.then(() => {
      isMoving = true;
      return work();
    });
    turn = done.then(settle, settle);
    return done;
    function settle(): void {
      isMoving = false;
    }
  }

  /** What the own replica knows counts more than what was heard. */
  function followReplica(): void {
    const view = replica?.view();
    // On its way from one mesh to another: what its group holds is not of this one.
    if (view === undefined || record === undefined || record.mesh !== world.home().mesh) return;
    const nodeOf = (seat: Seat | undefined): NodeId | undefined =>
      view.config.members.find((one) => one.seat === seat)?.node;
    const voters = view.config.voters.map(nodeOf).filter((node) => node !== undefined);
    if (hint !== undefined && hint.group === record.group && hint.term > view.term) return;
    hint = { group: record.group, term: view.term, leader: nodeOf(view.leader), voters };
    memory.note(record.mesh, voters.length);
    if (view.role !== 'leader' || !view.isSettled) return;
    const text = JSON.stringify(hint);
    if (text === toldText) return;
    toldText = text;
    told.clear();
    for (const peer of mesh.peers()) tell(peer);
  }

  /** Tells a node who leads, once for each time that changes: it may not have listened before. */
  function tell(peer: NodeId): void {
    if (hint === undefined || !isLeader() || told.has(peer) || peer === mesh.self) return;
    if (record?.mesh !== world.home().mesh) return;
    if (mesh.send(peer, hintProtocol, encodeHint(hint))) told.add(peer);
  }

  async function openReplica(at: GroupRecord): Promise<void> {
    const opening = await openSeat(logs, replicaName(at));
    if (opening.type === 'lost') {
      return giveUp(at, `What it promised is not on its disk any more: ${opening.reason}`);
    }
    record = at;
    if (opening.type === 'shut') return stayShut(at, opening.reason);
    const files = opening.log;
    if (opening.mended > 0) {
      metrics.count('consensus.log-mended', opening.mended);
      log.warn({ seat: at.seat, stretches: opening.mended }, 'damage to its log was mended');
    }
    syncMs = () => files.syncMs().p99;
    try {
      replica = startReplica({
        seat: at.seat,
        files,
        timing,
        clock,
        log,
        metrics,
        random: world.random(),
        send(to, node, message) {
          const letter = { group: at.group, from: at.seat, to, message };
          mesh.send(node, raftProtocol, encodeRaftLetter(letter));
        },
        hurry: () => mesh.hurry(),
        changed,
        touched(things) {
          for (const listener of touchListeners) listener(things);
        },
        failed(error) {
          replica = undefined;
          silent(at, `Its replica has stopped: ${reasonOf(error)}`);
          changed();
        },
        forgot() {
          void inTurn(() => forgot(at, 'The disk has lost what it had acknowledged.'));
        },
      });
    } catch (error) {
      await files.close();
      await giveUp(at, reasonOf(error));
    }
    changed();
  }

  /** The files may be whole: the seat is kept, says nothing, and is tried again. */
  function stayShut(at: GroupRecord, reason: string): void {
    silent(at, `Its files cannot be opened: ${reason}`);
    cancelRetry = clock.alarm(clock.now() + shutRetryMs, () => {
      void inTurn(async () => {
        if (record === at && replica === undefined && !isStopped) await openReplica(at);
      });
    });
  }

  function silent({ seat }: GroupRecord, reason: string): void {
    world.alert('seat-silent', `Seat ${seat} of this node in the group is silent. ${reason}`);
  }

  /** Whatever was promised under this seat cannot be relied on: the group gives the node a new one. */
  async function giveUp(at: GroupRecord, reason: string): Promise<void> {
    metrics.count('consensus.seat-given-up');
    const kept = `What is left is kept beside it as ${replicaName(at)}.lost-1.`;
    world.alert(
      'seat-given-up',
      `This node gives seat ${at.seat} in the group up. ${reason} ${kept}`,
    );
    await leave(at).catch((error: unknown) => silent(at, reasonOf(error)));
  }

  async function forgot(at: GroupRecord | undefined, reason: string): Promise<void> {
    if (at === undefined || record !== at) return;
    await replica?.stop().catch(() => undefined);
    await giveUp(at, reason);
    changed();
  }

  /** The record goes first: a seat whose files are gone must not be found again. */
  async function leave(at: GroupRecord): Promise<void> {
    record = undefined;
    replica = undefined;
    await removeGroupRecord(store);
    await logs.setAside(replicaName(at));
  }

  async function begin(): Promise<boolean> {
    if (record !== undefined || hint !== undefined) return true;
    const { mesh: meshId, founder } = world.home();
    // In the open mesh of developers nobody is the founder: the lowest id begins.
    const lowest = [mesh.self, ...mesh.peers()].sort()[0];
    if ((founder ?? lowest) !== mesh.self || (await memory.goesOn(meshId))) return false;
    const first: GroupRecord = { mesh: meshId, group: newGroupId(), seat: 1 };
    if (!(await layFirstReplica(logs, first, mesh.self))) return false;
    // The record comes last: a group without it was never begun.
    await writeGroupRecord(store, first);
    await openReplica(first);
    return true;
  }

  function letterCame(from: NodeId, bytes: Uint8Array): void {
    const letter = decodeRaftLetter(bytes);
    if (letter === undefined) return metrics.drop('consensus', 'bad letter');
    // Whether it holds the seat is known when its disk is read, and when what it does about seats is done.
    if (isMoving) return metrics.drop('consensus', 'not open yet');
    if (record?.group !== letter.group || replica?.seat !== letter.to) {
      metrics.drop('consensus', 'empty seat');
      mesh.send(from, hintProtocol, encodeHint({ group: letter.group, empty: letter.to }));
      return;
    }
    const members = replica.view().config.members;
    // A seat speaks from its own node. A replica that knows no group yet has to believe.
    const member = members.find(({ seat }) => seat === letter.from);
    if (member !== undefined && member.node !== from)
      return metrics.drop('consensus', 'other seat');
    emptySeats.delete(letter.from);
    replica.received(letter.from, from, letter.message);
  }

  function learn(heard: GroupHint): void {
    // On its way from one mesh to another: what it holds is not of this one.
    if (record !== undefined && record.mesh !== world.home().mesh) return;
    if (record !== undefined && heard.group !== record.group) {
      metrics.count('consensus.other-group');
      world.alert(
        'two-groups',
        `Two groups of voters decide in this mesh, ${record.group.slice(0, 8)} here and ${heard.group.slice(0, 8)}; they never merge. Keep one: let the nodes of the other leave the mesh and join again.`,
      );
      return;
    }
    if (hint !== undefined && hint.group === heard.group && heard.term < hint.term) return;
    if (hint !== undefined && hint.group !== heard.group && hint.leader !== undefined) return;
    // What is known already wakes nobody.
    if (JSON.stringify(hint) === JSON.stringify(heard)) return;
    hint = heard;
    changed();
  }

  function peerChanged(change: PeerChange): void {
    if (change.kind === 'moved') {
      hint = undefined;
      emptySeats.clear();
      inTurn(moved).catch((error: unknown) => log.error({ error }, 'a seat could not be left'));
      return undefined;
    }
    if (change.kind === 'up' || change.kind === 'linked') {
      // Again over the link: what was sent at first sight may have found no way.
      told.delete(change.node);
      return tell(change.node);
    }
    if (replica === undefined) return;
    const view = replica.view();
    const member = view.config.members.find(({ node }) => node === change.node);
    if (member !== undefined) replica.linkClosed(member.seat);
  }

  /** Another mesh, another group: what was decided in the old one stays behind, unless this node was alone there. */
  async function moved(): Promise<void> {
    const { mesh: meshId, founder } = world.home();
    if (record === undefined || record.mesh === meshId) return changed();
    const view = replica?.view();
    const isAlone = view?.config.members.length === 1;
    if (isAlone && founder === mesh.self) {
      record = { ...record, mesh: meshId };
      await writeGroupRecord(store, record);
      return changed();
    }
    const old = record;
    await replica?.stop();
    await leave(old);
    if (hint?.group === old.group) hint = undefined;
    changed();
  }

  async function takeSeat(group: string, seat: Seat): Promise<void> {
    if (record !== undefined && record.group !== group) {
      throw new RangeError('this node has a seat in another group of this mesh');
    }
    if (record?.seat === seat) return;
    const view = replica?.view();
    // What a leader of the past offers is taken by somebody else; to take it would be to leave the seat that is held.
    if (view !== undefined && view.isConfigCommitted && view.config.lastSeat >= seat) {
      throw new RangeError(`seat ${seat} of this group has been given`);
    }
    const old = record;
    if (old !== undefined) {
      await replica?.stop();
      replica = undefined;
      await logs.setAside(replicaName(old));
    }
    const fresh: GroupRecord = { mesh: world.home().mesh, group, seat };
    await laySeat(logs, replicaName(fresh));
    await writeGroupRecord(store, fresh);
    await openReplica(fresh);
  }

  function isLeader(): boolean {
    return replica?.view().role === 'leader';
  }

  const stoppers = [
    mesh.handle(raftProtocol, letterCame),
    mesh.handle(hintProtocol, (from, bytes) => {
      const heard = decodeHint(bytes);
      if (heard === undefined) return;
      if (!('empty' in heard)) {
        learn(heard);
        const isNew = record !== undefined && heard.group !== record.group;
        if (!isNew || others.has(heard.group)) return;
        // It may not have listened when it was told of this one.
        others.set(heard.group, true);
        told.delete(from);
        return tell(from);
      }
      const view = replica?.view();
      const member = view?.config.members.find(({ seat }) => seat === heard.empty);
      if (member?.node === from && heard.group === record?.group) emptySeats.add(heard.empty);
    }),
    mesh.onChange(peerChanged),
  ];
  const suspend = adapters.watchSuspend(() => replica?.woke());

  await inTurn(async () => {
    const kept = await readGroupRecord(store);
    if (kept === undefined) return;
    if (kept.mesh === world.home().mesh) await openReplica(kept);
    else await leave(kept);
  });

  return {
    world,
    profile,
    emptySeats,
    replica: () => replica,
    isLeader,
    hint: () => hint,
    learn,
    asked(node) {
      // A node that begins to ask has only now begun to listen.
      if (askers.has(node)) return tell(node);
      askers.set(node, true);
      told.delete(node);
      tell(node);
    },
    doubt(leader) {
      if (replica === undefined && hint?.leader === leader) hint = { ...hint, leader: undefined };
    },
    begin() {
      beginning ??= inTurn(begin).finally(() => {
        beginning = undefined;
      });
      return beginning;
    },
    takeSeat: (group, seat) => inTurn(() => takeSeat(group, seat)),
    forgot: (reason) => inTurn(() => forgot(record, reason)),
    retime() {
      metrics.gauge('consensus.leader_phi', replica?.leaderPhi() ?? 0);
      const next = timingFor(profile, { syncMs: syncMs(), lateMs: replica?.lateMs() ?? 0 });
      if (next.electionMsMin === timing.electionMsMin) return;
      timing = next;
      replica?.timed(timing);
    },
    onChange,
    onTouched(listener) {
      touchListeners.add(listener);
      return () => void touchListeners.delete(listener);
    },
    async stop() {
      if (isStopped) return;
      isStopped = true;
      cancelRetry();
      await turn;
      await handOver(replica, { clock, isLeader, onChange });
      suspend.stop();
      for (const stop of stoppers) stop();
      listeners.clear();
      touchListeners.clear();
      await replica?.stop();
      replica = undefined;
    },
  };
}
