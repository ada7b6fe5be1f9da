/** A command's end of the control socket. Loads nothing but `node:net`, so that a command starts fast. */

import { connect } from 'node:net';
import type { Socket } from 'node:net';

import {
  controlLineBytesMax,
  parseReply,
  type CallName,
  type ControlCalls,
  type ControlReply,
  type ControlStreams,
  type StreamName,
} from './control-protocol.ts';
import { controlSocketPath } from './control-socket.ts';
import { Failure } from './failure.ts';
import { createLineSplitter } from './line-splitter.ts';

/** How long a node may take to answer before the command says so, in ms. */
const answerMs = 15_000;

/** The calls that talk to other nodes first, or end this one, may take longer, in ms. */
const slowAnswerMs = 60_000;

const slowCalls: ReadonlySet<CallName> = new Set([
  'join',
  'leave',
  'revoke',
  'invite',
  'approve',
  'kv-get',
  'kv-put',
  'kv-cas',
  'leader',
  'config-agreed',
  'config-set',
  'config-rollback',
  'update-begin',
]);

/** A longest line of the node: a message of the largest payload with its topic fits, and so do 500 members. */
const replyBytesMax: number = 8 * controlLineBytesMax;

/** An open conversation with the node. */
export interface ControlClient {
  /** @throws {Failure} what the node answered, MYCEL_NO_ANSWER or MYCEL_CONTROL_LOST. */
  call<Op extends CallName>(
    op: Op,
    args: ControlCalls[Op]['args'],
  ): Promise<ControlCalls[Op]['result']>;
  /**
   * Opens a stream. Resolves when the node has begun it.
   * `ended` is called once: with undefined when the node ended it, or with what went wrong.
   */
  stream<Op extends StreamName>(
    op: Op,
    args: ControlStreams[Op]['args'],
    handlers: {
      event(event: ControlStreams[Op]['event']): void;
      ended(failure: Failure | undefined): void;
    },
  ): Promise<void>;
  /** Resolves when the node has closed the connection. */
  readonly closed: Promise<void>;
  /** Stops reading, so that the node sees a slow reader instead of this process growing. */
  pause(): void;
  resume(): void;
  close(): void;
}

interface Waiting {
  answer(reply: ControlReply): void;
  fail(failure: Failure): void;
}

/**
 * Connects to the node that owns the data directory.
 * @throws {Failure} MYCEL_NO_NODE when none runs, MYCEL_NOT_ALLOWED when it belongs to another user.
 */
export async function connectControl(dataDir: string): Promise<ControlClient> {
  const socket = await openSocket(dataDir);
  const waiting = new Map<number, Waiting>();
  let nextId = 1;
  let lost: Failure | undefined;
  const lose = (failure: Failure): void => {
    if (lost !== undefined) return;
    lost = failure;
    socket.destroy();
    for (const { fail } of waiting.values()) fail(failure);
    waiting.clear();
  };
  listen(socket, waiting, lose);
  const send = (op: string, args: unknown, entry: Waiting): number => {
    const id = nextId;
    nextId += 1;
    if (lost !== undefined) entry.fail(lost);
    else {
      waiting.set(id, entry);
      socket.write(`${JSON.stringify({ id, op, args })}\n`);
    }
    return id;
  };
  return {
    closed: new Promise((resolve) => socket.once('close', () => resolve())),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    close: () => lose(connectionLost()),
    call: (op, args) =>
      new Promise((resolve, reject) => {
        const id = send(op, args, {
          answer(reply) {
            clearTimeout(timer);
            waiting.delete(id);
            if ('ok' in reply && reply.ok) resolve(reply.result as never);
            else reject('ok' in reply ? Failure.received(reply.error) : connectionLost());
          },
          fail(failure) {
            clearTimeout(timer);
            reject(failure);
          },
        });
        const timer = setTimeout(
          () => {
            waiting.delete(id);
            reject(noAnswer());
          },
          slowCalls.has(op) ? slowAnswerMs : answerMs,
        );
      }),
    stream: (op, args, handlers) =>
      new Promise((resolve, reject) => {
        let isOpen = false;
        const id = send(op, args, {
          answer(reply) {
            if ('event' in reply) return handlers.event(reply.event as never);
            if ('ok' in reply && reply.ok) {
              isOpen = true;
              return resolve();
            }
            waiting.delete(id);
            if ('end' in reply) return handlers.ended(undefined);
            if ('ok' in reply) reject(Failure.received(reply.error));
          },
          fail(failure) {
            if (isOpen) handlers.ended(failure);
            else reject(failure);
          },
        });
      }),
  };
}

/** Connects, asks one thing and hangs up. */
export async function callNode<Op extends CallName>(
  dataDir: string,
  op: Op,
  args: ControlCalls[Op]['args'],
): Promise<ControlCalls[Op]['result']> {
  const client = await connectControl(dataDir);
  try {
    return await client.call(op, args);
  } finally {
    client.close();
  }
}

function openSocket(dataDir: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    let target;
    try {
      target = controlSocketPath(dataDir);
    } catch (error) {
      reject(connectFailure(error as NodeJS.ErrnoException, dataDir));
      return;
    }
    const socket = connect(target.path);
    socket.once('error', (error: NodeJS.ErrnoException) => {
      target.release();
      reject(connectFailure(error, dataDir));
    });
    socket.once('connect', () => {
      target.release();
      socket.removeAllListeners('error');
      resolve(socket);
    });
  });
}

function listen(
  socket: Socket,
  waiting: ReadonlyMap<number, Waiting>,
  lose: (failure: Failure) => void,
): void {
  const splitter = createLineSplitter(replyBytesMax);
  socket.on('data', (chunk: Buffer) => {
    const { lines, isTooLong } = splitter.push(chunk);
    for (const line of lines) {
      const reply = parseReply(line);
      if (reply === undefined) return lose(strangeReply());
      if (reply.id !== null) waiting.get(reply.id)?.answer(reply);
      else if ('ok' in reply && !reply.ok) return lose(Failure.received(reply.error));
    }
    if (isTooLong) lose(strangeReply());
  });
  socket.on('error', () => lose(connectionLost()));
  socket.on('close', () => lose(connectionLost()));
}

function connectFailure(error: NodeJS.ErrnoException, dataDir: string): Failure {
  if (error.code === 'EACCES' || error.code === 'EPERM') {
    return new Failure(
      'MYCEL_NOT_ALLOWED',
      `The node in ${dataDir} belongs to another user.`,
      'Run the command as that user, for example with sudo.',
      { cause: error },
    );
  }
  return new Failure(
    'MYCEL_NO_NODE',
    `No node is running on this machine (${dataDir}).`,
    'Start one with "mycel up".',
    { cause: error },
  );
}

function connectionLost(): Failure {
  return new Failure(
    'MYCEL_CONTROL_LOST',
    'The node closed the connection before it had answered.',
    'See whether it still runs: mycel status.',
  );
}

function noAnswer(): Failure {
  return new Failure(
    'MYCEL_NO_ANSWER',
    'The node does not answer.',
    'It may be frozen or very busy: try again, or stop it with a signal.',
  );
}

function strangeReply(): Failure {
  return new Failure(
    'MYCEL_CONTROL_LOST',
    'What answers on the control socket does not speak our language.',
    'Check that the command and the running node are of the same version.',
  );
}
