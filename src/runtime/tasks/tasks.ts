/** Tasks of the mesh at work: submitted anywhere, auctioned by the node they were given to, and by another one when that is gone. */

import { MycelError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Hardware } from '../../ports/hardware.ts';
import { isOver } from '../../protocol/agreement/ledger.ts';
import type { TaskSpec } from '../../protocol/agreement/ledger.ts';
import { parseSelector } from '../../protocol/placement/selector.ts';
import { decodeCbor, encodeCbor } from '../../wire/cbor.ts';
import type { Consensus } from '../consensus/part.ts';
import type { NodePart, PartWorld } from '../parts.ts';
import { nearest } from '../services/offer.ts';
import type { Pages } from '../services/pages.ts';
import { createAuctions } from './auctions.ts';
import { createBatchAuction, offersMethod } from './batches.ts';
import { createBidding } from './bidding.ts';
import type { TaskRunner } from './task-runner.ts';
import { createTakeover } from './takeover.ts';
import { figuresOf } from './figures.ts';
import type { TaskFigures } from './figures.ts';
import { createTaskLedger } from './task-ledger.ts';
import type { Entered } from './task-ledger.ts';
import { batchOf, specOf } from './task-request.ts';
import type { BatchRequest, TaskRequest } from './task-request.ts';
import { createTaskShelf } from './task-shelf.ts';
import { auctionInfo, newRecord, taskInfo, taskKindsMax, tasksMax } from './task-types.ts';
import type { AuctionInfo, TaskBody, TaskInfo, TaskRecord } from './task-types.ts';
import { readWord, taskProtocol } from './task-words.ts';
import type { TaskWord } from './task-words.ts';

/** After a start, the group's table is looked through after so long, in ms. */
const settleMs = 2_000;

/** A kind of tasks, and who takes it. */
export interface TakenKind {
  readonly kind: string;
  readonly nodes: readonly NodeId[];
}

/** The tasks of a node. */
export interface Tasks extends NodePart {
  /** Enters a task. The same id again gives the task that is there. @throws {MycelError} MYCEL_BAD_OPTION, MYCEL_TOO_LARGE, MYCEL_UNKNOWN_TASK, MYCEL_TASKS_FULL, MYCEL_NO_QUORUM */
  submit(request: TaskRequest): Promise<TaskInfo>;
  /** Enters tasks that are allotted together: all of them, or none. @throws {MycelError} as `submit` does */
  submitBatch(request: BatchRequest): Promise<readonly TaskInfo[]>;
  /** Waits until it is over. @throws {MycelError} MYCEL_UNKNOWN_TASK */
  outcome(id: string, signal?: AbortSignal): Promise<TaskInfo>;
  /** Resolves with whether it was still to be cancelled: what is done stays done. @throws {MycelError} MYCEL_UNKNOWN_TASK */
  cancel(id: string): Promise<boolean>;
  /** Takes a kind of tasks on this node; returns the function that ends it. @throws {MycelError} MYCEL_BAD_OPTION */
  offer(runner: TaskRunner): () => void;
  /** What is known here, the youngest last. */
  list(): readonly TaskInfo[];
  auctions(): readonly AuctionInfo[];
  figures(): TaskFigures;
  kinds(): readonly TakenKind[];
}

