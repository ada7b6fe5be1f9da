/** The running node of `mycel up`: starts in order, tells what happens, stops in the reverse order. */

import { unlink } from 'node:fs/promises';

import type { MemberInfo, MemberState, MeshNode } from 'mycel';

import { openControlServer, type ControlServer } from './control-server.ts';
import { toFailure } from './failure.ts';

/** Members whose last told state is remembered; beyond it the one told longest ago may be told again. */
const toldMembersMax = 4096;

/** What a running node has to say, in the order it happened. */
export type DaemonReport =
  | {
      readonly event: 'ready';
      readonly node: string;
      readonly name: string;
      readonly mesh: string;
      readonly mqttPort: number;
      /** Where a gateway listens. */
      readonly http?: { readonly host: string; readonly port: number };
    }
  | {
      readonly event: 'member';
      readonly id: string;
      readonly name: string;
      readonly state: MemberState;
    }
  | { readonly event: 'joined'; readonly mesh: string }
  | { readonly event: 'pending'; readonly id: string; readonly name: string; readonly code: string }
  | { readonly event: 'alert'; readonly code: string; readonly text: string }
  | { readonly event: 'expelled'; readonly reason: string }
  | { readonly event: 'stopping'; readonly reason: string }
  | { readonly event: 'stopped' };

/** Something that runs on the node: a gateway. */
export interface Attendant {
  /** What the ready line says of it. */
  readonly told: { readonly http: { readonly host: string; readonly port: number } };
  stop(): Promise<void>;
}

/** What the daemon runs with. */
export interface DaemonOptions {
  readonly node: MeshNode;
  readonly dataDir: string;
  /** A file that held the invite; removed once the node has joined, so that a lost card gives nothing away. */
  readonly inviteFile: string | undefined;
  report(report: DaemonReport, node: MeshNode): void;
  /** Starts what runs on the node besides it, before the node counts as ready; what it gives back is stopped first. */
  attend?(): Promise<Attendant>;
  /** Says why the process should stop, with a function that takes the listening back. */
  onStopAsked(stop: (reason: string) => void): () => void;
}

/**
 * Starts the node and its control socket and returns when both have stopped.
 * @throws whatever the start failed with; everything already opened is closed first.
 */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { node } = options;
  let askToStop = (_reason: string): void => undefined;
  const asked = new Promise<string>((resolve) => {
    askToStop = resolve;
  });
  // What happens before the node is ready is told after the line that says so.
  let early: DaemonReport[] | undefined = [];
  const report = (entry: DaemonReport): void => {
    if (early === undefined) options.report(entry, node);
    else early.push(entry);
  };
  const stopWatching = watch(options, report);
  const stopListening = options.onStopAsked((reason) => askToStop(reason));
  let control: ControlServer | undefined;
  let attendant: Attendant | undefined;
  try {
    await node.start();
    attendant = await options.attend?.();
    control = await openControlServer({
      dataDir: options.dataDir,
      node,
      down: () => askToStop('mycel down'),
    });
    const { name, mesh, mqttPort } = node.status();
    const self = { node: node.id, name, mesh: mesh.name, mqttPort };
    options.report({ event: 'ready', ...self, ...attendant?.told }, node);
    const held = early;
    early = undefined;
    for (const entry of held) report(entry);
    report({ event: 'stopping', reason: await asked });
  } finally {
    stopWatching();
    await attendant?.stop();
    await node.stop();
    await control?.stop('the node has stopped');
    stopListening();
  }
  report({ event: 'stopped' });
}

/** Turns the node's events into reports. Returns what ends it. */
function watch(options: DaemonOptions, report: (entry: DaemonReport) => void): () => void {
  const { node, inviteFile } = options;
  const told = new Map<string, MemberState>();
  const tellMember = (member: MemberInfo): void => {
    if (member.isSelf || told.get(member.id) === member.state) return;
    told.delete(member.id);
    told.set(member.id, member.state);
    const [oldest] = told.keys();
    if (told.size > toldMembersMax && oldest !== undefined) told.delete(oldest);
    report({ event: 'member', id: member.id, name: member.name, state: member.state });
  };
  const stops = [
    node.on('member', tellMember),
    node.on('joined', ({ name }) => {
      report({ event: 'joined', mesh: name });
      if (inviteFile !== undefined) void forgetInvite(inviteFile, report);
    }),
    node.on('pending', ({ id, name, code }) => report({ event: 'pending', id, name, code })),
    node.on('alert', ({ code, text }) => report({ event: 'alert', code, text })),
    node.on('expelled', ({ reason }) => report({ event: 'expelled', reason })),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

async function forgetInvite(path: string, report: (entry: DaemonReport) => void): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    const { code, message } = toFailure(error);
    report({
      event: 'alert',
      code,
      text: `The used invite stays on the card: ${message} Remove ${path}.`,
    });
  }
}
