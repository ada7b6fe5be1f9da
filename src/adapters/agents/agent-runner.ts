/**
 * Runs an agent's definition against a port of words. The function is handed to threads and processes as text, so it
 * uses nothing but what is inside it.
 */

import type { FromCell, ToCell } from '../../ports/agent-cell.ts';

/** What the runner needs of an agent's module. */
export interface RunnableAgent {
  init?(self: unknown, saved: unknown): unknown;
  handle?(state: unknown, message: unknown, self: unknown): unknown;
  stop?(state: unknown, self: unknown): unknown;
  bid?(task: unknown, facts: unknown, state: unknown, self: unknown): unknown;
  run?(task: unknown, state: unknown, self: unknown): unknown;
}

/** Takes words; the agent's are given to `say`. */
export type Runner = (word: ToCell) => void;

/** Builds a runner. Self-contained: it is turned into text. */
export function createRunner(agent: RunnableAgent, say: (word: FromCell) => void): Runner {
  const asks = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  const timers = new Set<ReturnType<typeof setTimeout>>();
  let nextAsk = 1;
  let nextAnswer = 1;
  let state: unknown;
  let isOver = false;
  let turn: Promise<unknown> = Promise.resolve();

  const works = new Map<number, AbortController>();

  const fail = (error: unknown): void => {
    if (isOver) return;
    isOver = true;
    for (const timer of timers) clearTimeout(timer);
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    say({ t: 'failed', reason: reason.slice(0, 2_000) });
  };

  const ask = (op: string, ...args: unknown[]): Promise<unknown> => {
    if (isOver) return Promise.reject(new Error('the agent has stopped'));
    const id = nextAsk;
    nextAsk += 1;
    return new Promise((resolve, reject) => {
      asks.set(id, { resolve, reject });
      say({ t: 'ask', id, op, args });
    });
  };

  /** One thing at a time: a message is handled before the next one, and timers take turns with messages. */
  const inTurn = (run: () => unknown): Promise<unknown> => {
    const mine = turn.then(() => (isOver ? undefined : run()));
    turn = mine.catch(fail);
    return mine;
  };

  const start = (saved: unknown, info: object): void => {
    const every = (ms: number, run: () => unknown): (() => void) => {
      let timer: ReturnType<typeof setTimeout>;
      const arm = (): void => {
        timer = setTimeout(() => {
          timers.delete(timer);
          void inTurn(run).then(() => {
            if (!isOver) arm();
          }, fail);
        }, ms);
        timers.add(timer);
      };
      arm();
      return () => {
        clearTimeout(timer);
        timers.delete(timer);
      };
    };
    const after = (ms: number, run: () => unknown): (() => void) => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        inTurn(run).catch(fail);
      }, ms);
      timers.add(timer);
      return () => {
        clearTimeout(timer);
        timers.delete(timer);
      };
    };
    // An answer has a number: what goes over the port is plain, so a signal is told as a word of its own.
    const answering = async (
      what: string,
      given: unknown,
      options: Readonly<Record<string, unknown>> | undefined,
    ): Promise<{
      readonly call: number;
      readonly value: unknown;
      cancel(): void;
      done(): void;
    }> => {
      const { signal, ...plain } = (options ?? {}) as { signal?: AbortSignal };
      signal?.throwIfAborted();
      const call = nextAnswer;
      nextAnswer += 1;
      const cancel = (): void => void ask('llm', 'cancel', call).catch(() => {});
      const done = (): void => signal?.removeEventListener('abort', cancel);
      signal?.addEventListener('abort', cancel, { once: true });
      try {
        return { call, value: await ask('llm', what, call, given, plain), cancel, done };
      } catch (error) {
        done();
        throw signal?.aborted === true ? signal.reason : error;
      }
    };
    const once = async (what: string, given: unknown, options?: object): Promise<unknown> => {
      const { value, done } = await answering(what, given, options as Record<string, unknown>);
      done();
      return value;
    };
    const stream = async function* (given: unknown, options?: object): AsyncGenerator<unknown> {
      const { call, cancel, done } = await answering(
        'open',
        given,
        options as Record<string, unknown>,
      );
      let isWhole = false;
      try {
        while (!isWhole) {
          const lot = (await ask('llm', 'next', call)) as { steps: unknown[]; isOver: boolean };
          isWhole = lot.isOver;
          yield* lot.steps;
        }
      } finally {
        done();
        if (!isWhole) cancel();
      }
    };
    const self = {
      ...info,
      every,
      after,
      publish: (topic: string, payload: unknown, options?: unknown) =>
        ask('publish', topic, payload, options),
      subscribe: (filter: string) => ask('subscribe', filter),
      call: (target: string, input?: unknown, options?: unknown) =>
        ask('call', target, input, options),
      send: (to: string, body: unknown) => ask('send', to, body),
      neighbours: () => ask('neighbours'),
      tellNeighbours: (body: unknown) => ask('tell', body),
      checkpoint: (saving: unknown) => ask('checkpoint', saving),
      monitor: (instance: string) => ask('monitor', instance),
      demonitor: (ref: number) => ask('demonitor', ref),
      link: (instance: string) => ask('link', instance),
      device: {
        oneWire: () => ask('device', 'oneWire'),
        temperature: (sensor: string) => ask('device', 'temperature', sensor),
        readPin: (pin: unknown) => ask('device', 'readPin', pin),
        writePin: (pin: unknown, level: unknown) => ask('device', 'writePin', pin, level),
        readI2c: (at: unknown, register: unknown, length: unknown) =>
          ask('device', 'readI2c', at, register, length),
        writeI2c: (at: unknown, register: unknown, bytes: unknown) =>
          ask('device', 'writeI2c', at, register, bytes),
        openSerial: (path: string, options?: unknown) => ask('device', 'openSerial', path, options),
        writeSerial: (path: string, bytes: unknown) => ask('device', 'writeSerial', path, bytes),
      },
      llm: {
        chat: (request: unknown, options?: object) => once('chat', request, options),
        embed: (texts: unknown, options?: object) => once('embed', texts, options),
        stream,
      },
      log: (text: string) => void ask('log', String(text)).catch(() => {}),
    };
    inTurn(async () => {
      state = await agent.init?.(self, saved);
      say({ t: 'ready' });
    }).catch(fail);
    deliver = (id, message) => {
      inTurn(async () => {
        const next = await agent.handle?.(state, message, self);
        if (next !== undefined) state = next;
      }).then(() => say({ t: 'handled', id }), fail);
    };
    // Tasks do not take turns: many run at once, and messages are handled meanwhile.
    const answer = (id: number, make: () => unknown): void => {
      Promise.resolve()
        .then(make)
        .then((value) => say({ t: 'answer', id, isOk: true, value }))
        .catch((error: unknown) => {
          const value = error instanceof Error ? error.message : String(error);
          say({ t: 'answer', id, isOk: false, value: value.slice(0, 500) });
        })
        .finally(() => works.delete(id))
        .catch(fail);
    };
    bid = (id, task, facts) => answer(id, () => agent.bid?.(task, facts, state, self));
    work = (id, task) => {
      const control = new AbortController();
      works.set(id, control);
      answer(id, () => {
        if (typeof agent.run !== 'function') throw new Error('the agent has no "run"');
        return agent.run({ ...(task as object), signal: control.signal }, state, self);
      });
    };
    stop = () => {
      for (const timer of timers) clearTimeout(timer);
      for (const control of works.values()) control.abort(new Error('the agent stops'));
      void inTurn(() => agent.stop?.(state, self)).then(() => {
        isOver = true;
        say({ t: 'stopped' });
      }, fail);
    };
  };
  let deliver: (id: number, message: unknown) => void = () => {};
  let bid: (id: number, task: unknown, facts: unknown) => void = () => {};
  let work: (id: number, task: unknown) => void = () => {};
  let stop = (): void => {
    isOver = true;
    say({ t: 'stopped' });
  };

  return (word) => {
    if (word.t === 'start') start(word.saved, word.info);
    else if (word.t === 'deliver') deliver(word.id, word.message);
    else if (word.t === 'ping') say({ t: 'pong', id: word.id });
    else if (word.t === 'stop') stop();
    else if (word.t === 'bid') bid(word.id, word.task, word.facts);
    else if (word.t === 'work') work(word.id, word.task);
    else if (word.t === 'halt')
      works.get(word.id)?.abort(new Error("the task is another node's now"));
    else {
      const waiting = asks.get(word.id);
      asks.delete(word.id);
      if (word.isOk) waiting?.resolve(word.value);
      else {
        const { message, code } = word.value as { message: string; code?: string };
        waiting?.reject(Object.assign(new Error(message), { code }));
      }
    }
  };
}

