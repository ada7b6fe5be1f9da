/** The commands about language models: run a gateway that holds the keys, test it. */

import type { Command } from 'commander';

import type { WithContext } from './context.ts';
import { addNodeOptions, type UpFlags } from './program-node.ts';

/** Flags of `gateway up`. */
export interface GatewayUpFlags extends UpFlags {
  readonly config?: string;
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
}
