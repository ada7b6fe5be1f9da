/** One real node of the demo: a child process of this same executable with its own data directory. */

import { spawn, type ChildProcess } from 'node:child_process';

import type { MemberState } from 'mycel';

import { connectControl, type ControlClient } from '../control-client.ts';
import type { ControlMessage } from '../control-protocol.ts';
import { Failure } from '../failure.ts';
import { createLineSplitter } from '../line-splitter.ts';

/** How long a node may take to get ready and to join, in ms; a Pi Zero needs a few seconds. */
const readyMs = 60_000;

/** How long a node may take to stop before it is killed, in ms. */
const stopMs = 8000;

/** Longest line a node prints, in bytes. */
const lineBytesMax: number = 64 * 1024;

/** Last of a node's stderr that is kept to explain why it died, in characters. */
const lastWordsMax = 2000;

/** What a node reports to the demo. */
export interface DemoNodeHandlers {
  ready(): void;
  /** It has given up its own mesh for the one of its invite. */
  joined(): void;
  /** It changed its mind about another node. */
  member(name: string, state: MemberState): void;
  heard(message: ControlMessage): void;
  /** Its process ended; `reason` is its last line on stderr, or the signal. */
  ended(reason: string): void;
}

/** A node of the demo. */
export interface DemoNode {
  readonly name: string;
  readonly dataDir: string;
  readonly isUp: boolean;
  readonly pid: number | undefined;
  readonly mqttPort: number | undefined;
  /** Its control socket, while it is up. */
  readonly control: ControlClient | undefined;
  /** Starts it and waits until it is ready, has joined when it is invited, and its messages flow here. The invite goes by the environment, not by `ps`. */
  start(invite: string | undefined): Promise<void>;
  /** `kill -9`: no goodbye, as when the power is cut. */
  kill(): void;
  /** Asks it to stop, and kills it when it does not. */
  stop(): Promise<void>;
}

/** What an unstarted node has. */
interface Running {
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
  mqttPort: number | undefined;
  control: ControlClient | undefined;
}

/** Makes a node that is not started yet. */
export function createDemoNode(
  name: string,
  dataDir: string,
  handlers: DemoNodeHandlers,
): DemoNode {
  let running: Running | undefined;
  return {
    name,
    dataDir,
    get isUp() {
      return running?.control !== undefined;
    },
    get pid() {
      return running?.child.pid;
    },
    get mqttPort() {
      return running?.mqttPort;
    },
    get control() {
      return running?.control;
    },
    async start(invite) {
      const child = spawnNode(name, dataDir, invite);
      const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
      const mine: Running = { child, exited, mqttPort: undefined, control: undefined };
      running = mine;
      void exited.then(() => {
        mine.control?.close();
        if (running === mine) running = undefined;
      });
      mine.mqttPort = await whenReady(child, name, invite !== undefined, handlers);
      const control = await connectControl(dataDir);
      await control.stream(
        'subscribe',
        { filter: 'demo/#' },
        { event: handlers.heard, ended: () => undefined },
      );
      mine.control = control;
      handlers.ready();
    },
    kill: () => void running?.child.kill('SIGKILL'),
    async stop() {
      if (running === undefined) return;
      const { child, exited } = running;
      child.kill('SIGTERM');
      const force = setTimeout(() => child.kill('SIGKILL'), stopMs);
      await exited;
      clearTimeout(force);
    },
  };
}

/**
 * In a group of its own, so that Ctrl-C reaches the demo alone and the demo stops its nodes in order.
 * Its stdin is a pipe from us: should we be killed, the pipe ends and the node with it.
 */
function spawnNode(name: string, dataDir: string, invite: string | undefined): ChildProcess {
  const script = process.argv[1] ?? '';
  const { MYCEL_JOIN_FILE: _file, MYCEL_JOIN: _invite, ...env } = process.env;
  const flags = ['--name', name, '--data-dir', dataDir, '--mesh', 'demo'];
  const network = ['--interface', 'lo', '--profile', 'loopback'];
  return spawn(
    process.execPath,
    [...process.execArgv, script, 'up', '--json', '--stop-with-stdin', ...flags, ...network],
    {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: invite === undefined ? env : { ...env, MYCEL_JOIN: invite },
    },
  );
}

/** Reads the node's lines; resolves with its MQTT port. @throws {Failure} MYCEL_DEMO when it ends first. */
function whenReady(
  child: ChildProcess,
  name: string,
  mustJoin: boolean,
  handlers: DemoNodeHandlers,
): Promise<number> {
  return new Promise((resolve, reject) => {
    let lastWords = '';
    let isReady = false;
    let mqttPort = 0;
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(
        startFailure(name, mqttPort > 0 ? 'its invite did not work' : 'it was not ready in time'),
      );
    }, readyMs);
    const splitter = createLineSplitter(lineBytesMax);
    child.stdout?.on('data', (chunk: Buffer) => {
      for (const line of splitter.push(chunk).lines) {
        const report = parseReport(line);
        if (report?.['event'] === 'ready') mqttPort = Number(report['mqttPort']);
        if (report?.['event'] === 'joined') handlers.joined();
        if (!isReady && report?.['event'] === (mustJoin ? 'joined' : 'ready')) {
          isReady = true;
          clearTimeout(timer);
          resolve(mqttPort);
        }
        if (report?.['event'] === 'member') {
          handlers.member(String(report['name']), report['state'] as MemberState);
        }
      }
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      lastWords = (lastWords + chunk.toString('utf8')).slice(-lastWordsMax);
    });
    child.once('error', (error) => reject(startFailure(name, error.message)));
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      const said = lastWords.trim().split('\n').at(-1) ?? '';
      const reason = signal ?? (said === '' ? `exit code ${code ?? 0}` : said);
      if (isReady) handlers.ended(reason);
      else reject(startFailure(name, reason));
    });
  });
}

function parseReport(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function startFailure(name: string, reason: string): Failure {
  return new Failure(
    'MYCEL_DEMO',
    `The node '${name}' did not start: ${reason.replace(/\.$/, '')}.`,
    'Run "mycel doctor" to see what this machine lacks.',
  );
}
