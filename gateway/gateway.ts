/** A running gateway: targets, policy and the HTTP server, started and stopped together. */

import { join } from 'node:path';

import type { AgentHandles, MeshNode, NodeId } from 'mycel';

import { plainModel } from './config/load.ts';
import type { GatewayConfig, PrincipalConfig } from './config/load.ts';
import { toLlmFailure } from './failure.ts';
import { localPrincipal } from './http/caller.ts';
import { openHttpServer } from './http/server.ts';
import { createEscrow } from './mesh/escrow.ts';
import { createToolbox } from './mcp/toolbox.ts';
import type { MayCall, ToolNode } from './mcp/toolbox.ts';
import { createMeshProvider, memberNamed } from './mesh/provider.ts';
import { withRelay } from './mesh/relay.ts';
import { createWord } from './mesh/word.ts';
import type { Word } from './mesh/word.ts';
import { createDesk } from './policy/desk.ts';
import type { Desk } from './policy/desk.ts';
import { createEngine } from './policy/engine.ts';
import type { Engine } from './policy/engine.ts';
import { openEscrowLog } from './policy/escrow-log.ts';
import type { EscrowLog } from './policy/escrow-log.ts';
import { openSpendLog } from './policy/spend-log.ts';
import type { DiskTrouble } from './policy/row-file.ts';
import type { SpendLog } from './policy/spend-log.ts';
import { takeUp } from './policy/take-up.ts';
import { openWaitingLog } from './policy/waiting-log.ts';
import { openTarget } from './targets/open.ts';

/** Between two looks at the models of a target that does not state them, in ms. */
const modelsEveryMs = 60_000;

/** How long a target may take to list its models, in ms. */
const modelsMs = 10_000;

/** How long a mesh is given to find itself before what waited is asked for, in ms. */
const settleMs = 3_000;

/** A running gateway. */
export interface Gateway {
  readonly http: { readonly host: string; readonly port: number };
  readonly engine: Engine;
  /** Requests that another gateway had begun when it died: they may be billed twice. */
  possibleDoubleBills(): number;
  close(): Promise<void>;
}

/** What a gateway runs with. */
export interface GatewayOptions {
  readonly config: GatewayConfig;
  /** The node it belongs to; without one it serves HTTP alone. */
  readonly node?: MeshNode & AgentHandles;
  /** Whose services its MCP clients may use. @default those of the node's mesh */
  readonly tools?: ToolNode;
  /** Decides about tools that have an effect. @default yes for the principals that the configuration names for it */
  readonly mayCall?: MayCall;
  /** Where it remembers what was spent; without one a restart forgets it. */
  readonly dataDir?: string;
  /** Tells the owner what went wrong inside, in one line. */
  report(text: string): void;
}

/**
 * Starts it. Resolves when clients can connect.
 * @throws {MycelError} MYCEL_BAD_OPTION, or the system's error when it cannot listen.
 */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, node, report } = options;
  const desks: Desk[] = [];
  for (const target of config.targets) {
    desks.push(createDesk(target, await openTarget(target), config.queueMax));
  }
  const { dataDir } = options;
  const waiting =
    dataDir === undefined || !mayQueue(config)
      ? undefined
      : await openWaitingLog(join(dataDir, 'gateway', 'waiting'), Date.now, (trouble) =>
          report(
            trouble === undefined
              ? 'The disk has taken all that waits.'
              : `${waitingText(trouble)} Make room: a restart before that forgets them.`,
          ),
        );
  const engine = createEngine(config, desks, waiting);
  const word = node === undefined ? undefined : createWord(engine, node.id, node.llm);
  const spend = dataDir === undefined ? undefined : remember(engine, dataDir, report);
  const transfers = dataDir === undefined ? undefined : await rememberParts(engine, dataDir);
  const trouble = (): string | undefined => troubleOf(spend?.trouble(), waiting?.trouble());
  const controller = new AbortController();
  const looks = desks.flatMap((desk) =>
    desk.config.models === undefined ? [watchModels(desk, controller.signal, report)] : [],
  );
  const toolNode = options.tools ?? node;
  const tools =
    config.tools === undefined || toolNode === undefined
      ? undefined
      : createToolbox(config.tools, toolNode, options.mayCall);
  try {
    const http = await openHttpServer({
      config,
      tools,
      trouble,
      engine: word === undefined || node === undefined ? engine : withRelay(engine, word, node.llm),
      report: (error) =>
        report(
          `A request failed unexpectedly: ${String((error as Error).stack ?? error).slice(0, 500)}`,
        ),
    });
    const stopMesh =
      node === undefined || word === undefined
        ? undefined
        : await serveMesh({ node, config, engine, word, transfers, trouble });
    if (waiting !== undefined) {
      const doubtful = takeUp({
        engine,
        waiting,
        signal: controller.signal,
        settleMs: node === undefined ? 0 : settleMs,
        principalNamed: (name) => principalNamed(config, name),
      });
      word?.doubt(doubtful);
    }
    return {
      http: { host: http.host, port: http.port },
      engine,
      possibleDoubleBills: () => word?.possibleDoubleBills() ?? 0,
      async close() {
        waiting?.freeze();
        controller.abort();
        stopMesh?.();
        for (const stop of looks) stop();
        await http.close();
        await engine.close();
        const lost = await spend?.close();
        if (lost !== undefined)
          report(
            `${spentText(lost)} They are lost: after a restart the budgets count without them.`,
          );
        await transfers?.close();
        const forgotten = await waiting?.close();
        if (forgotten !== undefined)
          report(`${waitingText(forgotten)} Those that came since are forgotten.`);
      },
    };
  } catch (error) {
    for (const stop of looks) stop();
    await engine.close();
    throw error;
  }
}

