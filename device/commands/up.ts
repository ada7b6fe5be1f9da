/** `mycel up`: runs the node in the foreground and tells what happens, a line at a time. */

import type { AgentHandles, MeshNode, NodeOptions, NodeStatus } from 'mycel';

import type { Context } from '../context.ts';
import { nameConfigFile, readConfigFile } from '../config-file.ts';
import { assertNoLiveNode } from '../control-server.ts';
import { runDaemon, type Attendant, type DaemonReport } from '../daemon.ts';
import { growWithWork } from '../engine.ts';
import { Exit } from '../failure.ts';
import { findInvite } from '../invite-source.ts';
import { memberColours } from '../member-state.ts';
import { namePortHolder } from '../port-holder.ts';
import { createProbe } from '../probe.ts';
import type { UpFlags } from '../program-node.ts';
import { readSecret } from '../secret-source.ts';
import { findServiceManager } from '../service/notify.ts';
import { harmless } from '../terminal.ts';

/** How long a clean stop may take before the process goes anyway, in ms. */
const stopMs = 15_000;

/** How the process ends when the launcher is to start another version; the unit knows the number. */
const restartExitCode = 75;

/** Runs until a signal or `mycel down`. */
export function up(context: Context, flags: UpFlags, configFile?: string): Promise<void> {
  return runNode(context, flags, configFile === undefined ? {} : { configFile });
}

/** What else runs on the node, and what the node says it can. */
export interface NodeExtras {
  readonly capabilities?: readonly string[];
  /** Where the node's options are; the one in the data directory when it is not said. */
  readonly configFile?: string;
  readonly attend?: (node: MeshNode & AgentHandles) => Promise<Attendant>;
}

/** Runs a node, and what runs on it, until a signal or `mycel down`. */
export async function runNode(
  context: Context,
  flags: UpFlags,
  { capabilities, attend, configFile }: NodeExtras,
): Promise<void> {
  const { dataDir, json, terminal } = context;
  await assertNoLiveNode(dataDir);
  const configured = await readConfigFile(configFile, dataDir);
  const { backbone } = flags;
  const url = backbone === undefined ? undefined : await readSecret('--backbone', backbone);
  const invite = await findInvite(flags.join, process.env);
  const { createNode } = await import('mycel');
  const launch = findLaunch(process.env);
  const node = await createNode({
    ...configured,
    ...toNodeOptions(flags, dataDir, invite?.text),
    ...(launch === undefined ? {} : { launch }),
    ...(url === undefined ? {} : { backbone: url }),
    ...(capabilities === undefined ? {} : { capabilities }),
  }).catch((error: unknown) => {
    throw nameConfigFile(error, configured, [configFile, dataDir]);
  });
  const manager = findServiceManager(process.env, {
    describe: () => summarise(node.status()),
    complain: (text) => terminal.note(text),
  });
  let isRestartWanted = false;
  let stopGrowing = (): void => {};
  await runDaemon({
    node,
    dataDir,
    inviteFile: invite?.file,
    ...(attend === undefined ? {} : { attend: () => attend(node) }),
    report(report, { id }) {
      if (report.event === 'ready') {
        stopGrowing = growWithWork();
        manager?.ready();
      }
      if (report.event === 'stopping') {
        stopGrowing();
        manager?.stopping();
      }
      if (json) terminal.line(JSON.stringify(report));
      else for (const line of describe(context, report, id)) terminal.line(line);
    },
    onStopAsked(stop) {
      const ignoreStop = listenForStop(stop, flags.stopWithStdin === true);
      const ignoreRestart = node.updates.onRestart(() => {
        isRestartWanted = true;
        stop('another version is to run');
      });
      return () => {
        ignoreStop();
        ignoreRestart();
      };
    },
  }).catch((error: unknown) => {
    throw namePortHolder(error);
  });
  if (isRestartWanted) throw new Exit(restartExitCode);
}

/** The line that `systemctl status` shows. */
function summarise({ mesh, members, links, warnings }: NodeStatus): string {
  const trouble = warnings.length === 0 ? '' : `, ${warnings.length} warnings: see mycel status`;
  return `mesh '${mesh.name}', ${members.alive} alive, ${links.length} links${trouble}`;
}

