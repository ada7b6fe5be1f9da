/** The commands about language models: run a gateway that holds the keys, test it. */

import type { Command } from 'commander';

import type { WithContext } from './context.ts';
import { parseDuration } from './duration.ts';
import { parseWhole } from './options.ts';
import { addNodeOptions, type UpFlags } from './program-node.ts';

/** Flags of `gateway up`. */
export interface GatewayUpFlags extends UpFlags {
  readonly config?: string;
}

/** Flags of `llm ask`; the timeout in ms. */
export interface LlmAskFlags {
  readonly model?: string;
  readonly system?: string;
  readonly maxTokens?: number;
  readonly timeout?: number;
}

const example = `
A configuration, as gateway.yaml:
  http: { host: 127.0.0.1, port: 8080 }
  targets:
    - { name: lab, kind: openai, url: "http://127.0.0.1:9000/v1", apiKeyEnv: LAB_KEY, models: [small, large] }
  principals:
    - { name: bench, tokenEnv: BENCH_TOKEN, budget: { tokens: { day: 100000 }, usd: { day: 1 } } }`;

/** Adds them. */
export function addGatewayCommands(program: Command, withContext: WithContext): void {
  const load = () => import('./commands/gateway.ts');
  const gateway = program
    .command('gateway')
    .description('language models for the mesh: one node holds the keys')
    .addHelpText('after', example);
  addNodeOptions(
    gateway
      .command('up')
      .description('run a node with a gateway in the foreground')
      .option('--config <file>', 'targets, principals and budgets (default: what is found nearby)'),
  ).action(
    withContext(async (context, flags: GatewayUpFlags) => (await load()).gatewayUp(context, flags)),
  );
  gateway
    .command('check')
    .description('ask every target once and say what is wrong')
    .option('--config <file>', 'targets, principals and budgets (default: what is found nearby)')
    .action(
      withContext(async (context, flags: { readonly config?: string }) =>
        (await load()).gatewayCheck(context, flags.config),
      ),
    );
  addLlm(program, withContext);
}

function addLlm(program: Command, withContext: WithContext): void {
  const load = () => import('./commands/llm.ts');
  const llm = program.command('llm').description('ask language models through the mesh');
  llm
    .command('ask')
    .description('ask, and print the answer as it comes; without words it asks what stdin says')
    .argument('[words...]')
    .option('--model <model>', 'which one (default: the first that a gateway has)')
    .option('--system <text>', 'how it should behave')
    .option('--max-tokens <n>', 'longest answer, in tokens', parseWhole('--max-tokens', 1, 1e6))
    .option('--timeout <time>', 'how long to wait, like 90s (default: 2m)', (text) =>
      parseDuration('--timeout', text, 's'),
    )
    .action(
      withContext(async (context, words: readonly string[], flags: LlmAskFlags) =>
        (await load()).llmAsk(context, words, flags),
      ),
    );
  llm
    .command('targets')
    .description('which gateway has which models, and how its targets fare')
    .action(withContext(async (context) => (await load()).llmTargets(context)));
  llm
    .command('usage')
    .description('who used what: tokens, money, cache')
    .action(withContext(async (context) => (await load()).llmUsage(context)));
}