/** Takes the agent out of its module: the export `agent`, or the only export that looks like one. */
export function pickAgent(module: Readonly<Record<string, unknown>>): RunnableAgent | undefined {
  const isAgent = (value: unknown): value is RunnableAgent =>
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { name?: unknown }).name === 'string' &&
    (typeof (value as RunnableAgent).init === 'function' ||
      typeof (value as RunnableAgent).handle === 'function' ||
      typeof (value as RunnableAgent).run === 'function');
  if (isAgent(module['agent'])) return module['agent'];
  if (isAgent(module['default'])) return module['default'];
  const found = Object.values(module).filter(isAgent);
  return found.length === 1 ? found[0] : undefined;
}

/** The module as something `import` takes, on every thread and process. */
export function moduleUrl(code: string): string {
  return `data:text/javascript;base64,${Buffer.from(code, 'utf8').toString('base64')}`;
}

/** The program of a thread or process: loads the agent and runs it over `send` and `receive`. */
export function runnerProgram(code: string, wiring: string): string {
  return `
const pickAgent = ${pickAgent.toString()};
const createRunner = ${createRunner.toString()};
${wiring}
process.on('uncaughtException', (error) => say({ t: 'failed', reason: String(error?.stack ?? error).slice(0, 2000) }));
process.on('unhandledRejection', (error) => say({ t: 'failed', reason: String(error?.stack ?? error).slice(0, 2000) }));
try {
  const agent = pickAgent(await import(${JSON.stringify(moduleUrl(code))}));
  if (agent === undefined) say({ t: 'failed', reason: 'the module exports no agent' });
  else receive(createRunner(agent, say));
} catch (error) {
  say({ t: 'failed', reason: String(error?.stack ?? error).slice(0, 2000) });
}
`;
}