/** What `firmware-scripts/launch.sh` told; undefined when something else started this process. */
function findLaunch(env: NodeJS.ProcessEnv): NodeOptions['launch'] {
  const running = env['MYCEL_RUNNING'];
  if (running === undefined || running === '') return undefined;
  return { running, isTrial: env['MYCEL_TRIAL'] === 'yes', nodeVersion: process.versions.node };
}

/** The options of the library, with only those fields that were stated. */
export function toNodeOptions(
  flags: UpFlags,
  dataDir: string,
  invite: string | undefined,
): NodeOptions {
  return {
    dataDir,
    ...(flags.mdns ? {} : { mdns: false }),
    ...(flags.multicast ? {} : { multicast: false }),
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.port === undefined ? {} : { port: flags.port }),
    ...(flags.guestPort === undefined ? {} : { guestPort: flags.guestPort }),
    ...(flags.mesh === undefined ? {} : { mesh: flags.mesh }),
    ...(invite === undefined ? {} : { join: invite }),
    ...(flags.seed === undefined ? {} : { seeds: flags.seed }),
    ...(flags.interface === undefined ? {} : { interfaces: flags.interface }),
    ...(flags.label === undefined ? {} : { labels: flags.label }),
    ...(flags.profile === undefined ? {} : { profile: flags.profile }),
    ...(flags.overlay === undefined ? {} : { overlay: flags.overlay }),
    ...(flags.dev === undefined ? {} : { dev: flags.dev }),
    ...(flags.metrics === undefined ? {} : { metrics: flags.metrics }),
    ...(flags.homeAssistant === undefined
      ? {}
      : { homeAssistant: flags.homeAssistant === true ? 'homeassistant' : flags.homeAssistant }),
    ...(flags.probe === undefined ? {} : { probe: createProbe(flags.probe) }),
    ...(flags.logLevel === undefined ? {} : { logLevel: flags.logLevel }),
  };
}

/** The first signal asks for a clean stop, the second one ends the process. */
function listenForStop(stop: (reason: string) => void, alsoStdin: boolean): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  let force: NodeJS.Timeout | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (force !== undefined) process.exit(1);
    force = setTimeout(() => process.exit(1), stopMs);
    force.unref();
    stop(signal);
  };
  for (const signal of signals) process.on(signal, onSignal);
  const onEnd = (): void => stop('stdin has ended');
  if (alsoStdin) process.stdin.on('end', onEnd).on('error', onEnd).resume();
  return () => {
    if (alsoStdin) process.stdin.off('end', onEnd).pause().unref();
    clearTimeout(force);
    for (const signal of signals) process.off(signal, onSignal);
  };
}

/** A report as lines for a person. */
export function describe(context: Context, report: DaemonReport, id: string): string[] {
  const { style } = context.terminal;
  const short = (whole: string): string => style('dim', whole.slice(0, 8));
  switch (report.event) {
    case 'ready':
      return [
        `${style('green', 'ready')}    ${style('bold', harmless(report.name))} ${short(id)} in mesh '${harmless(report.mesh)}', MQTT on port ${report.mqttPort}`,
        ...(report.http === undefined
          ? []
          : [`gateway  http://${hostInUrl(report.http.host)}:${report.http.port}/v1`]),
        style('dim', '         next: mycel invite · mycel members · mycel status'),
      ];
    case 'member': {
      const colour = memberColours[report.state];
      return [
        `member   ${harmless(report.name)} ${short(report.id)} is ${style(colour, report.state)}`,
      ];
    }
    case 'joined':
      return [`${style('green', 'joined')}   mesh '${harmless(report.mesh)}'`];
    case 'pending':
      return [
        `waiting  ${harmless(report.name)} ${short(report.id)} wants to enter and shows ${style('bold', report.code)}`,
        style('dim', `         if the board shows the same digits: mycel approve ${report.code}`),
      ];
    case 'alert':
      return [`${style('yellow', 'alert')}    ${harmless(report.text)}`];
    case 'expelled':
      return [`${style('red', 'expelled')} ${harmless(report.reason)}`];
    case 'stopping':
      return [`stopping (${report.reason})`];
    case 'stopped':
      return ['stopped'];
  }
}

function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
