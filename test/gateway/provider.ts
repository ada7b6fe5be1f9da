/**
 * A stand-in for a provider: an HTTP server that speaks OpenAI's format and answers by fixed rules from the prompt, and
 * that fails in every way a real one was seen to fail. It is no model and makes no claim to be one.
 */

import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** How one request fails. */
export type Fault =
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: unknown;
    }
  /** Closes the connection before the head. */
  | { readonly kind: 'reset' }
  /** Accepts and never answers. */
  | { readonly kind: 'mute' }
  | { readonly kind: 'slow-first'; readonly ms: number }
  /** Stops in the middle and says nothing more. */
  | { readonly kind: 'stall' }
  /** Destroys the connection in the middle. */
  | { readonly kind: 'cut' }
  /** Ends cleanly in the middle: no finish reason, no end mark. */
  | { readonly kind: 'clean-end' }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'error-event' }
  | { readonly kind: 'finish-error' }
  | { readonly kind: 'no-index' }
  | { readonly kind: 'no-id' }
  | { readonly kind: 'index-zero' }
  | { readonly kind: 'stop-with-tools' }
  | { readonly kind: 'no-usage' }
  /** Says that it used nothing, less than nothing, or something that is no number. */
  | { readonly kind: 'wrong-usage' }
  | { readonly kind: 'no-done' }
  | { readonly kind: 'double-done' }
  | { readonly kind: 'crlf' }
  /** Sends every byte by itself. */
  | { readonly kind: 'bytes' }
  /** Sends every character of several bytes in two packets. */
  | { readonly kind: 'split-utf8' }
  | { readonly kind: 'comments' }
  | { readonly kind: 'huge' }
  /** Answers in HTTP/1.0: no length, and the end of the connection ends the answer. */
  | { readonly kind: 'http-1.0' }
  /** The same, and the connection ends in the middle. */
  | { readonly kind: 'http-1.0-cut' };

/** What a request was, as the provider saw it. */
export interface Seen {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: Record<string, unknown>;
  /** Whether the whole answer was sent. */
  isComplete: boolean;
  /** Whether the other side went away first. */
  isAborted: boolean;
  /** Pieces of a stream that went out so far. */
  sent: number;
  /** What was or would be billed for it. */
  billed: { prompt_tokens: number; completion_tokens: number } | undefined;
}

/** A running stand-in. */
export interface Provider {
  readonly url: string;
  readonly seen: Seen[];
  /** Faults of the next requests, one each; undefined: none. */
  script(...faults: (Fault | undefined)[]): void;
  /** The same, for the requests of one model. */
  scriptFor(model: string, ...faults: (Fault | undefined)[]): void;
  /** The fault of every request of one model. */
  alwaysFor(model: string, fault: Fault): void;
  /** The fault of every request that the script says nothing about. */
  always(fault: Fault | undefined): void;
  /** Answers instead of the fixed rules where it gives something. */
  think: ((body: Record<string, unknown>) => Partial<Rule> | undefined) | undefined;
  /** Time before each piece, in ms. */
  pieceMs: number;
  /** Time before an answer, in ms. */
  answerMs: number;
  /** Keeps all answers back; gives the function that lets them go. */
  hold(): () => void;
  close(): Promise<void>;
}