/** Whether anybody's requests wait for a target to come back. */
function mayQueue({ offline, principals, targets }: GatewayConfig): boolean {
  const steps = [
    offline,
    ...principals.map((principal) => principal.offline),
    ...targets.flatMap(({ models }) => models?.map((model) => model.offline)),
  ];
  return steps.some((some) => some?.includes('queue') === true);
}

/** Who asked, when only the name is left. */
function principalNamed(config: GatewayConfig, name: string): PrincipalConfig | undefined {
  const found = config.principals.find((principal) => principal.name === name);
  if (found !== undefined || config.principals.length > 0) return found ?? memberNamed(name);
  return name === localPrincipal.name ? localPrincipal : memberNamed(name);
}

/** Books what was spent before, and writes down what is spent from now on. Accounts without a limit need no memory. */
function remember({ accounts }: Engine, dataDir: string, report: (text: string) => void): SpendLog {
  const log = openSpendLog(join(dataDir, 'gateway', 'spend'), accounts.stamp(), (trouble) =>
    report(
      trouble === undefined
        ? 'The disk has taken all that was spent.'
        : `${spentText(trouble)} Make room: a restart before that forgets them.`,
    ),
  );
  for (const { account, amounts, stamp } of log.before) accounts.restore(account, amounts, stamp);
  accounts.onSettled((account, amounts, stamp) => {
    if (accounts.isBounded(account)) log.append({ account, amounts, stamp });
  });
  return log;
}

function spentText({ reason, waiting }: DiskTrouble): string {
  return `The disk does not take what was spent (${reason}); ${waiting} settlements wait in memory.`;
}

function waitingText({ reason, waiting }: DiskTrouble): string {
  return `The disk does not take which requests wait for a target (${reason}); ${waiting} wait in memory.`;
}

function troubleOf(
  spent: DiskTrouble | undefined,
  waiting: DiskTrouble | undefined,
): string | undefined {
  const texts = [
    ...(spent === undefined ? [] : [spentText(spent)]),
    ...(waiting === undefined ? [] : [waitingText(waiting)]),
  ];
  return texts.length === 0 ? undefined : texts.join(' ');
}

/** Books the parts of budgets that went to and came from other gateways before. */
async function rememberParts({ accounts }: Engine, dataDir: string): Promise<EscrowLog> {
  const now = accounts.stamp();
  const log = await openEscrowLog(join(dataDir, 'gateway', 'escrow'), now);
  for (const transfer of log.before) {
    const { way, holder, sum, period, stamp } = transfer;
    accounts.transferred(transfer, way, holder, sum, { ...now, [period]: stamp });
  }
  return log;
}

/** Serves the members of the node's mesh, and tells the other gateways what is under way here. */
async function serveMesh({
  node,
  config,
  engine,
  word,
  transfers,
  trouble,
}: {
  readonly node: MeshNode & AgentHandles;
  readonly config: GatewayConfig;
  readonly engine: Engine;
  readonly word: Word;
  readonly transfers: EscrowLog | undefined;
  readonly trouble: () => string | undefined;
}): Promise<() => void> {
  const { accounts } = engine;
  const { llm } = node;
  const escrow = createEscrow({ accounts, gateways: config.gateways, llm, log: transfers });
  if (config.gateways > 1) accounts.beforeRefusal((line, amount) => escrow.borrow(line, amount));
  const member = (id: NodeId): ReturnType<MeshNode['members']>[number] | undefined =>
    node.members().find((one) => one.id === id);
  const provider = createMeshProvider({
    config,
    engine,
    word,
    escrow,
    trouble,
    nameOf: (id) => member(id)?.name,
    isGateway: (id) => member(id)?.capabilities.includes('llm-gateway') === true,
  });
  return node.llm.serve(provider);
}

/** Asks a target for its models now and then; a target that is down keeps those it had. */
function watchModels(desk: Desk, signal: AbortSignal, report: (text: string) => void): () => void {
  let wasDown = false;
  const look = async (): Promise<void> => {
    try {
      const names = await desk.target.listModels(
        AbortSignal.any([signal, AbortSignal.timeout(modelsMs)]),
      );
      desk.setModels(names.map(plainModel));
      wasDown = false;
    } catch (error) {
      if (signal.aborted || wasDown) return;
      wasDown = true;
      report(
        `Target '${desk.config.name}' does not tell its models: ${toLlmFailure(error).message}`,
      );
    }
  };
  void look();
  const timer = setInterval(() => void look(), modelsEveryMs).unref();
  return () => clearInterval(timer);
}
