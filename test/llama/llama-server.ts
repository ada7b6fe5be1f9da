/**
 * A model server as people run it on their LAN: llama.cpp behind the endpoints of its own server, one answer at a time.
 * Arguments: the model file, its name, the tokens of its context. Prints `ready PORT`, and for each answer what was
 * computed: `made {"content", "tokens"}`, or `left {…}` when its client went away first.
 */

import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { loadLlama } from './llama-library.ts';
import type { LlamaWord } from './llama-library.ts';

type Json = Record<string, unknown>;

const [modelFile = '', modelName = '', contextText = ''] = process.argv.slice(2);
const contextTokens = Number(contextText);
const { LlamaContext } = loadLlama();
// One thread: more of them wait for each other on a busy machine, hundreds of times as long as they compute.
const settings = { model: modelFile, n_threads: 1, n_gpu_layers: 0, n_ctx: contextTokens };
const model = new LlamaContext({ ...settings, n_parallel: 1, ctx_shift: false });
model.enableParallelMode({ n_parallel: 1, n_batch: 512 });

const server = createServer((request, response) => void serve(request, response));
server.listen(0, '127.0.0.1', () => {
  console.log(`ready ${(server.address() as AddressInfo).port}`);
});

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    switch (`${request.method} ${request.url}`) {
      case 'GET /health':
        return send(response, 200, { status: 'ok' });
      case 'GET /v1/models':
        return send(response, 200, {
          object: 'list',
          data: [{ id: modelName, object: 'model', created: 0, owned_by: 'llamacpp' }],
        });
      case 'POST /v1/chat/completions':
        return await chat(await readJson(request), response);
      case 'POST /v1/embeddings':
        return await embed(await readJson(request), response);
      default:
        return sendError(response, 404, 'not_found_error', 'File Not Found');
    }
  } catch (error) {
    sendError(response, 500, 'server_error', String(error));
  }
}

async function chat(body: Json, response: ServerResponse): Promise<void> {
  const { messages } = body;
  const { prompt } = model.getFormattedChat(messages as unknown[], undefined, { jinja: true });
  const promptTokens = (await model.tokenize(prompt)).tokens.length;
  if (promptTokens >= contextTokens) {
    const message = `the request exceeds the available context size (${contextTokens} tokens)`;
    return sendError(response, 400, 'exceed_context_size_error', message);
  }
  const out = body['stream'] === true ? createChunks(response) : undefined;
  const { content, tokens, isEnd } = await compute(body, response, (text) => out?.tell(text));
  console.log(`${response.destroyed ? 'left' : 'made'} ${JSON.stringify({ content, tokens })}`);
  if (response.destroyed) return;
  const finish = isEnd ? 'stop' : 'length';
  const usage = {
    prompt_tokens: promptTokens,
    completion_tokens: tokens,
    total_tokens: promptTokens + tokens,
  };
  if (out !== undefined) return out.end(content, finish, usage);
  const choice = { index: 0, message: { role: 'assistant', content }, finish_reason: finish };
  send(response, 200, { ...headOf(), object: 'chat.completion', choices: [choice], usage });
}

/** Computes an answer; `tell` hears what it says so far. Ends early when the client is gone. */
function compute(
  body: Json,
  response: ServerResponse,
  tell: (text: string) => void,
): Promise<{ content: string; tokens: number; isEnd: boolean }> {
  return new Promise((resolve, reject) => {
    let content = '';
    let tokens = 0;
    const hear = (error: unknown, word: LlamaWord | undefined): void => {
      if (error !== null && error !== undefined) return reject(error as Error);
      if (word?.token !== undefined) {
        tokens += 1;
        content = word.content ?? content + word.token;
        return tell(content);
      }
      response.off('close', onClose);
      const said = word?.content ?? word?.text ?? content;
      resolve({
        content: said,
        tokens: word?.tokens_predicted ?? tokens,
        isEnd: word?.stopped_eos === true,
      });
    };
    const { requestId } = model.queueCompletion(
      {
        messages: body['messages'],
        jinja: true,
        response_format: body['response_format'] ?? { type: 'text' },
        n_predict: body['max_tokens'] ?? -1,
        temperature: body['temperature'] ?? 0.8,
        seed: body['seed'] ?? -1,
      },
      hear,
    );
    const onClose = (): void => {
      model.cancelRequest(requestId);
      resolve({ content, tokens, isEnd: false });
    };
    response.once('close', onClose);
  });
}

/** Writes what is new of a text that grows. */
function createChunks(response: ServerResponse): {
  tell(text: string): void;
  end(text: string, finish: string, usage: Json): void;
} {
  const head = { ...headOf(), object: 'chat.completion.chunk' };
  let sent = '';
  const write = (more: Json): void => {
    response.write(`data: ${JSON.stringify({ ...head, ...more })}\n\n`);
  };
  const choice = (delta: Json, finish: string | null = null): Json => ({
    choices: [{ index: 0, delta, finish_reason: finish }],
  });
  const tell = (text: string): void => {
    if (!response.headersSent) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      write(choice({ role: 'assistant', content: null }));
    }
    // Where a grammar is parsed, more or less may have become clear than the last token.
    if (!text.startsWith(sent) || text === sent) return;
    write(choice({ content: text.slice(sent.length) }));
    sent = text;
  };
  return {
    tell,
    end(text, finish, usage) {
      tell(text);
      write(choice({}, finish));
      write({ choices: [], usage });
      response.end('data: [DONE]\n\n');
    },
  };
}

function headOf(): Json {
  const created = Math.floor(Date.now() / 1000);
  return { id: `chatcmpl-${Date.now()}`, created, model: modelName };
}

async function embed(body: Json, response: ServerResponse): Promise<void> {
  const inputs = [body['input']].flat() as string[];
  const data: Json[] = [];
  let tokens = 0;
  for (const [index, input] of inputs.entries()) {
    // One for each: the library leaves out of the mean what a text shares with the one before.
    const measurer = new LlamaContext({ ...settings, embedding: true, pooling_type: 'mean' });
    tokens += (await measurer.tokenize(input)).tokens.length;
    const { embedding } = await measurer.embedding(input, { embd_normalize: 2 });
    await measurer.release();
    data.push({ object: 'embedding', index, embedding: [...embedding] });
  }
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  send(response, 200, { object: 'list', model: modelName, data, usage });
}

async function readJson(request: IncomingMessage): Promise<Json> {
  let text = '';
  for await (const piece of request.setEncoding('utf8')) text += String(piece);
  return JSON.parse(text) as Json;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function sendError(response: ServerResponse, status: number, type: string, message: string): void {
  if (response.headersSent) response.destroy();
  else send(response, status, { error: { code: status, type, message } });
}