/** Starts one on a port; 0: any free one. */
export async function startProvider(
  models: readonly string[] = ['small', 'large'],
  ownPort = 0,
  host = '127.0.0.1',
): Promise<Provider> {
  const faults: (Fault | undefined)[] = [];
  let standing: Fault | undefined;
  const scripts = new Map<unknown, (Fault | undefined)[]>();
  const standingFor = new Map<unknown, Fault>();
  let held: Promise<void> | undefined;
  const seen: Seen[] = [];
  const sockets = new Set<Socket>();
  const provider: Provider = {
    url: '',
    seen,
    script: (...next) => void faults.push(...next),
    scriptFor: (model, ...next) => void scripts.set(model, next),
    alwaysFor: (model, fault) => void standingFor.set(model, fault),
    always(fault) {
      standing = fault;
    },
    think: undefined,
    pieceMs: 0,
    answerMs: 0,
    hold() {
      let release = (): void => undefined;
      held = new Promise((go) => {
        release = go;
      });
      return () => {
        held = undefined;
        release();
      };
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
  const server: Server = createServer((request, response) => {
    void serve(request, response).catch(() => response.destroy());
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    if (request.method === 'GET') {
      const data = models.map((id) => ({ id, object: 'model', created: 0, owned_by: 'stand-in' }));
      return send(response, 200, { object: 'list', data });
    }
    let text = '';
    for await (const piece of request) text += String(piece);
    const body = JSON.parse(text) as Record<string, unknown>;
    const entry: Seen = {
      path,
      authorization: request.headers.authorization,
      body,
      isComplete: false,
      isAborted: false,
      sent: 0,
      billed: undefined,
    };
    seen.push(entry);
    response.on('close', () => {
      if (!entry.isComplete) entry.isAborted = true;
    });
    const own = scripts.get(body['model']) ?? faults;
    const fault = own.length > 0 ? own.shift() : (standingFor.get(body['model']) ?? standing);
    if (fault?.kind === 'reset') return void request.socket.destroy();
    if (fault?.kind === 'mute') return;
    if (fault?.kind === 'status')
      return send(
        response,
        fault.status,
        fault.body ?? { error: { message: 'as scripted', type: 'scripted', code: null } },
        fault.headers,
      );
    if (fault?.kind === 'slow-first') await pause(fault.ms);
    if (provider.answerMs > 0) await pause(provider.answerMs);
    await held;
    if (path.endsWith('/embeddings')) return embed(response, entry, fault);
    return chat(response, entry, fault, provider);
  }

  await new Promise<void>((resolve) => {
    server.listen(ownPort, host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return Object.assign(provider, { url: `http://127.0.0.1:${port}/v1` });
}

function pause(ms: number): Promise<void> {
  return new Promise((go) => {
    setTimeout(go, ms);
  });
}

function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, {
    'content-type': typeof body === 'string' ? 'text/html' : 'application/json',
    ...headers,
  });
  response.end(text);
}

/** What the rules answer: a text of words, or calls of the tools that the prompt names. */
export interface Rule {
  readonly words: readonly string[];
  readonly calls: readonly { readonly name: string; readonly input: string }[];
  /** @default what fits */
  readonly finish?: string;
}

/** The text of the last message from a user or a tool. */
function promptOf(body: Record<string, unknown>): string {
  const messages = body['messages'] as { role: string; content: unknown }[];
  const last = messages.findLast(({ role }) => role === 'user' || role === 'tool');
  const content = last?.content;
  if (typeof content === 'string') return content;
  return (content as { text?: string }[]).map(({ text = '[picture]' }) => text).join(' ');
}

function answerOf(body: Record<string, unknown>): Rule {
  const messages = body['messages'] as { role: string }[];
  const prompt = promptOf(body);
  const tools = (body['tools'] ?? []) as { function: { name: string } }[];
  const wanted = tools.filter(({ function: { name } }) => prompt.includes(name));
  if (wanted.length > 0 && messages.at(-1)?.role !== 'tool') {
    return {
      words: [],
      calls: wanted.map(({ function: { name } }) => ({
        name,
        input: JSON.stringify({ city: prompt.split(' ').at(-1) }),
      })),
    };
  }
  const format = body['response_format'] as { type?: string } | undefined;
  if (format?.type === 'json_object' || format?.type === 'json_schema') {
    return { words: [JSON.stringify({ answer: prompt.length })], calls: [] };
  }
  const count = Number(/\b(\d+) words\b/.exec(prompt)?.[1] ?? 12);
  const source = prompt.split(/\s+/);
  return {
    words: Array.from(
      { length: count },
      (_, at) => `${at === 0 ? '' : ' '}${source[at % source.length]}-${at}`,
    ),
    calls: [],
  };
}

function tokensOf(body: Record<string, unknown>): number {
  return JSON.stringify(body['messages'] ?? body['input'])
    .split(/[\s"{}[\],:]+/)
    .filter((word) => word !== '').length;
}

async function chat(
  response: ServerResponse,
  entry: Seen,
  fault: Fault | undefined,
  provider: Provider,
): Promise<void> {
  const { body } = entry;
  const rule: Rule = { words: [], calls: [], ...(provider.think?.(body) ?? answerOf(body)) };
  const limit = (body['max_tokens'] ?? body['max_completion_tokens']) as number | undefined;
  const isLong = limit !== undefined && rule.words.length > limit;
  const words = isLong ? rule.words.slice(0, limit) : rule.words;
  const fitting =
    rule.calls.length > 0 && fault?.kind !== 'stop-with-tools'
      ? 'tool_calls'
      : isLong
        ? 'length'
        : 'stop';
  const finish = rule.finish ?? fitting;
  const usage = {
    prompt_tokens: tokensOf(body),
    completion_tokens: Math.max(1, words.length + rule.calls.length),
  };
  if (body['stream'] === true) {
    await streamChat(response, entry, fault, { provider, words, calls: rule.calls, finish, usage });
    return;
  }
  entry.billed = usage;
  const isHuge = fault?.kind === 'huge';
  const middle = Math.ceil(words.length / 2);
  const content = isHuge
    ? [...words.slice(0, middle), 'h'.repeat(hugeLength), ...words.slice(middle)].join('')
    : words.join('');
  const message = {
    role: 'assistant',
    content: rule.calls.length > 0 ? null : content,
    ...(rule.calls.length === 0
      ? {}
      : {
          tool_calls: rule.calls.map(({ name, input }, at) => ({
            ...(fault?.kind === 'no-id' ? {} : { id: `c${at}` }),
            type: 'function',
            function: { name, arguments: input },
          })),
        }),
  };
  const answer = {
    id: 'x',
    object: 'chat.completion',
    created: 1,
    model: body['model'],
    choices: [{ index: 0, message, finish_reason: fault?.kind === 'clean-end' ? null : finish }],
    ...usageField(fault, usage),
  };
  if (fault?.kind === 'error-event' || fault?.kind === 'finish-error')
    return send(response, 200, { error: { message: 'gave up', code: 502 } });
  await sendWhole(response, entry, fault, answer);
}

/** Characters of the piece that is much too long. */
export const hugeLength = 1_000_000;

/** What is reported of the tokens, as a field of an answer. */
function usageField(
  fault: Fault | undefined,
  usage: { readonly prompt_tokens: number; readonly completion_tokens?: number },
): { readonly usage?: unknown } {
  if (fault?.kind === 'no-usage') return {};
  const { prompt_tokens: prompt, completion_tokens: completion } = usage;
  if (fault?.kind !== 'wrong-usage')
    return { usage: { ...usage, total_tokens: prompt + (completion ?? 0) } };
  const wrong = [
    { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 },
    { prompt_tokens: -5, completion_tokens: 'many', total_tokens: null },
    { prompt_tokens: 1e300, completion_tokens: 1e300, total_tokens: 1e300 },
  ];
  return { usage: wrong[prompt % wrong.length] };
}

/** Sends an answer that is no stream, as the fault has it. */
async function sendWhole(
  response: ServerResponse,
  entry: Seen,
  fault: Fault | undefined,
  answer: unknown,
): Promise<void> {
  const text = JSON.stringify(answer);
  const type = { 'content-type': 'application/json' };
  const half = text.slice(0, text.length / 2);
  switch (fault?.kind) {
    case 'malformed':
      return send(response, 200, text.slice(0, -10), type);
    case 'cut':
    case 'stall':
      response.writeHead(200, { ...type, 'content-length': Buffer.byteLength(text) });
      response.write(half);
      if (fault.kind === 'cut') setTimeout(() => response.destroy(), 5);
      return;
    case 'http-1.0':
    case 'http-1.0-cut': {
      const out = plainly(response);
      out.writeHead(200, type);
      out.write(fault.kind === 'http-1.0' ? text : half);
      entry.isComplete = fault.kind === 'http-1.0';
      out.end();
      return;
    }
    case 'bytes':
    case 'split-utf8':
      response.writeHead(200, type);
      await writeSlowly(response, text, fault.kind);
      break;
    default:
      entry.isComplete = fault?.kind !== 'clean-end';
      return send(response, 200, answer);
  }
  entry.isComplete = true;
  response.end();
}

/** What of a response a stream needs. */
type Out = Pick<ServerResponse, 'write' | 'end' | 'destroy' | 'on'> & {
  writeHead(status: number, headers: Record<string, string>): unknown;
  readonly socket: { readonly writable: boolean } | null;
};

/** The response in HTTP/1.0, which Node's server does not speak: written to the connection as it is. */
function plainly({ socket }: ServerResponse): Out {
  if (socket === null) throw new Error('the connection is gone');
  return {
    socket,
    writeHead(status: number, headers: Record<string, string>) {
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`HTTP/1.0 ${status} OK\r\n${lines.join('')}\r\n`);
    },
    write: socket.write.bind(socket),
    end: socket.end.bind(socket),
    destroy: socket.destroy.bind(socket),
    on: socket.on.bind(socket),
  } as unknown as Out;
}

/** Writes a text in pieces that no reader expects. */
async function writeSlowly(
  out: Pick<Out, 'write'>,
  text: string,
  how: 'bytes' | 'split-utf8',
): Promise<void> {
  const bytes = Buffer.from(text);
  let from = 0;
  for (let at = 1; at <= bytes.length; at += 1) {
    // 10xxxxxx: inside a character.
    const isInside = ((bytes[at] ?? 0) & 0xc0) === 0x80;
    if (at < bytes.length && how === 'split-utf8' && !isInside) continue;
    out.write(bytes.subarray(from, at));
    from = at;
    await new Promise<void>((go) => {
      if (how === 'bytes') setImmediate(go);
      else setTimeout(go, 2);
    });
  }
}

interface StreamParts {
  readonly provider: Provider;
  readonly words: readonly string[];
  readonly calls: Rule['calls'];
  readonly finish: string;
  readonly usage: { prompt_tokens: number; completion_tokens: number };
}

async function streamChat(
  response: ServerResponse,
  entry: Seen,
  fault: Fault | undefined,
  parts: StreamParts,
): Promise<void> {
  const { provider, words, calls, finish, usage } = parts;
  const isOld = fault?.kind === 'http-1.0' || fault?.kind === 'http-1.0-cut';
  const out: Out = isOld ? plainly(response) : response;
  const end = fault?.kind === 'crlf' ? '\r\n\r\n' : '\n\n';
  let isGone = false;
  out.on('close', () => {
    isGone = true;
  });
  out.writeHead(200, { 'content-type': 'text/event-stream' });
  const write = async (text: string): Promise<void> => {
    if (fault?.kind === 'bytes' || fault?.kind === 'split-utf8')
      return writeSlowly(out, text, fault.kind);
    out.write(text);
  };
  const chunk = (delta: unknown, reason: string | null = null, extra: object = {}): Promise<void> =>
    write(
      `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 1, model: entry.body['model'], choices: [{ index: 0, delta, finish_reason: reason }], ...extra })}${end}`,
    );
  let sent = 0;
  const bill = (): void => {
    entry.billed = { prompt_tokens: usage.prompt_tokens, completion_tokens: sent };
  };
  if (fault?.kind === 'comments') await write(': WORKING\n\n: WORKING\n\n');
  await chunk({ role: 'assistant', content: '' });
  const pieces: unknown[] = [
    ...words.map((content) => ({ content })),
    ...calls.flatMap(({ name, input }, at) => {
      const index =
        fault?.kind === 'no-index' ? {} : { index: fault?.kind === 'index-zero' ? 0 : at };
      const id = fault?.kind === 'no-id' ? {} : { id: `c${at}` };
      return [
        {
          tool_calls: [
            { ...index, ...id, type: 'function', function: { name, arguments: input.slice(0, 4) } },
          ],
        },
        { tool_calls: [{ ...index, function: { arguments: input.slice(4) } }] },
      ];
    }),
  ];
  const middle = Math.ceil(pieces.length / 2);
  for (const [at, piece] of pieces.entries()) {
    if (isGone) return bill();
    if (provider.pieceMs > 0) await pause(provider.pieceMs);
    await chunk(piece);
    // What is written to a connection that is closed goes nowhere.
    if (isGone || out.socket?.writable !== true) return bill();
    sent += 1;
    entry.sent = sent;
    if (at + 1 !== middle) continue;
    bill();
    if (fault?.kind === 'stall') return;
    if (fault?.kind === 'cut') return void setTimeout(() => out.destroy(), 5);
    if (fault?.kind === 'clean-end' || fault?.kind === 'http-1.0-cut') return void out.end();
    if (fault?.kind === 'malformed')
      return void out.end(`data: {"choices":[{"delta":{"content":"x${end}data: [DONE]${end}`);
    if (fault?.kind === 'error-event')
      return void out.end(
        `data: ${JSON.stringify({ error: { message: 'gave up', code: 'server_error' } })}${end}`,
      );
    if (fault?.kind === 'finish-error') {
      await chunk({}, 'error', { error: { message: 'gave up', code: 502 } });
      return void out.end(`data: [DONE]${end}`);
    }
    if (fault?.kind === 'huge') await chunk({ content: 'h'.repeat(hugeLength) });
    if (fault?.kind === 'comments') await write(': STILL WORKING\n\n');
  }
  sent = usage.completion_tokens;
  bill();
  await chunk({}, finish);
  const wantsUsage =
    (entry.body['stream_options'] as { include_usage?: boolean } | undefined)?.include_usage ===
    true;
  if (wantsUsage && fault?.kind !== 'no-usage') {
    await write(
      `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 1, model: entry.body['model'], choices: [], ...usageField(fault, usage) })}${end}`,
    );
  }
  if (fault?.kind !== 'no-done') await write(`data: [DONE]${end}`);
  if (fault?.kind === 'double-done') await write(`data: [DONE]${end}`);
  entry.isComplete = true;
  out.end();
}

async function embed(
  response: ServerResponse,
  entry: Seen,
  fault: Fault | undefined,
): Promise<void> {
  const { input } = entry.body;
  const texts = (Array.isArray(input) ? input : [input]) as string[];
  const data = texts.map((text, index) => ({
    object: 'embedding',
    index,
    embedding: [text.length, text.codePointAt(0) ?? 0, index].map((number) => number / 128),
  }));
  const usage = { prompt_tokens: tokensOf(entry.body) };
  entry.billed = { ...usage, completion_tokens: 0 };
  const whole = {
    object: 'list',
    data: fault?.kind === 'clean-end' ? data.slice(0, -1) : data,
    model: entry.body['model'],
    ...usageField(fault, usage),
  };
  if (fault?.kind === 'error-event' || fault?.kind === 'finish-error')
    return send(response, 200, { error: { message: 'gave up', code: 502 } });
  await sendWhole(response, entry, fault, whole);
}
