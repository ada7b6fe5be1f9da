/** `mycel run`, `deploy`, `undeploy`, `agents`, `drain`, `migrate`: agents on the mesh. */

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { moduleLengthMax } from '../control-agents.ts';
import { Failure, usageFailure } from '../failure.ts';
import { readModule } from '../agent-module.ts';
import type { DeployFlags } from '../program-agents.ts';
import { formatTable } from '../table.ts';

/** Deploys a module; `here`: on this node only. */
export async function deploy(
  context: Context,
  file: string,
  flags: DeployFlags,
  here: boolean,
): Promise<void> {
  const source = await readModule(file);
  if (source.length > moduleLengthMax) {
    throw new Failure(
      'MYCEL_BAD_AGENT',
      `The module has ${source.length} characters, ${moduleLengthMax} at most.`,
      'Leave out what a device has: node: modules and mycel.',
    );
  }
  const labels = (flags.label ?? []).map((label) => {
    const at = label.indexOf('=');
    if (at <= 0) throw usageFailure(`'${label}' is not K=V.`, 'Write it like room=kitchen.');
    return `${label.slice(0, at)}:${label.slice(at + 1)}`;
  });
  const select = [...labels, ...(flags.select === undefined ? [] : [flags.select])].join(', ');
  const deployed = await callNode(context.dataDir, 'deploy', {
    source,
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.replicas === undefined ? {} : { replicas: flags.replicas }),
    ...(flags.society === undefined ? {} : { society: flags.society }),
    ...(flags.require === undefined ? {} : { require: flags.require }),
    ...(flags.spread === undefined ? {} : { spread: flags.spread }),
    ...(select === '' ? {} : { select }),
    ...(flags.place === undefined ? {} : { placement: flags.place }),
    ...(here ? { here } : {}),
  });
  const hosts = (deployed.hosts ?? []).map(
    ({ node, cost }, number) =>
      `${deployed.name}#${number}: ${node.slice(0, 12)}, whose bid of ${cost.toFixed(2)} was the lowest`,
  );
  print(context, deployed, () => [
    ...hosts,
    `${deployed.name} is deployed, ${deployed.replicas} of it, code ${deployed.hash.slice(0, 12)}. "mycel agents" shows where.`,
  ]);
}

/** Ends an agent everywhere. */
export async function undeploy(context: Context, name: string): Promise<void> {
  await callNode(context.dataDir, 'undeploy', { name });
  print(context, { name }, () => [`${name} is undeployed.`]);
}

/** Prints every instance. */
export async function agents(context: Context): Promise<void> {
  const all = await callNode(context.dataDir, 'agents', {});
  print(context, all, () =>
    formatTable(
      ['INSTANCE', 'AGENT', 'NODE', 'STATE', 'RESTARTS', 'SINCE'],
      all.map((one) => [
        one.instance,
        one.agent,
        one.node.slice(0, 12),
        one.state,
        String(one.restarts),
        new Date(one.since).toISOString(),
      ]),
    ),
  );
}

/** Prints how each agent fares. */
export async function health(context: Context): Promise<void> {
  const all = await callNode(context.dataDir, 'agent-health', {});
  print(context, all, () =>
    formatTable(
      ['AGENT', 'WANTED', 'RUNNING', 'FAILED', 'RESTARTS', 'NODES'],
      all.map((one) => [
        one.agent,
        String(one.wanted),
        String(one.running),
        String(one.failed),
        String(one.restarts),
        String(one.nodes.length),
      ]),
    ),
  );
}

/** Empties a node, or lets it take part again. */
export async function drain(context: Context, who: string, undo: boolean): Promise<void> {
  const drained = await callNode(context.dataDir, 'drain', { who, undo });
  const words = undo ? 'takes agents again' : `is drained, ${drained.moved} moved`;
  print(context, drained, () => [`${drained.node.slice(0, 12)} ${words}.`]);
}

/** Moves one instance. */
export async function migrate(context: Context, instance: string, who: string): Promise<void> {
  const moved = await callNode(context.dataDir, 'migrate', { instance, who });
  print(context, moved, () => [`${moved.instance} runs on ${moved.node.slice(0, 12)}.`]);
}
