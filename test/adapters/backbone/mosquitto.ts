/** A real mosquitto with a password, on a port of its own. */

import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePort } from '../../../src/adapters/free-port.ts';

/** Who may log in. */
export const user = 'site';
export const password = 'p@ss:wörd/1';

/** A broker that can be killed and started again. */
export interface Mosquitto {
  readonly port: number;
  /** With user and password, or with others. */
  url(as?: { readonly user: string; readonly password: string }): string;
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Writes configuration and password file of a broker into a directory; gives the path of the configuration. */
export async function writeMosquittoConfig(
  home: string,
  listen: string,
  more: readonly string[] = [],
): Promise<string> {
  const passwords = join(home, 'passwords');
  execFileSync('mosquitto_passwd', ['-b', '-c', passwords, user, password]);
  const config = join(home, 'mosquitto.conf');
  const lines = [`listener ${listen}`, 'allow_anonymous false', `password_file ${passwords}`];
  await writeFile(config, `${[...lines, ...more, 'user root', 'persistence false'].join('\n')}\n`);
  await chmod(passwords, 0o600);
  return config;
}

/** The URL of a broker. */
export function urlOf(host: string, port: number, as = { user, password }): string {
  return `mqtt://${encodeURIComponent(as.user)}:${encodeURIComponent(as.password)}@${host}:${port}`;
}

/** Makes a certificate for 127.0.0.1 that vouches for itself; gives its path and the lines for the configuration. */
function makeCertificate(home: string): { readonly ca: string; readonly lines: string[] } {
  const [cert, key] = [join(home, 'cert.pem'), join(home, 'key.pem')];
  const request = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2';
  const names = ['-subj', '/CN=broker', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const files = ['-keyout', key, '-out', cert];
  execFileSync('openssl', [...request.split(' '), ...names, ...files], { stdio: 'ignore' });
  return { ca: cert, lines: [`certfile ${cert}`, `keyfile ${key}`] };
}

/** Starts one; with TLS it has a certificate of its own making (`ca`). */
export async function startMosquitto(
  isTls = false,
): Promise<Mosquitto & { readonly ca: string | undefined }> {
  const home = await mkdtemp(join(tmpdir(), 'mycel-mosquitto-'));
  const port = await findFreePort({ host: '127.0.0.1', port: 0 });
  const certificate = isTls ? makeCertificate(home) : undefined;
  const config = await writeMosquittoConfig(home, `${port} 127.0.0.1`, certificate?.lines);
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    child = spawn('mosquitto', ['-c', config], { stdio: 'ignore' });
    for (let waited = 0; !(await answers(port)); waited += 20) {
      if (waited > 10_000) throw new Error('mosquitto does not listen');
      await once(AbortSignal.timeout(20), 'abort');
    }
  }
  async function kill(): Promise<void> {
    if (child === undefined) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    child = undefined;
  }

  await start();
  return {
    port,
    ca: certificate?.ca,
    url: (as) => urlOf('127.0.0.1', port, as).replace('mqtt:', isTls ? 'mqtts:' : 'mqtt:'),
    kill,
    start,
    async stop() {
      await kill();
      await rm(home, { recursive: true, force: true });
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
