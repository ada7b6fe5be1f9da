/** `mycel gateway`: a node with a gateway on it, and the test of its targets. The gateway's code is loaded here only. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';

import type { AgentHandles, MeshNode } from 'mycel';
import type { GatewayConfig } from 'mycel/gateway';

import { print, type Context } from '../context.ts';
import type { Attendant } from '../daemon.ts';
import { Failure } from '../failure.ts';
import { keepHeapSmall } from '../heap.ts';
import type { GatewayUpFlags } from '../program-gateway.ts';
import { formatTable } from '../table.ts';
import { harmless } from '../terminal.ts';
import { runNode } from './up.ts';

/** Runs until a signal or `mycel down`. */
export async function gatewayUp(context: Context, flags: GatewayUpFlags): Promise<void> {
  // Two hundred streams leave 60 MB of garbage that V8 would otherwise keep (docs/decisions/0043).
  keepHeapSmall();
  const config = await findConfig(context, flags.config);
  const { forgetKeys } = await import('mycel/gateway');
  forgetKeys(config, process.env);
  await runNode(context, flags, {
    capabilities: ['llm-gateway'],
    attend: (node) => attend(context, node, config),
  });
}

async function attend(
  context: Context,
  node: MeshNode & AgentHandles,
  config: GatewayConfig,
): Promise<Attendant> {
  const { openGateway } = await import('mycel/gateway');
  const { terminal } = context;
  try {
    const gateway = await openGateway({
      config,
      node,
      dataDir: context.dataDir,
      report: (text) => terminal.note(harmless(text)),
    });
    return { told: { http: gateway.http }, stop: () => gateway.close() };
  } catch (error) {
    throw portTaken(error, config);
  }
}

/** Asks every target once. */
export async function gatewayCheck(context: Context, file: string | undefined): Promise<void> {
  const { checkTargets } = await import('mycel/gateway');
  const config = await findConfig(context, file);
  const checks = await checkTargets(config.targets);
  const { style } = context.terminal;
  print(context, { targets: checks }, () =>
    formatTable(
      ['', 'TARGET', 'ANSWERED IN', 'FINDING'],
      checks.map(({ target, isOk, text, ms }) => [
        { text: isOk ? '✓' : '✗', shown: (mark) => style(isOk ? 'green' : 'red', mark) },
        target,
        ms === undefined ? '-' : `${ms} ms`,
        isOk ? text : '',
      ]),
    ).concat(
      checks.flatMap(({ target, isOk, text }) =>
        isOk ? [] : [`${style('red', '✗')} ${harmless(target)}: ${harmless(text)}`],
      ),
    ),
  );
  const bad = checks.filter(({ isOk }) => !isOk).map(({ target }) => `'${target}'`);
  if (bad.length === 0) return;
  throw new Failure(
    'MYCEL_LLM_TARGET',
    `${bad.length} of ${checks.length} targets cannot be used: ${bad.join(', ')}.`,
    'Each line marked ✗ says why.',
  );
}

/** The file that was named, the one in the data directory, or whatever is found nearby. */
async function findConfig(context: Context, file: string | undefined): Promise<GatewayConfig> {
  const { findTargets, httpPortDefault, loadConfig, resolveConfig } = await import('mycel/gateway');
  const own = join(context.dataDir, 'gateway.yaml');
  const given = file ?? (existsSync(own) ? own : undefined);
  if (given !== undefined) return loadConfig(given, process.env);
  const targets = await findTargets([], 0);
  if (targets.length === 0) {
    throw new Failure(
      'MYCEL_LLM_TARGET',
      'No language model was found on this machine or network.',
      `Start Ollama or llama.cpp and run this again, or write ${own} with one line, targets: [{ name: openai, kind: openai, url: "https://api.openai.com/v1", apiKeyEnv: OPENAI_API_KEY, models: [gpt-4o-mini] }], and set OPENAI_API_KEY.`,
    );
  }
  const isTaken = targets.some(
    ({ url }) => url?.startsWith(`http://127.0.0.1:${httpPortDefault}`) === true,
  );
  return {
    ...resolveConfig({ targets: [], ...(isTaken ? { http: { port: 0 } } : {}) }, process.env),
    targets,
  };
}

function portTaken(error: unknown, config: GatewayConfig): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const { host, port } = config.http;
  if (code === 'EADDRINUSE') {
    return new Failure(
      'MYCEL_PORT_TAKEN',
      `Port ${port} of the gateway is in use by another program.`,
      'Give it another one under http.port, or 0 for any free one.',
      { cause: error },
    );
  }
  if (code === 'EADDRNOTAVAIL' || code === 'EACCES' || code === 'ENOTFOUND') {
    return new Failure(
      'MYCEL_LISTEN_FAILED',
      `The gateway cannot listen on ${host}, port ${port}.`,
      'Correct http.host and http.port in the configuration.',
      { cause: error },
    );
  }
  return error;
}
