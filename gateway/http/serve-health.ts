/** Whether the gateway is well, and its figures: for load balancers, Prometheus and people. */

import type { BudgetLine } from 'mycel/flow';

import type { PrincipalConfig } from '../config/load.ts';
import { pricesAsOf } from '../policy/price-table.ts';
import type { UsageLine } from '../policy/usage-book.ts';
import { sendJson } from './exchange.ts';
import type { RouteCall } from './routes.ts';

type Known = RouteCall & { readonly principal: PrincipalConfig };

/** 200 while some target can be asked, else 503. Says nothing that a stranger may not know. */
export function serveHealth({ engine, trouble, response }: RouteCall): void {
  const now = performance.now();
  const isAble = engine.desks.some(
    (desk) =>
      desk.models().length === 0 ||
      desk.models().some((model) => desk.breaker(model.as).isReady(now)),
  );
  sendJson(response, isAble ? 200 : 503, {
    status: isAble ? 'ok' : 'no target can be asked',
    targets: engine.desks.length,
    inflight: engine.inflight(),
    trouble: trouble?.(),
  });
}

/** Every target with its queue and its breakers. */
export function serveTargets({ engine, response }: Known): void {
  sendJson(response, 200, { targets: engine.desks.map((desk) => desk.view()) });
}

/** The caller's own use and budgets; the owner of the computer sees everybody's. */
export function serveUsage({ engine, config, principal, response }: Known): void {
  const isOwner = config.principals.length === 0;
  const lines = engine.usage.lines().filter((line) => isOwner || line.principal === principal.name);
  sendJson(response, 200, {
    usage: lines,
    budgets: engine.accounts.lines(principal).map(encodeBudget),
    pricesAsOf,
  });
}

/** A budget as it is shown: money in dollars. */
export function encodeBudget(line: BudgetLine): object {
  const { account, unit, period } = line;
  const shown = (amount: number): number => (unit === 'usd' ? amount / 1e9 : amount);
  return {
    account,
    unit,
    period,
    max: shown(line.max),
    spent: shown(line.spent),
    reserved: shown(line.reserved),
  };
}

/** The text format of Prometheus, version 0.0.4. */
export function serveMetrics({ engine, trouble, response }: Known): void {
  const lines: string[] = [];
  const add = (
    name: string,
    type: string,
    help: string,
    samples: readonly (readonly [Record<string, string>, number])[],
  ): void => {
    if (samples.length === 0) return;
    lines.push(`# HELP mycel_llm_${name} ${help}`, `# TYPE mycel_llm_${name} ${type}`);
    for (const [labels, value] of samples) {
      const text = Object.entries(labels)
        .map(([key, label]) => `${key}="${escape(label)}"`)
        .join(',');
      lines.push(`mycel_llm_${name}${text === '' ? '' : `{${text}}`} ${value}`);
    }
  };
  const usage = engine.usage.lines();
  const labelled = (
    value: (line: UsageLine) => number,
  ): (readonly [Record<string, string>, number])[] =>
    usage.map((line) => [
      { principal: line.principal, agent: line.agent ?? '', model: line.model },
      value(line),
    ]);
  add(
    'requests_total',
    'counter',
    'Requests that ended.',
    labelled((line) => line.requests),
  );
  add(
    'failures_total',
    'counter',
    'Requests that failed.',
    labelled((line) => line.failures),
  );
  add(
    'cache_hits_total',
    'counter',
    'Answers from the cache.',
    labelled((line) => line.cacheHits),
  );
  add(
    'coalesced_total',
    'counter',
    'Requests that shared an answer under way.',
    labelled((line) => line.coalesced),
  );
  add(
    'input_tokens_total',
    'counter',
    'Input tokens.',
    labelled((line) => line.inputTokens),
  );
  add(
    'output_tokens_total',
    'counter',
    'Output tokens.',
    labelled((line) => line.outputTokens),
  );
  add(
    'cost_usd_total',
    'counter',
    'Cost in US dollars.',
    labelled((line) => line.usd),
  );
  add(
    'duration_seconds_sum',
    'counter',
    'Time of answers.',
    labelled((line) => line.totalMs / 1000),
  );
  const views = engine.desks.map((desk) => desk.view());
  add(
    'inflight',
    'gauge',
    'Requests at a target.',
    views.map((view) => [{ target: view.target }, view.inflight]),
  );
  add(
    'waiting',
    'gauge',
    'Requests waiting for a target.',
    views.map((view) => [
      { target: view.target },
      view.waiting.reduce((sum, count) => sum + count, 0),
    ]),
  );
  add('waiting_offline', 'gauge', 'Requests waiting for a target to come back.', [
    [{}, engine.waitingOffline()],
  ]);
  add(
    'breaker_open',
    'gauge',
    'Models of a target that are not asked now.',
    views.map((view) => [{ target: view.target }, view.open.length]),
  );
  add('trouble', 'gauge', 'Something that the owner should know of: see /health.', [
    [{}, trouble?.() === undefined ? 0 : 1],
  ]);
  add('cache_bytes', 'gauge', 'Memory of kept answers.', [[{}, engine.cache.bytes]]);
  add('process_resident_memory_bytes', 'gauge', 'Resident memory.', [
    [{}, process.memoryUsage.rss()],
  ]);
  response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
  response.end(`${lines.join('\n')}\n`);
}

function escape(label: string): string {
  return label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
