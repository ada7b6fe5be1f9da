/** Sinks of effects: what must be done by the holder of a lock alone, guarded where it is done. */

import { MycelError } from '../../kernel/errors.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import type { MeshId, NodeId } from '../../kernel/ids.ts';
import type { CallContext, CallOptions } from '../../ports/calls.ts';
import { createEffectGate } from '../../protocol/agreement/effect-gate.ts';
import type {
  EffectGateEffect,
  EffectGateInput,
  EffectRefusal,
} from '../../protocol/agreement/effect-gate.ts';
import { decodeEffect, decodeSeen, encodeEffect, encodeSeen } from '../../wire/effect-codec.ts';
import type { EffectMessage } from '../../wire/effect-codec.ts';
import type { PartWorld } from '../parts.ts';

/** What a sink may be called: its record on disk bears the name. */
export const sinkNamePattern: RegExp = /^[a-z0-9][a-z0-9_-]{0,63}$/;

/** Sinks one node may have. */
export const sinksMax = 64;

/** An effect as its sink carries it out. */
export interface EffectTurn extends EffectMessage {
  readonly from: NodeId;
  /** Aborts when a later holder waits, or nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** Carries an effect out; what it gives is the answer. */
export type EffectHandler = (turn: EffectTurn) => Promise<Uint8Array>;

/** The effects of one node. */
export interface Effects {
  /** Opens a sink; returns the function that closes it. @throws {MycelError} MYCEL_BAD_OPTION */
  sink(name: string, handler: EffectHandler): () => void;
  /** Has an effect done at a member's sink. */
  apply(
    to: NodeId,
    sink: string,
    message: EffectMessage,
    options: CallOptions,
  ): Promise<Uint8Array>;
  /** Ends what runs. */
  stop(): void;
}

interface Turn {
  readonly message: EffectMessage;
  readonly from: NodeId;
  readonly control: AbortController;
  resolve(answer: Uint8Array): void;
  reject(error: unknown): void;
}

/** The gate of a sink in one mesh: tokens of another mesh say nothing here. */
interface Room {
  readonly mesh: MeshId;
  readonly gate: ReturnType<typeof createEffectGate>;
  readonly seen: Map<string, number>;
}

const codes: Readonly<Record<EffectRefusal, ErrorCode>> = {
  fenced: 'MYCEL_FENCED',
  busy: 'MYCEL_SINK_FULL',
  full: 'MYCEL_SINK_FULL',
  disk: 'MYCEL_STORE_FAILED',
};

const methodOf = (sink: string): string => `effect/${sink}`;

/** Builds them. */
export function createEffects(world: PartWorld): Effects {
  const { calls } = world;
  const open = new Set<{ stop(): void }>();
  return {
    sink(name, handler) {
      if (!sinkNamePattern.test(name)) {
        const reason = `'${name}' is no name of a sink: 1 to 64 lower-case letters, digits, '-' and '_'.`;
        throw new MycelError('MYCEL_BAD_OPTION', { reason });
      }
      if (open.size >= sinksMax) {
        const reason = `A node has at most ${sinksMax} sinks.`;
        throw new MycelError('MYCEL_BAD_OPTION', { reason });
      }
      const sink = createSink(world, name, handler);
      let unserve: () => void;
      try {
        unserve = calls.serve(methodOf(name), sink.take);
      } catch (error) {
        const reason = `This node has a sink '${name}' already.`;
        throw new MycelError('MYCEL_BAD_OPTION', { reason }, { cause: error });
      }
      open.add(sink);
      return () => {
        unserve();
        open.delete(sink);
        sink.stop();
      };
    },
    apply: (to, sink, message, options) =>
      calls.call(to, methodOf(sink), encodeEffect(message), options),
    stop() {
      for (const sink of open) sink.stop();
    },
  };
}

function createSink(
  world: PartWorld,
  name: string,
  handler: EffectHandler,
): { take(body: Uint8Array, context: CallContext): Promise<Uint8Array>; stop(): void } {
  const { clock, log, metrics, store } = world;
  const record = `effects-${name}`;
  const turns = new Map<number, Turn>();
  let room: Promise<Room> | undefined;
  let roomMesh: MeshId | undefined;
  let writing: Promise<void> = Promise.resolve();
  let nextId = 1;

  async function load(mesh: MeshId): Promise<Room> {
    const bytes = await store.read(record);
    const found = bytes === undefined ? undefined : decodeSeen(bytes);
    if (bytes !== undefined && found === undefined) {
      // Guessing would let a late holder in.
      throw new MycelError('MYCEL_STORE_FAILED', {
        reason: `The record '${record}' is unreadable.`,
      });
    }
    const seen = new Map(found?.mesh === mesh ? found.seen : []);
    return { mesh, seen, gate: createEffectGate(seen) };
  }

  function here(): Promise<Room> {
    const { mesh } = world.home();
    if (room === undefined || roomMesh !== mesh) {
      roomMesh = mesh;
      const loading = load(mesh);
      room = loading;
      loading.catch(() => {
        // Whoever comes next tries again.
        if (room === loading) room = undefined;
      });
    }
    return room;
  }

  function feed(at: Room, input: EffectGateInput): void {
    for (const effect of at.gate.step(clock.now(), input)) run(at, effect);
  }

  function run(at: Room, effect: EffectGateEffect): void {
    if (effect.type === 'persist') return persist(at, effect.key, effect.token);
    const turn = turns.get(effect.id);
    if (turn === undefined) return;
    if (effect.type === 'run') void perform(at, effect.id, turn);
    else if (effect.type === 'abort') turn.control.abort(new MycelError('MYCEL_FENCED'));
    else refuse(effect.id, turn, effect.reason, effect.highest);
  }

  function persist(at: Room, key: string, token: number): void {
    at.seen.set(key, token);
    writing = writing
      .then(() => store.write(record, encodeSeen(at.mesh, at.seen)))
      .then(
        () => feed(at, { type: 'persisted', key, token }),
        (error: unknown) => {
          log.error({ error, sink: name }, 'a sink cannot keep the token that it has seen');
          feed(at, { type: 'persistFailed', key, token });
        },
      );
  }

  async function perform(at: Room, id: number, turn: Turn): Promise<void> {
    const { message, from, control } = turn;
    try {
      const answer = await handler({ ...message, from, signal: control.signal });
      metrics.count('effects.done');
      turn.resolve(answer);
    } catch (error) {
      turn.reject(error);
    } finally {
      turns.delete(id);
      feed(at, { type: 'ended', id });
    }
  }

  function refuse(id: number, turn: Turn, reason: EffectRefusal, highest: number): void {
    const { key, token } = turn.message;
    turns.delete(id);
    metrics.drop('effects', reason);
    log.info({ sink: name, key, token, highest, from: turn.from, reason }, 'an effect was refused');
    const words =
      reason === 'fenced'
        ? `The token ${token} of '${key}' is late: the sink '${name}' has seen ${highest}.`
        : `The sink '${name}' refuses '${key}': ${reason}.`;
    turn.reject(new MycelError(codes[reason], { reason: words, key, token, highest }));
  }

  return {
    async take(body, { from, signal }) {
      const message = decodeEffect(body);
      if (message === undefined) throw new MycelError('MYCEL_BAD_BYTES');
      const at = await here();
      const id = nextId;
      nextId += 1;
      return new Promise<Uint8Array>((resolve, reject) => {
        turns.set(id, { message, from, control: new AbortController(), resolve, reject });
        const { key, token } = message;
        feed(at, { type: 'asked', id, key, token });
        const withdraw = (): void => {
          // One that runs goes on until its handler ends; nobody hears its answer.
          reject(signal.reason as Error);
          feed(at, { type: 'withdrawn', id });
          if (!at.gate.view().keys.some(({ running }) => running === id)) turns.delete(id);
        };
        if (signal.aborted) withdraw();
        else signal.addEventListener('abort', withdraw, { once: true });
      });
    },
    stop() {
      for (const turn of turns.values()) {
        turn.control.abort(new MycelError('MYCEL_NOT_RUNNING'));
        turn.reject(new MycelError('MYCEL_NOT_RUNNING'));
      }
    },
  };
}
