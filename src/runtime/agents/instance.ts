/** One agent at work on this node: its cell, its mailbox, its supervision, and what it may ask of the node. */

import type { Millis } from '../../kernel/core.ts';
import { MycelError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type { Cell, Cells, FromCell, Isolation } from '../../ports/agent-cell.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import { createSupervisor } from '../../protocol/supervision/supervisor.ts';
import type { SupervisorEffect } from '../../protocol/supervision/supervisor.ts';
import { drive } from '../drive.ts';
import { createCellAsks } from './cell-asks.ts';

/** Messages that wait for one agent; senders are told, subscriptions lose the oldest. */
export const mailboxMax = 256;

/** Messages given to an agent and not handled yet. */
const inHandMax = 8;

/** Time between two looks at a thread or process, and how long it may take to answer, in ms. */
const pingMs: Millis = 1_000;
const pongMsMax: Millis = 4_000;

/** How long an agent may take to stop, in ms. */
const stopMs: Millis = 2_000;

/** What an instance is at. */
export type InstanceState = 'starting' | 'running' | 'waiting' | 'stopping' | 'failed';

/** What an instance is given. */
export interface InstanceOptions {
  readonly agent: string;
  readonly instance: string;
  readonly node: string;
  readonly fence: number;
  readonly code: string;
  readonly isolation: Isolation;
  readonly heapMb: number;
  readonly cells: Cells;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** What the last run left: read at every start. */
  saved(): unknown;
  /** Does what the agent asks; its answer goes back. `undefined` from `pass`: there is no doubt. */
  perform(op: string, args: readonly unknown[]): Promise<unknown>;
  pass(): Promise<void> | undefined;
  /** The state or the count of restarts changed. */
  changed(): void;
  /** A run ended in failure, or the instance for good. */
  died(reason: 'failure' | 'stopped'): void;
}

/** A supervised agent. */
export interface Instance {
  readonly state: () => InstanceState;
  readonly restarts: () => number;
  readonly since: () => number;
  readonly reason: () => string | undefined;
  /** Puts a message into the mailbox. @returns false when it is full */
  deliver(message: unknown, mayDropOldest: boolean): boolean;
  /** What a task would cost the agent; undefined: it will not. Rejects when it does not answer in time. */
  bid(task: unknown, facts: unknown, withinMs: Millis): Promise<unknown>;
  /** Has a task done. Rejects when the agent fails or ends; the signal tells it to stop. */
  work(task: unknown, signal: AbortSignal): Promise<unknown>;
  /** Fails the current run, as a link does. */
  fail(reason: string): void;
  stop(): Promise<void>;
  /** Ends it at once: it has lost its fence. */
  kill(): void;
}

/** Starts an instance. */
export function startInstance(options: InstanceOptions): Instance {
  const { clock, log, instance } = options;
  const mailbox: { id: number; message: unknown }[] = [];
  let state: InstanceState = 'starting';
  let since = clock.wallMs();
  let restarts = 0;
  let reason: string | undefined;
  let cell: Cell | undefined;
  let inHand = 0;
  let nextMessage = 1;
  const asked = createCellAsks(clock);
  let isReady = false;
  let isOver = false;
  let cancelPing = (): void => {};
  let cancelStop = (): void => {};
  let lastPongAt = 0;
  let settled = (): void => {};
  const stopped = new Promise<void>((resolve) => (settled = resolve));

  function enter(next: InstanceState): void {
    if (state === next) return;
    state = next;
    since = clock.wallMs();
    options.changed();
  }

  function flush(): void {
    while (isReady && inHand < inHandMax && mailbox.length > 0) {
      const next = mailbox.shift();
      if (next === undefined) return;
      inHand += 1;
      cell?.tell({ t: 'deliver', ...next });
    }
  }

  function answer(to: Cell, id: number, op: string, args: readonly unknown[]): void {
    const act = async (): Promise<unknown> => {
      // Looked at again right before the deed: a freeze may lie between.
      for (let doubt = options.pass(); doubt !== undefined; doubt = options.pass()) await doubt;
      if (isOver || cell !== to) throw new MycelError('MYCEL_FENCED', { instance });
      return options.perform(op, args);
    };
    act().then(
      (value) => to.tell({ t: 'reply', id, isOk: true, value }),
      (error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        const code = MycelError.is(error) ? error.code : undefined;
        to.tell({ t: 'reply', id, isOk: false, value: { message, code } });
      },
    );
  }

  function hear(from: Cell, word: FromCell): void {
    if (from !== cell) return;
    switch (word.t) {
      case 'ready':
        isReady = true;
        enter('running');
        flush();
        break;
      case 'ask':
        answer(from, word.id, word.op, word.args);
        break;
      case 'handled':
        inHand -= 1;
        flush();
        break;
      case 'pong':
        lastPongAt = clock.now();
        break;
      case 'answer':
        asked.answered(word.id, word.isOk, word.value);
        break;
      case 'failed':
        reason = word.reason;
        log.warn({ instance, reason: word.reason }, 'an agent failed');
        break;
      case 'stopped':
        break;
    }
  }

  function ping(watched: Cell): void {
    cancelPing = clock.alarm(clock.now() + pingMs, () => {
      if (cell !== watched) return;
      if (clock.now() - lastPongAt > pongMsMax) {
        reason = `it did not answer for ${pongMsMax} ms`;
        log.warn({ instance }, 'an agent does not answer and is ended');
        watched.kill();
        return;
      }
      watched.tell({ t: 'ping', id: 0 });
      ping(watched);
    });
  }

  function open(number: number): void {
    isReady = false;
    inHand = 0;
    enter('starting');
    const { code, isolation, heapMb, agent, node, fence } = options;
    const own: Cell = options.cells.open(isolation, {
      code,
      heapMb,
      said: (word) => hear(own, word),
      ended: (why) => gone(own, number, why),
    });
    cell = own;
    lastPongAt = clock.now();
    own.tell({ t: 'start', saved: options.saved(), info: { agent, instance, node, fence } });
    if (isolation !== 'in-process') ping(own);
  }

  function gone(which: Cell, number: number, why: string | undefined): void {
    if (which !== cell) return;
    cell = undefined;
    asked.clear('the agent ended');
    cancelPing();
    cancelStop();
    reason = why ?? reason;
    const how = why === undefined ? 'normal' : 'failure';
    if (how === 'failure' && !isOver) options.died('failure');
    supervisor.feed({ type: 'ended', child: instance, run: number, how });
  }

  function obey(effect: SupervisorEffect): void {
    if (effect.type === 'start') {
      open(effect.run);
      supervisor.feed({ type: 'started', child: instance, run: effect.run });
    } else if (effect.type === 'stop') {
      enter('stopping');
      const ending = cell;
      ending?.tell({ t: 'stop' });
      cancelStop = clock.alarm(clock.now() + stopMs, () => ending?.kill());
    } else if (effect.type === 'escalate') {
      reason = `it failed ${effect.restarts} times in a short while: ${reason ?? ''}`.slice(
        0,
        2_000,
      );
      enter('failed');
    } else if (effect.type === 'release') settled();
  }

  const core = createSupervisor({ intensity: 5, periodMs: 30_000 }, options.random);
  const supervisor = drive(core, {
    clock,
    tick: { type: 'tick' },
    run(effect) {
      obey(effect);
      const [child] = core.view().children;
      if (child !== undefined && child.restarts !== restarts) {
        restarts = child.restarts;
        if (child.state === 'waiting') enter('waiting');
        options.changed();
      }
    },
    failed: (effect, error) =>
      log.error({ error, effect: effect.type, instance }, 'an agent could not be supervised'),
    overflowed: () => {},
  });
  supervisor.feed({ type: 'added', child: instance, restart: 'permanent' });

  return {
    state: () =>
      state !== 'failed' && core.view().children[0]?.state === 'waiting' ? 'waiting' : state,
    restarts: () => core.view().children[0]?.restarts ?? restarts,
    since: () => since,
    reason: () => reason,
    deliver(message, mayDropOldest) {
      if (isOver || state === 'failed') return false;
      if (mailbox.length >= mailboxMax) {
        if (!mayDropOldest) return false;
        mailbox.shift();
      }
      mailbox.push({ id: nextMessage, message });
      nextMessage += 1;
      flush();
      return true;
    },
    bid: (task, facts, withinMs) =>
      asked.ask(isReady ? cell : undefined, (id) => ({ t: 'bid', id, task, facts }), { withinMs }),
    work: (task, signal) =>
      asked.ask(isReady ? cell : undefined, (id) => ({ t: 'work', id, task }), { signal }),
    fail(why) {
      reason = why;
      cell?.kill();
    },
    async stop() {
      if (isOver) return;
      supervisor.feed({ type: 'removed', child: instance });
      if (cell === undefined) settled();
      await stopped;
      isOver = true;
      supervisor.stop();
      options.died('stopped');
    },
    kill() {
      if (isOver) return;
      isOver = true;
      supervisor.stop();
      cancelPing();
      cancelStop();
      const ending = cell;
      cell = undefined;
      asked.clear('another node holds the agent now');
      ending?.tell({ t: 'stop' });
      ending?.kill();
      settled();
      options.died('stopped');
    },
  };
}