/** Builds them. */
export function createTasks(
  world: PartWorld,
  pages: Pages,
  consensus: Consensus,
  hardware: Hardware,
): Tasks {
  const { calls, clock, log, mesh, metrics } = world;
  const random = world.random();
  const shelf = createTaskShelf(world);
  const ledger = createTaskLedger(world, consensus);
  let isStopped = true;
  let ends: (() => void)[] = [];
  let cancelTell: (() => void) | undefined;

  const send = (to: NodeId, word: TaskWord): void =>
    void mesh.send(to, taskProtocol, encodeCbor(word));

  function member(id: NodeId) {
    return world.node.members().find((one) => one.id === id);
  }

  function fits(id: NodeId, { needs, select }: TaskBody): boolean {
    const known = member(id);
    const selector = parseSelector(select);
    if (known === undefined || 'problem' in selector) return false;
    return needs.every((need) => known.capabilities.includes(need)) && selector.matches(known);
  }

  /** Kinds by the node that takes them. */
  function takers(): { readonly node: NodeId; readonly kinds: readonly string[] }[] {
    const others = pages
      .read('tasks')
      .filter(({ node }) => node !== mesh.self)
      .map(({ node, value }) => ({
        node,
        kinds: Array.isArray(value) ? value.slice(0, taskKindsMax).map(String) : [],
      }));
    return [{ node: mesh.self, kinds: bidding.kinds() }, ...others];
  }

  const bidders = (body: TaskBody): NodeId[] =>
    takers()
      .filter(({ node, kinds }) => kinds.includes(body.kind) && fits(node, body))
      .map(({ node }) => node);

  const bidding = createBidding({
    world,
    hardware,
    send,
    fits: (body) => fits(mesh.self, body),
    wishesMet(body) {
      const has = member(mesh.self)?.capabilities ?? [];
      return body.prefers.filter((wish) => has.includes(wish)).length;
    },
  });
  const auctions = createAuctions({ world, shelf, ledger, bidders, send });
  const takeover = createTakeover({
    world,
    shelf,
    ledger,
    auctions,
    send,
    isStopped: () => isStopped,
  });

  /** Many offers of one moment are one word to the others. */
  function tell(): void {
    cancelTell ??= clock.alarm(clock.now() + 5, () => {
      cancelTell = undefined;
      if (isStopped) return;
      pages.write('tasks', bidding.kinds());
      auctions.biddersChanged();
    });
  }

  // Words.

  function received(from: NodeId, bytes: Uint8Array): void {
    const word = readWord(bytes);
    if (word === undefined) return metrics.drop('tasks', 'malformed');
    if (word.t === 'bid' || word.t === 'decline' || word.t === 'accept') {
      auctions.hear(from, word);
    } else if (word.t === 'renew' || word.t === 'report') {
      if (!auctions.hear(from, word)) redirect(from, word);
    } else bidding.hear(from, word);
  }

  /** Somebody works for an auctioneer that this node is not, or not any more. */
  function redirect(from: NodeId, word: TaskWord & { t: 'renew' | 'report' }): void {
    const known = shelf.get(word.task);
    if (known === undefined) return;
    const { task, epoch } = word;
    if (isOver(known.ledger.state)) {
      if (word.t === 'report') send(from, { t: 'acknowledge', task, epoch });
      else send(from, { t: 'renewal', task, epoch, turn: word.turn, isHeld: false });
    } else if (known.auctioneer !== mesh.self) {
      send(from, { t: 'moved', task, to: known.auctioneer });
    }
  }

  function changed(record: TaskRecord): void {
    const { id } = record.ledger.spec;
    if (record.auctioneer === mesh.self) return;
    auctions.abandon(id);
    if (!isOver(record.ledger.state)) bidding.moved(id, record.auctioneer);
  }

  function lost(node: NodeId): void {
    auctions.biddersChanged(node);
    takeover.lost(node);
  }

  // Asking.

  function drawId(): string {
    const part = (): string => random.below(0x1_0000_0000).toString(16).padStart(8, '0');
    return part() + part();
  }

  /** Puts a new task into the ledger; somebody else's that is there already is told instead. */
  async function enter(
    spec: TaskSpec<TaskBody>,
  ): Promise<{ readonly entered: Entered; readonly isOwn: boolean }> {
    const outcome = await ledger.enter(newRecord(spec, mesh.self, clock.wallMs()), 0, () => false);
    return 'lost' in outcome
      ? { entered: outcome.lost, isOwn: false }
      : { entered: outcome.entered, isOwn: true };
  }

  function refuseUnknown(body: TaskBody): void {
    if (bidders(body).length > 0) return;
    const known = new Set(takers().flatMap(({ kinds }) => kinds));
    const near = nearest(body.kind, known);
    const isTaken = known.has(body.kind);
    throw new MycelError('MYCEL_UNKNOWN_TASK', {
      reason: isTaken
        ? `Nodes take '${body.kind}', but none of them has ${body.needs.join(', ') || 'the labels asked for'}.`
        : `No node takes '${body.kind}'${near === undefined ? '' : `; did you mean '${near}'?`}`,
      ...(near === undefined || isTaken ? {} : { nearest: near }),
      fix:
        known.size === 0
          ? 'Deploy an agent with "tasks".'
          : `There are: ${[...known].sort().slice(0, 8).join(', ')}.`,
    });
  }

  return {
    async start() {
      isStopped = false;
      shelf.start();
      bidding.start();
      ends = [
        mesh.handle(taskProtocol, received),
        mesh.onChange((change) => {
          if (change.kind === 'down') lost(change.node);
          else if (change.kind === 'up') auctions.biddersChanged();
        }),
        pages.onChange(() => auctions.biddersChanged()),
        shelf.onChange(changed),
        calls.serve(offersMethod, async (body, { from }) => {
          const offers = await bidding.offers(from, body);
          if (offers === undefined) metrics.drop('tasks', 'malformed');
          return encodeCbor(offers ?? []);
        }),
        calls.serve('tasks/cancel', async (body) => {
          const id = String(decodeCbor(body));
          return encodeCbor(auctions.cancel(id, 'it was cancelled'));
        }),
        clock.alarm(clock.now() + settleMs, () => {
          takeover
            .recover()
            .catch((error: unknown) => log.warn({ error }, 'tasks were not recovered'));
        }),
      ];
      if (bidding.kinds().length > 0) tell();
    },
    async stop() {
      isStopped = true;
      cancelTell?.();
      cancelTell = undefined;
      for (const end of ends.splice(0)) end();
      auctions.stop();
      bidding.stop();
      ledger.stop();
      shelf.stop();
    },
    async submit(request) {
      if (isStopped) throw new MycelError('MYCEL_NOT_RUNNING');
      const spec = specOf(request, mesh.self, clock.wallMs(), drawId);
      const known = shelf.get(spec.id);
      if (known !== undefined) return taskInfo(known);
      if (request.mayWait !== true) refuseUnknown(spec.body);
      if (auctions.liveCount() >= tasksMax) throw new MycelError('MYCEL_TASKS_FULL');
      const { entered, isOwn } = await enter(spec);
      if (isOwn && !auctions.has(spec.id)) auctions.open(entered, true);
      else shelf.put(entered.record, false);
      metrics.count('tasks.submitted');
      return taskInfo(shelf.get(spec.id) ?? entered.record);
    },
    async submitBatch(request) {
      if (isStopped) throw new MycelError('MYCEL_NOT_RUNNING');
      const { rule, specs } = batchOf(request, mesh.self, clock.wallMs(), drawId);
      const fresh = specs.filter(({ id }) => !shelf.get(id));
      for (const { id, body } of fresh) {
        const asked = request.tasks[specs.findIndex((spec) => spec.id === id)];
        if (asked?.mayWait !== true) refuseUnknown(body);
      }
      if (auctions.liveCount() + fresh.length > tasksMax) throw new MycelError('MYCEL_TASKS_FULL');
      const outcomes = await Promise.allSettled(fresh.map(enter));
      const failed = outcomes.find((one) => one.status === 'rejected');
      const here = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
      const own = here.filter(
        ({ entered, isOwn }) => isOwn && !auctions.has(entered.record.ledger.spec.id),
      );
      const batch = createBatchAuction(
        world,
        rule,
        own.map(({ entered }) => entered.record.ledger.spec),
      );
      for (const { entered } of own) {
        auctions.open(entered, true, batch);
        // All or none: what was entered before one could not be is given up.
        if (failed !== undefined)
          auctions.cancel(entered.record.ledger.spec.id, 'another task of its batch was refused');
      }
      if (failed !== undefined) throw failed.reason;
      for (const { entered, isOwn } of here) if (!isOwn) shelf.put(entered.record, false);
      metrics.count('tasks.submitted', fresh.length);
      return specs.flatMap(({ id }) => {
        const record = shelf.get(id);
        return record === undefined ? [] : [taskInfo(record)];
      });
    },
    outcome(id, signal) {
      return new Promise((resolve, reject) => {
        const known = shelf.get(id);
        if (known === undefined) return reject(unknownTask(id));
        if (isOver(known.ledger.state)) return resolve(taskInfo(known));
        const end = shelf.onChange((record) => {
          if (record.ledger.spec.id !== id || !isOver(record.ledger.state)) return;
          stop();
          resolve(taskInfo(record));
        });
        const abort = (): void => {
          stop();
          reject(signal?.reason as Error);
        };
        const stop = (): void => {
          end();
          signal?.removeEventListener('abort', abort);
        };
        if (signal?.aborted === true) abort();
        else signal?.addEventListener('abort', abort);
      });
    },
    async cancel(id) {
      const known = shelf.get(id);
      if (known === undefined) throw unknownTask(id);
      if (isOver(known.ledger.state)) return false;
      if (known.auctioneer === mesh.self) return auctions.cancel(id, 'it was cancelled');
      const answer = await calls.call(known.auctioneer, 'tasks/cancel', encodeCbor(id), {
        deadlineMs: 5_000,
      });
      return decodeCbor(answer) === true;
    },
    offer(runner) {
      if (bidding.kinds().length >= taskKindsMax && !bidding.kinds().includes(runner.kind)) {
        throw new MycelError('MYCEL_BAD_OPTION', {
          reason: `A node takes ${taskKindsMax} kinds of tasks at most.`,
        });
      }
      const end = bidding.offer(runner);
      if (!isStopped) tell();
      return () => {
        end();
        if (!isStopped) tell();
      };
    },
    list: () => shelf.all().map(taskInfo),
    auctions: () => shelf.all().map(auctionInfo),
    figures: () => figuresOf(metrics.snapshot().counters, auctions.waitsMs()),
    kinds() {
      const nodes = new Map<string, NodeId[]>();
      for (const { node, kinds } of takers()) {
        for (const kind of kinds) nodes.set(kind, [...(nodes.get(kind) ?? []), node]);
      }
      return [...nodes.keys()].sort().map((kind) => ({ kind, nodes: nodes.get(kind) ?? [] }));
    },
  };
}

function unknownTask(id: string): MycelError {
  return new MycelError('MYCEL_UNKNOWN_TASK', {
    reason: `No task '${id.slice(0, 64)}' is known here.`,
    fix: 'See "mycel tasks".',
  });
}
