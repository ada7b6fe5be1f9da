/** One command's connection as the node sees it: bounded in, bounded out, and cut with a reason when it misbehaves. */

import type { Socket } from 'node:net';

import type { MeshNode } from 'mycel';

import { isStreamRequest, openStream, runCall } from './control-operations.ts';
import {
  controlLineBytesMax,
  controlOpenMax,
  controlOutputBytesMax,
  parseRequest,
  type ControlReply,
  type ControlRequest,
} from './control-protocol.ts';
import { Failure, toFailure } from './failure.ts';
import { createLineSplitter } from './line-splitter.ts';

/** How long a cut reader may take to read why, in ms. */
const lastWordsMs = 2000;

/** What the server gives each connection. */
export interface ConnectionHost {
  readonly node: MeshNode;
  down(): void;
  /** Whether all connections together may hold this much more output. */
  hasRoom(bytes: number): boolean;
  closed(): void;
}

/** An open connection. */
export interface ControlConnection {
  queuedBytes(): number;
  /** Ends its streams with the reason and closes it, by force after `ms`. */
  end(reason: string, ms: number): void;
}

/** Serves one socket until it closes. */
export function createControlConnection(socket: Socket, host: ConnectionHost): ControlConnection {
  const splitter = createLineSplitter(controlLineBytesMax);
  /** Calls under way and open streams, by the id of their request. */
  const open = new Map<number, AbortController>();
  let isEnding = false;

  const write = (reply: ControlReply): void => {
    if (isEnding || !socket.writable) return;
    const line = `${JSON.stringify(reply)}\n`;
    const waiting = socket.writableLength;
    if (waiting + line.length <= controlOutputBytesMax && host.hasRoom(line.length)) {
      // Many events of one turn leave in one system call.
      if (socket.writableCorked === 0) {
        socket.cork();
        process.nextTick(() => socket.uncork());
      }
      socket.write(line);
    } else cut(tooSlow(waiting));
  };
  const cut = (failure: Failure, id: number | null = null): void => {
    if (isEnding) return;
    const line = `${JSON.stringify({ id, ok: false, error: failure.toRecord() })}\n`;
    finish(line, lastWordsMs);
  };
  const finish = (lastLine: string, ms: number): void => {
    isEnding = true;
    for (const entry of open.values()) entry.abort();
    open.clear();
    socket.end(lastLine);
    const force = setTimeout(() => socket.destroy(), ms);
    socket.once('close', () => clearTimeout(force));
  };
  const serve = async (request: ControlRequest): Promise<void> => {
    const { id } = request;
    const entry = new AbortController();
    open.set(id, entry);
    try {
      if (isStreamRequest(request)) {
        // The node may hand over retained messages at once: they follow the answer, never precede it.
        let early: unknown[] | undefined = [];
        const emit = (event: unknown): void => {
          if (early === undefined) write({ id, event });
          else early.push(event);
        };
        openStream(host.node, request, emit, entry.signal);
        write({ id, ok: true, result: {} });
        const held = early;
        early = undefined;
        for (const event of held) write({ id, event });
        return;
      }
      const result = await runCall(host.node, request, host.down);
      open.delete(id);
      write({ id, ok: true, result });
    } catch (error) {
      open.delete(id);
      entry.abort();
      write({ id, ok: false, error: toFailure(error).toRecord() });
    }
  };
  const receive = (line: string): void => {
    const parsed = parseRequest(line);
    if (!('request' in parsed)) {
      const failure = badRequest(parsed.problem, parsed.field);
      if (parsed.isGarbage) cut(failure);
      else write({ id: parsed.id, ok: false, error: failure.toRecord() });
      return;
    }
    const { id } = parsed.request;
    if (open.has(id)) {
      cut(badRequest(`request ${id} is still open`));
    } else if (open.size >= controlOpenMax) {
      write({ id, ok: false, error: tooMany().toRecord() });
    } else void serve(parsed.request);
  };

  socket.on('data', (chunk: Buffer) => {
    if (isEnding) return;
    const { lines, isTooLong } = splitter.push(chunk);
    for (const line of lines) if (!isEnding) receive(line);
    if (isTooLong) cut(badRequest(`a line is longer than ${controlLineBytesMax} bytes`));
  });
  // A reset by the other side is how commands hang up.
  socket.on('error', () => undefined);
  socket.on('close', () => {
    isEnding = true;
    for (const entry of open.values()) entry.abort();
    open.clear();
    host.closed();
  });
  return {
    queuedBytes: () => socket.writableLength,
    end(reason, ms) {
      if (isEnding) return;
      finish([...open.keys()].map((id) => `${JSON.stringify({ id, end: reason })}\n`).join(''), ms);
    },
  };
}

/** `field`: what somebody gave a wrong value; without it the command itself and the node do not understand each other. */
function badRequest(problem: string, field?: string): Failure {
  return new Failure(
    'MYCEL_CONTROL_REQUEST',
    `The request is not valid: ${problem}.`,
    field === undefined
      ? 'Check that the command and the running node are of the same version.'
      : `Give another '${field}'.`,
  );
}

function tooMany(): Failure {
  return new Failure(
    'MYCEL_CONTROL_BUSY',
    `This connection already has ${controlOpenMax} requests open.`,
    'Wait for answers, or close some streams.',
  );
}

function tooSlow(waitingBytes: number): Failure {
  return new Failure(
    'MYCEL_CONTROL_SLOW_READER',
    `The reader was cut off: ${waitingBytes} bytes were waiting for it.`,
    'Read faster, or subscribe to fewer topics.',
  );
}
