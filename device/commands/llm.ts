/** `mycel llm`: ask a language model through the mesh, and see who has which and who used what. */

import { print, type Context } from '../context.ts';
import { callNode, connectControl } from '../control-client.ts';
import type { LlmStreams } from '../control-llm.ts';
import { Failure, usageFailure } from '../failure.ts';
import type { LlmAskFlags } from '../program-gateway.ts';
import { readStdin } from '../stdin.ts';
import { formatTable } from '../table.ts';
import { harmless } from '../terminal.ts';

type AskEvent = LlmStreams['llm-ask']['event'];

/** Longest prompt from stdin, in bytes. */
const promptBytesMax = 256 * 1024;

/** Asks, and prints the answer as it comes. */
export async function llmAsk(
  context: Context,
  words: readonly string[],
  flags: LlmAskFlags,
): Promise<void> {
  const prompt =
    words.length > 0
      ? words.join(' ')
      : (await readStdin(context.terminal, 'what to ask', promptBytesMax)).toString('utf8').trim();
  if (prompt === '')
    throw usageFailure('There is nothing to ask.', 'Write it as mycel llm ask "…", or pipe it in.');
  const client = await connectControl(context.dataDir);
  const writer = createWriter(context);
  try {
    await new Promise<void>((resolve, reject) => {
      client
        .stream(
          'llm-ask',
          {
            prompt,
            ...(flags.model === undefined ? {} : { model: flags.model }),
            ...(flags.system === undefined ? {} : { system: flags.system }),
            ...(flags.maxTokens === undefined ? {} : { maxTokens: flags.maxTokens }),
            ...(flags.timeout === undefined ? {} : { timeoutMs: flags.timeout }),
          },
          {
            event(event) {
              if (event.type === 'failed') return reject(Failure.received(event.error));
              writer.write(event);
              if (event.type === 'finish') resolve();
            },
            ended: (failure) =>
              reject(
                failure ??
                  new Failure(
                    'MYCEL_CONTROL_LOST',
                    'The node has stopped.',
                    'Start it with "mycel up".',
                  ),
              ),
          },
        )
        .catch(reject);
    });
  } finally {
    writer.end();
    client.close();
  }
}

/** Text as it comes for people, a line of JSON for each step for programs. */
function createWriter({ json, terminal }: Context): { write(event: AskEvent): void; end(): void } {
  let isOpen = false;
  return {
    write(event) {
      if (json) return terminal.line(JSON.stringify(event));
      if (event.type === 'text' && event.text !== '') {
        isOpen = true;
        terminal.text(terminal.isTty ? printable(event.text) : event.text);
      } else if (event.type === 'tool' && event.name !== undefined) {
        terminal.note(`wants the tool ${harmless(event.name)}`);
      } else if (event.type === 'reset' && isOpen) {
        terminal.text('\n');
        terminal.note('another target begins anew:');
      } else if (event.type === 'finish' && event.reason === 'length') {
        terminal.note('(cut off: allow more with --max-tokens)');
      }
    },
    end() {
      if (isOpen) terminal.text('\n');
    },
  };
}

/** Harmless, but with its lines. */
function printable(text: string): string {
  return text.split('\n').map(harmless).join('\n');
}

/** Which gateway has which models, and how its targets fare. */
export async function llmTargets(context: Context): Promise<void> {
  const told = await callNode(context.dataDir, 'llm-targets', {});
  print(context, told, () => {
    const rows = told.flatMap(({ name, advert }) =>
      advert.targets.map((target) => {
        const open = target['open'] as readonly {
          readonly model: string;
          readonly phase: string;
          readonly forMs: number;
        }[];
        const ttft = target['ttftMs'];
        return [
          name,
          String(target['target']),
          String(target['kind']),
          (target['models'] as readonly string[]).join(', '),
          String(target['inflight']),
          (target['waiting'] as readonly number[]).join('/'),
          typeof ttft === 'number' ? `${ttft} ms` : '-',
          open.length === 0
            ? 'ready'
            : open
                .map(({ model, forMs }) => `${model}: not asked for ${Math.ceil(forMs / 1000)} s`)
                .join(', '),
        ];
      }),
    );
    if (rows.length === 0)
      return ['No gateway is in the mesh. Run "mycel gateway up" on one of its nodes.'];
    const troubles = told.flatMap(({ name, advert: { trouble } }) =>
      trouble === undefined
        ? []
        : [`${context.terminal.style('red', '✗')} ${name}: ${harmless(trouble)}`],
    );
    return formatTable(
      ['GATEWAY', 'TARGET', 'KIND', 'MODELS', 'ASKED', 'WAITING', 'FIRST TOKEN', 'STATE'],
      rows,
    ).concat(troubles);
  });
}

/** Who used what, at every gateway. */
export async function llmUsage(context: Context): Promise<void> {
  const told = await callNode(context.dataDir, 'llm-usage', {});
  print(context, told, () => {
    const rows = told.flatMap(({ name, usage }) =>
      (usage as readonly Readonly<Record<string, unknown>>[]).map((line) => [
        name,
        text(line['principal']),
        text(line['agent'] ?? '-'),
        text(line['model']),
        text(line['requests']),
        text(line['failures']),
        `${text(line['cacheHits'])}+${text(line['coalesced'])}`,
        text(line['inputTokens']),
        text(line['outputTokens']),
        Number(line['usd']).toFixed(4) +
          (Number(line['unpriced']) > 0 ? ` (${text(line['unpriced'])} without a price)` : ''),
      ]),
    );
    if (rows.length === 0) return ['Nobody has asked yet.'];
    return formatTable(
      ['GATEWAY', 'PRINCIPAL', 'AGENT', 'MODEL', 'ASKED', 'FAILED', 'SPARED', 'IN', 'OUT', 'USD'],
      rows,
    );
  });
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? '');
}
