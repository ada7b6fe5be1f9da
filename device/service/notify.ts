/** Tells systemd that the node is ready, well, or stopping. docs/decisions/0010 says why by `systemd-notify`. */

import { execFile } from 'node:child_process';

import { harmless } from '../terminal.ts';

/** Part of systemd itself: where there is a socket to write to, there is this. */
const helper = 'systemd-notify';

/** How long one `systemd-notify` may take before it is ended, in ms. */
const notifyMs = 10_000;

/** Pings within one watchdog period: two may get lost. */
const pingsPerPeriod = 3;

/** Longest status text, in characters. */
const statusLengthMax = 200;

/** What the service manager learns about one node. */
export interface ServiceManager {
  /** The node serves: systemd counts the start as done, and the watchdog begins. */
  ready(): void;
  /** The node is on its way out: no further pings. */
  stopping(): void;
}

/** What to tell, and whom to complain to. */
export interface ServiceManagerOptions {
  /** One line for `systemctl status`. A node that cannot say how it is (it throws) is not well, and does not ping. */
  describe(): string;
  /** Called once, when systemd cannot be told. */
  complain(text: string): void;
}

/** The manager that started this process and wants to hear from it; undefined outside a `Type=notify` service. */
export function findServiceManager(
  env: NodeJS.ProcessEnv,
  options: ServiceManagerOptions,
): ServiceManager | undefined {
  const socket = env['NOTIFY_SOCKET'];
  if (socket === undefined || socket === '') return undefined;
  const pingMs = pingInterval(env);
  let timer: NodeJS.Timeout | undefined;
  let isBusy = false;
  let hasComplained = false;

  const send = (...facts: readonly string[]): void => {
    isBusy = true;
    const child = execFile(
      helper,
      [...facts],
      {
        timeout: notifyMs,
        killSignal: 'SIGKILL',
        env: { PATH: env['PATH'], NOTIFY_SOCKET: socket },
      },
      (error) => {
        isBusy = false;
        if (error === null || hasComplained) return;
        hasComplained = true;
        options.complain(
          `systemd could not be told how the node is (${harmless(error.message.split('\n', 1)[0] ?? '')}). Install systemd-notify, or use Type=exec without WatchdogSec.`,
        );
      },
    );
    child.unref();
  };
  const ping = (): void => {
    // One at a time: a machine too slow for one helper must not collect them.
    if (isBusy) return;
    const status = statusOf(options);
    if (status !== undefined) send('WATCHDOG=1', `STATUS=${status}`);
  };
  return {
    ready() {
      send('READY=1', `STATUS=${statusOf(options) ?? 'starting'}`);
      if (pingMs !== undefined) timer = setInterval(ping, pingMs);
    },
    stopping() {
      clearInterval(timer);
      send('STOPPING=1', 'STATUS=stopping');
    },
  };
}

/** systemd names the period in µs, and the process it means. */
function pingInterval(env: NodeJS.ProcessEnv): number | undefined {
  const meant = env['WATCHDOG_PID'];
  if (meant !== undefined && meant !== String(process.pid)) return undefined;
  const micros = Number(env['WATCHDOG_USEC']);
  if (!Number.isFinite(micros) || micros < 1) return undefined;
  return Math.max(1, Math.floor(micros / 1000 / pingsPerPeriod));
}

function statusOf({ describe }: ServiceManagerOptions): string | undefined {
  try {
    return harmless(describe()).slice(0, statusLengthMax);
  } catch {
    return undefined;
  }
}
