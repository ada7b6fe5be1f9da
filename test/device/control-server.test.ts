/** The control socket on a real unix socket: what commands ask, and what hostile or slow ones may not do. */

import { createServer } from 'node:net';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { callNode, connectControl } from '../../device/control-client.ts';
import {
  controlConnectionsMax,
  controlLineBytesMax,
  controlOpenMax,
  controlOutputBytesMax,
} from '../../device/control-protocol.ts';
import { openControlServer, type ControlServer } from '../../device/control-server.ts';
import { createNodeDouble, idOf, type NodeDouble } from './mesh-node-double.ts';
import { connectRaw } from './raw-socket.ts';

/** Everything a test makes, removed after it. */
let home: string;
let dataDir: string;
let node: NodeDouble;
let server: ControlServer;
let downCount: number;
const open = (): Promise<ControlServer> =>
  openControlServer({
    dataDir,
    node,
    down: () => {
      downCount += 1;
    },
  });

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mycel-control-'));
  dataDir = join(home, 'data');
  await mkdir(dataDir);
  node = createNodeDouble();
  downCount = 0;
  server = await open();
});
afterEach(async () => {
  await server.stop('test over');
  await rm(home, { recursive: true, force: true });
});
const path = (): string => join(dataDir, 'control.sock');

describe('the control socket', () => {
  it('belongs to its user alone', async () => {
    expect((await stat(path())).mode & 0o777).toBe(0o600);
  });

  it('answers each call with what the node says', async () => {
    const client = await connectControl(dataDir);
    expect((await client.call('status', {})).name).toBe('one');
    expect(await client.call('members', {})).toHaveLength(4);
    expect(await client.call('invite', { uses: 2 })).toMatchObject({ invite: 'mycel:1:test' });
    await client.call('publish', {
      topic: 'a/b',
      payloadBase64: Buffer.from('hé').toString('base64'),
      qos: 0,
      retain: true,
    });
    await client.call('window', { ms: 5000 });
    expect(await client.call('approve', { who: '123 456' })).toEqual({
      id: idOf(9),
      name: 'newcomer',
    });
    expect(await client.call('guest-add', { name: 'g', publish: ['a/#'] })).toEqual({
      password: 'made',
      port: 1884,
    });
    expect(node.calls).toEqual([
      ['invite', { uses: 2 }],
      ['publish', 'a/b', 'hé', { qos: 0, retain: true, named: true }],
      ['window', 5000],
      ['approve', idOf(9)],
      ['guest-add', 'g', undefined, { publish: ['a/#'] }],
    ]);
    client.close();
  });

  it('hands the error of the node over with its code and fix', async () => {
    const publish = callNode(dataDir, 'publish', {
      topic: 'a/#',
      payloadBase64: '',
      qos: 1,
      retain: false,
    });
    await expect(publish).rejects.toMatchObject({ code: 'MYCEL_BAD_TOPIC', exitCode: 1 });
    await expect(publish).rejects.toThrow(/^This topic or filter cannot be used\. It has a #\.$/);
  });

  it('finds a member by whole id, unique prefix or unique name, and refuses what is ambiguous', async () => {
    const revoke = (who: string) => callNode(dataDir, 'revoke', { who });
    expect((await revoke(idOf(2))).id).toBe(idOf(2));
    expect((await revoke('four')).id).toBe(idOf(4));
    expect((await revoke(idOf(3).slice(0, 6).toUpperCase())).id).toBe(idOf(3));
    await expect(revoke(idOf(3).slice(0, 3))).rejects.toMatchObject({
      code: 'MYCEL_UNKNOWN_MEMBER',
    });
    await expect(revoke('two')).rejects.toMatchObject({ code: 'MYCEL_AMBIGUOUS' });
    await expect(revoke('nobody')).rejects.toMatchObject({ code: 'MYCEL_UNKNOWN_MEMBER' });
    await expect(revoke(' ')).rejects.toMatchObject({ code: 'MYCEL_UNKNOWN_MEMBER' });
  });

  it('streams messages and events until the command hangs up, then lets go of the node', async () => {
    const client = await connectControl(dataDir);
    const messages: string[] = [];
    const events: string[] = [];
    const ended = (): void => undefined;
    await client.stream(
      'subscribe',
      { filter: 'a' },
      {
        event: ({ payloadBase64 }) =>
          messages.push(Buffer.from(payloadBase64, 'base64').toString()),
        ended,
      },
    );
    await client.stream('events', {}, { event: ({ name }) => events.push(name), ended });
    expect(node.deliver('a', Buffer.from('one'))).toBe(1);
    node.deliver('a', Buffer.from('two'));
    node.emit('alert', { code: 'X', text: 'y' });
    await vi.waitFor(() => expect(messages).toEqual(['one', 'two']));
    await vi.waitFor(() => expect(events).toEqual(['alert']));
    client.close();
    await vi.waitFor(() => expect(node.listenerCount()).toBe(0));
  });

  it('tells open streams why it stops', async () => {
    const client = await connectControl(dataDir);
    const ended = new Promise((resolve) => {
      void client.stream('subscribe', { filter: 'a' }, { event: () => undefined, ended: resolve });
    });
    await vi.waitFor(() => expect(node.listenerCount()).toBe(1));
    await server.stop('the node has stopped');
    expect(await ended).toBeUndefined();
    expect(existsSync(path())).toBe(false);
  });

  it('answers "down" before it asks the daemon to stop', async () => {
    await callNode(dataDir, 'down', {});
    await vi.waitFor(() => expect(downCount).toBe(1));
  });
});

describe('a hostile command', () => {
  it('is answered with what is wrong when a request is malformed but readable', async () => {
    const raw = await connectRaw(path());
    raw.send({ id: 1, op: 'nonsense' });
    raw.send({ id: 2, op: 'publish', args: { topic: 'a' } });
    raw.send({ id: 3, op: 'status', args: { extra: 1 } });
    raw.send({ id: 4, op: 'window', args: { ms: -1 } });
    raw.send({ id: 5, op: 'status', args: [] });
    raw.send({ id: 6, op: 'constructor' });
    const lines = await raw.received(6);
    expect(lines.map(({ id, ok }) => [id, ok])).toEqual(
      [1, 2, 3, 4, 5, 6].map((id) => [id, false]),
    );
    expect(JSON.stringify(lines)).toContain("'payloadBase64' must be base64");
    // Somebody gave a wrong value, or the command and the node are of two versions.
    const fixes = lines.map(({ error }) => (error as { fix: string }).fix);
    const versions = 'Check that the command and the running node are of the same version.';
    expect(fixes).toEqual([
      versions,
      "Give another 'payloadBase64'.",
      versions,
      "Give another 'ms'.",
      versions,
      versions,
    ]);
    raw.socket.destroy();
  });

  it('is cut with a reason when it sends what is not a request', async () => {
    for (const garbage of [
      'hello\n',
      '[]\n',
      'null\n',
      '{"id":-1}\n',
      '\u0000\u0001\n',
      '{"id":"1"}\n',
    ]) {
      const raw = await connectRaw(path());
      raw.socket.write(garbage);
      await raw.closed();
      expect(raw.lines).toMatchObject([{ id: null, error: { code: 'MYCEL_CONTROL_REQUEST' } }]);
    }
  });

  it('is cut when a line is longer than the limit, and the node serves the next one', async () => {
    const raw = await connectRaw(path());
    raw.socket.write(Buffer.alloc(controlLineBytesMax + 1, 0x61));
    await raw.closed();
    expect(raw.lines).toMatchObject([{ error: { code: 'MYCEL_CONTROL_REQUEST' } }]);
    expect(await callNode(dataDir, 'members', {})).toHaveLength(4);
  });

  it('cannot open more streams than the limit, nor use an id twice', async () => {
    const raw = await connectRaw(path());
    for (let id = 0; id <= controlOpenMax; id += 1) {
      raw.send({ id, op: 'subscribe', args: { filter: 'a' } });
    }
    const lines = await raw.received(controlOpenMax + 1);
    expect(lines.filter(({ ok }) => ok === true)).toHaveLength(controlOpenMax);
    expect(lines.at(-1)).toMatchObject({ ok: false, error: { code: 'MYCEL_CONTROL_BUSY' } });
    raw.send({ id: 0, op: 'subscribe', args: { filter: 'a' } });
    await raw.closed();
    await vi.waitFor(() => expect(node.listenerCount()).toBe(0));
  });

  it('is turned away when too many are connected', async () => {
    const many = await Promise.all(
      Array.from({ length: controlConnectionsMax }, () => connectRaw(path())),
    );
    await vi.waitFor(() => expect(server.connectionCount()).toBe(controlConnectionsMax));
    const late = await connectRaw(path());
    await late.closed();
    expect(late.lines).toMatchObject([{ id: null, error: { code: 'MYCEL_CONTROL_BUSY' } }]);
    await expect(callNode(dataDir, 'status', {})).rejects.toMatchObject({
      code: 'MYCEL_CONTROL_BUSY',
    });
    for (const { socket } of many) socket.destroy();
    await vi.waitFor(() => expect(server.connectionCount()).toBe(0));
    expect(await callNode(dataDir, 'members', {})).toHaveLength(4);
  });

  it('never ends the node, whatever bytes it sends in whatever pieces', async () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => Buffer.from(`${text}\n`)),
      fc
        .record({
          id: fc.oneof(fc.nat(40), fc.anything()),
          op: fc.constantFrom('status', 'members', 'publish', 'subscribe', 'approve', 'guest-add'),
          args: fc.anything(),
        })
        .map((request) => Buffer.from(`${safeJson(request)}\n`)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 8 }), async (pieces) => {
        const raw = await connectRaw(path());
        for (const bytes of pieces) raw.socket.write(bytes);
        raw.socket.end();
        await raw.closed();
      }),
      { numRuns: 300 },
    );
    expect(await callNode(dataDir, 'members', {})).toHaveLength(4);
    await vi.waitFor(() => expect(server.connectionCount()).toBe(0));
    expect(node.listenerCount()).toBe(0);
  });
});

