/** Tasks that nodes allot among themselves without an auctioneer: the consensus-based bundle algorithm over the mesh. */

import * as z from 'zod/mini';
import { MycelError } from '../../kernel/errors.ts';
import { isNodeId } from '../../kernel/ids.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { bundlePeersMax, bundleTasksMax, createBundles } from '../../protocol/agreement/bundles.ts';
import type { BundleEffect, BundleInput } from '../../protocol/agreement/bundles.ts';
import type { Word } from '../../protocol/agreement/bundle-rules.ts';
import { drive } from '../drive.ts';
import type { PartWorld } from '../parts.ts';
import type { Pages } from '../services/pages.ts';
import type { Services } from '../services/services.ts';
import { answering, serviceOf } from './offered.ts';

const namespace = '$allot';

/** How long one telling may take, in ms: what is lost is said again. */
const tellMs = 2_000;

/** Longest name of a task. */
const taskLengthMax = 64;

/** How a node takes part in an allotment. */
export interface AllotmentOptions {
  /** What there is to do: the same names at every node that takes part, up to 512. */
  readonly tasks: readonly string[];
  /** Tasks this node takes at most, 0 or more. */
  readonly bundleMax: number;
  /** What this task adds to those this node has already, in the order they were added; 0 or less, or a throw: not wanted. */
  readonly worth: (bundle: readonly string[], task: string) => number;
  /** What this node holds has changed. */
  readonly changed?: (tasks: readonly string[]) => void;
}

/** A node's place in an allotment. */
export interface Allotment {
  /** What this node holds, best first. */
  held(): readonly string[];
  /** Who holds what, as far as this node knows. */
  winners(): ReadonlyMap<string, NodeId>;
  /** Whether this node has nothing new to tell: when all are quiet, no task has two holders. */
  isQuiet(): boolean;
  /** Other tasks from now on. @throws {MycelError} MYCEL_BAD_OPTION */
  retask(tasks: readonly string[]): void;
  /** Leaves: what it held goes to others. */
  stop(): void;
}

const node = z.string().check(z.refine(isNodeId));
const wordSchema = z.object({
  beliefs: z
    .array(
      z.object({
        task: z.string().check(z.maxLength(taskLengthMax)),
        winner: node,
        amount: z.number(),
      }),
    )
    .check(z.maxLength(bundleTasksMax)),
  heard: z
    .array(z.object({ node, at: z.int().check(z.gte(0)) }))
    .check(z.maxLength(bundlePeersMax + 1)),
});
/** `isLeaving`: what the teller held is open again. */
const told = z.object({ word: wordSchema, isLeaving: z.boolean() });

function check(tasks: readonly string[]): void {
  const isSound =
    tasks.length <= bundleTasksMax &&
    tasks.every((task) => task.length > 0 && task.length <= taskLengthMax);
  if (isSound) return;
  throw new MycelError('MYCEL_BAD_OPTION', {
    reason: `An allotment has ${bundleTasksMax} tasks at most, with names of 1 to ${taskLengthMax} characters.`,
  });
}

/** Takes part. */
export function takePart(
  { clock, log, mesh }: PartWorld,
  services: Services,
  pages: Pages,
  name: string,
  options: AllotmentOptions,
): Allotment {
  check(options.tasks);
  if (!(options.bundleMax >= 0)) {
    throw new MycelError('MYCEL_BAD_OPTION', { reason: "'bundleMax' is a number of tasks." });
  }
  const core = createBundles({
    self: mesh.self,
    bundleMax: options.bundleMax,
    worth(bundle, task) {
      try {
        return options.worth(bundle, task);
      } catch (error) {
        // A step of the core that is broken off would never end.
        log.warn({ error, allotment: name, task }, 'the worth of a task could not be told');
        return 0;
      }
    },
  });
  let peers: readonly NodeId[] = [];
  let isStopped = false;

  const tell = (to: NodeId, word: Word, isLeaving: boolean): void => {
    services
      .call(`${name}.tell`, { word, isLeaving }, { namespace, node: to, timeoutMs: tellMs })
      .catch((error: unknown) => log.debug({ error, to }, 'a word of an allotment was lost'));
  };
  const driver = drive<BundleInput, BundleEffect>(core, {
    clock,
    tick: { type: 'tick' },
    run(effect) {
      if (effect.type === 'tell') tell(effect.to as NodeId, effect.word, false);
      else options.changed?.(effect.tasks);
    },
    failed: (_, error) => log.warn({ error, allotment: name }, 'an allotment could not go on'),
    overflowed: () => undefined,
  });

  function others(): readonly NodeId[] {
    return services
      .list()
      .filter((one) => one.namespace === namespace && one.service === name)
      .map((one) => one.node)
      .filter((id) => id !== mesh.self)
      .sort();
  }

  function lookAround(): void {
    const now = others();
    if (now.join() === peers.join()) return;
    const gone = peers.filter((id) => !now.includes(id));
    peers = now;
    driver.feed({ type: 'peers', ids: peers });
    for (const id of gone) driver.feed({ type: 'gone', id });
  }

  const hear = answering(told, z.null(), ({ word, isLeaving }, { from }) => {
    lookAround();
    if (isLeaving) driver.feed({ type: 'gone', id: from });
    else driver.feed({ type: 'told', from, word });
    return null;
  });
  const withdraw = services.provide(serviceOf(namespace, name, { tell: hear }));
  const ends = [pages.onChange(lookAround), mesh.onChange(() => setImmediate(lookAround))];
  driver.feed({ type: 'tasks', ids: options.tasks });
  lookAround();

  return {
    held: () => core.view().bundle,
    winners: () => core.view().winners as ReadonlyMap<string, NodeId>,
    isQuiet: () => core.view().isQuiet,
    retask(tasks) {
      check(tasks);
      driver.feed({ type: 'tasks', ids: tasks });
    },
    stop() {
      if (isStopped) return;
      isStopped = true;
      for (const end of ends) end();
      driver.stop();
      for (const to of peers) tell(to, { beliefs: [], heard: [] }, true);
      withdraw();
    },
  };
}
