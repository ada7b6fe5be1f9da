/** Publishing by programs in this process: what they gave is looked at, and answered with a promise. */

import { MycelError } from '../../kernel/errors.ts';
import type { Hlc } from '../../kernel/hlc.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { isReservedTopic, topicProblem } from '../../kernel/topic.ts';
import type { BrokerMessage } from '../../ports/broker.ts';
import type { ChannelTable } from '../../protocol/channels/channel-table.ts';
import type { Publication } from '../../protocol/routing/router-world.ts';
import { isLarge, messageBytesMax, payloadBytesMax } from '../../kernel/large-message.ts';
import { messageIdOf } from '../../protocol/routing/message-id.ts';
import type { Published, PublishOptions } from '../mesh-node.ts';

/** A message of this node, and the channel that its publisher chose. */
export interface OwnMessage extends BrokerMessage {
  readonly channel?: string | undefined;
}

/** Somebody who publishes. */
export interface Publisher {
  /** The message is in the outbox: local subscribers may have it. */
  accepted?(): void;
  /** It has its time stamp: once for each publish. */
  stamped?(stamp: Hlc): void;
  /** It is safe, or why it is not taken. */
  taken(refusal?: string): void;
}

/** Whether it goes through the outbox: an event, or what is too large to be dropped part by part. */
export function travelsAsEvent({ qos, payload }: BrokerMessage): boolean {
  return qos === 1 || isLarge(payload);
}

/** What the router takes for a message. */
export function publicationOf(message: OwnMessage, hlc: Hlc): Publication {
  const { topic, payload, qos, retain, channel } = message;
  if (qos === 1 || !isLarge(payload)) return { topic, payload, qos, retain, hlc, channel };
  return { topic, payload, qos: 1, retain, hlc, channel, isSignal: true };
}

/** Why a message is too large; undefined: it is not. */
export function sizeProblem({
  payload,
  retain,
}: Pick<BrokerMessage, 'payload' | 'retain'>): string | undefined {
  const bytes = payload.byteLength;
  if (bytes > messageBytesMax)
    return `a payload of ${bytes} bytes is larger than ${messageBytesMax}`;
  if (!retain || bytes <= payloadBytesMax) return undefined;
  return `a payload of ${bytes} bytes is too large to be retained: at most ${payloadBytesMax}`;
}

/** What it needs of the message floor. */
export interface PublishingWorld {
  readonly self: NodeId;
  readonly channels: ChannelTable;
  /** @returns what takes a message that has to wait back. */
  take(message: OwnMessage, by: Publisher): () => void;
  /** Sends or drops a signal; it keeps none of its bytes. @returns why it is refused. */
  signal(message: OwnMessage, by: Pick<Publisher, 'stamped'>): string | undefined;
  /** Hands an accepted message to the local clients. */
  deliver(message: BrokerMessage): void;
  isStopped(): boolean;
}

/** What a publish that needs no wait is answered with: a promise for each was a fifth of its cost. */
const done: Promise<Published> = Promise.resolve({ id: undefined });
const unnamed: Pick<Publisher, 'stamped'> = {};

/** A program that waits until its message is safe. A class, so that a message costs few closures. */
class Waiting implements Publisher {
  readonly published: Promise<Published>;
  private readonly message: OwnMessage;
  private readonly world: PublishingWorld;
  private resolve!: (published: Published) => void;
  private reject!: (reason: unknown) => void;
  private isSettled = false;
  private id: string | undefined = undefined;
  private ignore: (() => void) | undefined = undefined;

  constructor(message: OwnMessage, world: PublishingWorld) {
    this.message = message;
    this.world = world;
    this.published = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  stamped(stamp: Hlc): void {
    this.id = messageIdOf(this.world.self, stamp);
  }

  accepted(): void {
    this.settle();
    this.world.deliver(this.message);
  }

  taken(refusal?: string): void {
    this.settle();
    if (refusal === undefined) this.resolve({ id: this.id });
    else this.reject(refused(this.world, refusal));
  }

  /** Takes the message back when the signal says so, while it waits for room. */
  heed(signal: AbortSignal, takeBack: () => void): void {
    if (this.isSettled) return;
    const abort = (): void => {
      takeBack();
      this.reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    this.ignore = () => signal.removeEventListener('abort', abort);
  }

  private settle(): void {
    this.isSettled = true;
    this.ignore?.();
  }
}

/** Builds `publish`, which rejects with a `MycelError`. */
export function createPublishing(
  world: PublishingWorld,
): (topic: string, payload: Uint8Array, options: PublishOptions) => Promise<Published> {
  /** Publishers repeat their topics, and looking at one costs as much as encoding a message. */
  let goodTopic: string | undefined;

  function problemOf(
    topic: string,
    payload: Uint8Array,
    qos: number,
    retain: boolean,
  ): MycelError | undefined {
    // Programs in plain JavaScript have no compiler to tell them.
    if (!(payload instanceof Uint8Array) || (qos !== 0 && qos !== 1)) {
      const reason = 'A payload is a string or a Uint8Array, a qos 0 or 1.';
      return new MycelError('MYCEL_BAD_OPTION', { reason });
    }
    if (topic !== goodTopic) {
      const isReserved = isReservedTopic(topic) || topic.startsWith('$SYS/');
      const problem = isReserved ? 'it is reserved' : topicProblem(topic);
      if (problem !== undefined) {
        return new MycelError('MYCEL_BAD_TOPIC', {
          topic,
          reason: `Topic '${topic}': ${problem}.`,
        });
      }
      goodTopic = topic;
    }
    const reason = sizeProblem({ payload, retain });
    if (reason === undefined) return undefined;
    return new MycelError('MYCEL_TOO_LARGE', {
      bytes: payload.byteLength,
      reason: `${upper(reason)}.`,
    });
  }

  function publishSignal(message: OwnMessage, isNamed: boolean): Promise<Published> {
    let id: string | undefined;
    const by = isNamed
      ? { stamped: (stamp: Hlc) => void (id = messageIdOf(world.self, stamp)) }
      : unnamed;
    const refusal = world.signal(message, by);
    if (refusal !== undefined) return Promise.reject(refused(world, refusal));
    return isNamed ? Promise.resolve({ id }) : done;
  }

  function publishAndWait(
    message: OwnMessage,
    signal: AbortSignal | undefined,
  ): Promise<Published> {
    const by = new Waiting(message, world);
    const takeBack = world.take(message, by);
    if (signal !== undefined) by.heed(signal, takeBack);
    return by.published;
  }

  return (topic, payload, options) => {
    const { qos = 1, retain = false, signal } = options;
    const problem = problemOf(topic, payload, qos, retain);
    if (problem !== undefined) return Promise.reject(problem);
    const channel = world.channels.wished(options, qos, topic, payload.byteLength);
    const misfit = channel && world.channels.problemOf(channel, qos, payload.byteLength);
    if (misfit) return Promise.reject(new MycelError('MYCEL_BAD_OPTION', { reason: misfit }));
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    if (!retain && !travelsAsEvent({ topic, payload, qos, retain })) {
      return publishSignal({ topic, payload, qos, retain, channel }, options.named === true);
    }
    // A copy: it may have to wait, and its publisher may use the bytes again.
    return publishAndWait(
      { topic, payload: new Uint8Array(payload), qos, retain, channel },
      signal,
    );
  };
}

function refused(world: PublishingWorld, reason: string): MycelError {
  return world.isStopped()
    ? new MycelError('MYCEL_NOT_RUNNING')
    : new MycelError('MYCEL_OUTBOX_FULL', { reason });
}

function upper(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
