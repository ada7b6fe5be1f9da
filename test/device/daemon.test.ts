/** The daemon's order of things, told apart from any network. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { callNode } from '../../device/control-client.ts';
import { runDaemon, type DaemonReport } from '../../device/daemon.ts';
import { createNodeDouble, idOf, member, type NodeDouble } from './mesh-node-double.ts';

let dataDir: string;
let node: NodeDouble;
let reports: DaemonReport[];
let stop: (reason: string) => void;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'mycel-daemon-'));
  node = createNodeDouble();
  reports = [];
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

function start(inviteFile?: string): Promise<void> {
  return runDaemon({
    node,
    dataDir,
    inviteFile,
    report: (report) => reports.push(report),
    onStopAsked(asked) {
      stop = asked;
      return () => undefined;
    },
  });
}

const ready = (): Promise<void> => vi.waitFor(() => expect(reports[0]?.event).toBe('ready'));

describe('the daemon', () => {
  it('says ready before anything else, then tells only changes about others', async () => {
    const begin = node.start.bind(node);
    node.start = async () => {
      await begin();
      node.emit('member', member(2, 'two'));
    };
    const ended = start();
    await ready();
    node.emit('member', member(2, 'two'));
    node.emit('member', member(1, 'one'));
    node.emit('member', { ...member(2, 'two'), state: 'suspect' });
    node.emit('member', { ...member(2, 'two'), rttMs: 3, state: 'suspect' });
    node.emit('member', member(2, 'two'));
    stop('SIGTERM');
    await ended;
    const about = (state: string) => ({ event: 'member', id: idOf(2), name: 'two', state });
    expect(reports).toEqual([
      { event: 'ready', node: idOf(1), name: 'one', mesh: 'home', mqttPort: 1883 },
      about('alive'),
      about('suspect'),
      about('alive'),
      { event: 'stopping', reason: 'SIGTERM' },
      { event: 'stopped' },
    ]);
  });

  it('stops when a command says so, and the command returns after the node has stopped', async () => {
    const ended = start();
    await ready();
    await callNode(dataDir, 'down', {});
    await ended;
    expect(node.calls.map(([name]) => name)).toEqual(['start', 'stop']);
    expect(node.listenerCount()).toBe(0);
    expect(existsSync(join(dataDir, 'control.sock'))).toBe(false);
  });

  it('closes what it has opened when the start fails', async () => {
    node.start = () => Promise.reject(new Error('no network'));
    await expect(start()).rejects.toThrow('no network');
    expect(node.calls).toEqual([['stop']]);
    expect(node.listenerCount()).toBe(0);
    expect(reports).toEqual([]);
  });

  it('removes the invite from the card once the node has joined, and only then', async () => {
    const card = join(dataDir, 'join');
    await writeFile(card, 'mycel:1:x');
    const ended = start(card);
    await ready();
    expect(existsSync(card)).toBe(true);
    node.emit('joined', { mesh: node.status().mesh.id, name: 'home' });
    await vi.waitFor(() => expect(existsSync(card)).toBe(false));
    stop('test');
    await ended;
  });
});