describe('a slow reader', () => {
  it('is cut with a reason once its output is above the limit, and others are not disturbed', async () => {
    const slow = await connectRaw(path(), false);
    slow.send({ id: 1, op: 'subscribe', args: { filter: 'a' } });
    const brisk = await connectRaw(path());
    brisk.send({ id: 1, op: 'subscribe', args: { filter: 'a' } });
    await vi.waitFor(() => expect(node.listenerCount()).toBe(2));
    slow.socket.pause();
    const payload = Buffer.alloc(96 * 1024, 0x62);
    const rounds = Math.ceil((controlOutputBytesMax * 2) / payload.length);
    for (let round = 0; round < rounds && node.listenerCount() === 2; round += 1) {
      node.deliver('a', payload);
      await brisk.received(round + 2);
    }
    expect(node.listenerCount()).toBe(1);
    // Its last words follow what was already on the way.
    let text = '';
    slow.socket.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString('latin1')).slice(-2000);
    });
    slow.socket.resume();
    await slow.closed();
    expect(text).toContain('MYCEL_CONTROL_SLOW_READER');
    expect(await callNode(dataDir, 'members', {})).toHaveLength(4);
    brisk.socket.destroy();
  });
});

describe('the place of the socket', () => {
  it('is taken over from a node that died, and kept when one lives', async () => {
    await expect(open()).rejects.toMatchObject({ code: 'MYCEL_DATA_DIR_BUSY', exitCode: 1 });
    await server.stop('test');
    // A socket file whose owner is gone: bound, then closed without unlinking.
    const dead = await mkdtemp(join(home, 'dead-'));
    dataDir = dead;
    await leaveStaleSocket(path());
    server = await open();
    expect(await callNode(dataDir, 'members', {})).toHaveLength(4);
  });

  it('is never taken from a file that is not a socket', async () => {
    await server.stop('test');
    await writeFile(path(), 'precious');
    await expect(open()).rejects.toMatchObject({ code: 'MYCEL_CONTROL_SOCKET' });
  });

  it('may be deeper than the 107 bytes that a socket path can have', async () => {
    await server.stop('test');
    dataDir = join(dataDir, 'd'.repeat(90), 'e'.repeat(90));
    await mkdir(dataDir, { recursive: true });
    server = await open();
    expect(await callNode(dataDir, 'members', {})).toHaveLength(4);
    await server.stop('test');
    expect(existsSync(path())).toBe(false);
  });

  it('says that no node runs when there is no socket, a dead one, or no directory', async () => {
    await server.stop('test');
    const expected = { code: 'MYCEL_NO_NODE', exitCode: 3 };
    await expect(callNode(dataDir, 'status', {})).rejects.toMatchObject(expected);
    await leaveStaleSocket(path());
    await expect(callNode(dataDir, 'status', {})).rejects.toMatchObject(expected);
    await expect(callNode('/nowhere/at/all', 'status', {})).rejects.toMatchObject(expected);
    await expect(callNode(`/${'x'.repeat(200)}`, 'status', {})).rejects.toMatchObject(expected);
  });
});

describe('the client', () => {
  it('refuses to talk to something that is not a node', async () => {
    const odd = await mkdtemp(join(home, 'odd-'));
    const stranger = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => stranger.listen(join(odd, 'control.sock'), resolve));
    await expect(callNode(odd, 'status', {})).rejects.toMatchObject({ code: 'MYCEL_CONTROL_LOST' });
    stranger.close();
  });
});

function safeJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch {
    return '{"id":0,"op":"status"}';
  }
}

/** Binds in a child that is killed: the kernel leaves the file behind. */
async function leaveStaleSocket(at: string): Promise<void> {
  const { spawnSync } = await import('node:child_process');
  const script = `require('node:net').createServer().listen(${JSON.stringify(at)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script]);
  expect(existsSync(at)).toBe(true);
}
