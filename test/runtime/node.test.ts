import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { MeshMessage } from '../../src/index.ts';
import { bundleProgram } from '../adapters/child.ts';
import { runCommand } from '../process.ts';
import { buildNode, startMesh, startNode, textOf, until } from './loopback.ts';

const dropsOf = (node: Awaited<ReturnType<typeof startNode>>): string =>
  JSON.stringify(node.status().metrics.drops);

describe('two nodes in one process', () => {
  test('hear each other, by callback and by iterator, each message once and in order', async () => {
    const [ann, bob] = await startMesh('ann', 'bob');
    if (ann === undefined || bob === undefined) throw new Error('there are two');
    const heard: string[] = [];
    const end = ann.subscribe('t/#', (message) =>
      heard.push(`${message.topic} ${textOf(message)}`),
    );
    const iterated: MeshMessage[] = [];
    const reading = (async () => {
      for await (const message of bob.subscribe('t/+')) {
        iterated.push(message);
        if (iterated.length === 200) break;
      }
    })();
    for (let count = 0; count < 100; count += 1) {
      await Promise.all([ann.publish('t/a', `a${count}`), bob.publish('t/b', `b${count}`)]);
    }
    await reading;
    await until(() => heard.length === 200);
    const of = (letter: string): string[] =>
      Array.from({ length: 100 }, (_, at) => `${letter}${at}`);
    const texts = iterated.map(textOf);
    for (const letter of ['a', 'b']) {
      expect(texts.filter((text) => text.startsWith(letter))).toEqual(of(letter));
      expect(heard.filter((text) => text.startsWith(`t/${letter} `))).toEqual(
        of(letter).map((text) => `t/${letter} ${text}`),
      );
    }
    const sample = iterated.find(({ topic }) => topic === 't/a');
    expect(sample).toMatchObject({ origin: ann.id, qos: 1, retain: false });
    expect(Math.abs(Date.now() - (sample?.at ?? 0))).toBeLessThan(60_000);
    end();
    await bob.publish('t/c', 'after');
    await bob.publish('other', 'x');
    expect(heard.length).toBe(200);
  });

  test('give a late subscriber the last values of both, and a present one each write', async () => {
    const [ann, bob] = await startMesh('ann', 'bob');
    if (ann === undefined || bob === undefined) throw new Error('there are two');
    const present: string[] = [];
    bob.subscribe('r/#', (message) => present.push(`${textOf(message)} ${message.retain}`));
    await ann.publish('r/x', 'old', { retain: true });
    await ann.publish('r/x', 'new', { retain: true });
    await bob.publish('r/y', 'own', { retain: true });
    await ann.publish('r/z', 'gone', { retain: true });
    await ann.publish('r/z', '', { retain: true });
    await until(() => present.length === 5);
    expect(present.filter((one) => one.endsWith('true'))).toEqual([]);
    const late: string[] = [];
    bob.subscribe('r/#', (message) => late.push(`${textOf(message)} ${message.retain}`));
    await until(() => late.length === 2);
    expect(late.sort()).toEqual(['new true', 'own true']);
    const first = await ann.subscribe('r/y').next();
    expect(textOf(first.value as MeshMessage)).toBe('own');
  });
});

describe('a subscription', () => {
  test('ends with its signal: the iterator finishes, the callback is called no more', async () => {
    const node = await startNode('solo');
    const stop = new AbortController();
    const heard: string[] = [];
    node.subscribe('t', (message) => heard.push(textOf(message)), { signal: stop.signal });
    const iterator = node.subscribe('t', { signal: stop.signal });
    const waiting = iterator.next();
    await node.publish('t', '1');
    expect(textOf((await waiting).value as MeshMessage)).toBe('1');
    const open = iterator.next();
    stop.abort();
    expect(await open).toEqual({ done: true, value: undefined });
    await node.publish('t', '2');
    expect(heard).toEqual(['1']);
    expect(await node.subscribe('t', { signal: stop.signal }).next()).toMatchObject({ done: true });
  });

  test('may be ended from inside its own callback, also by a value that was there before', async () => {
    const node = await startNode('solo');
    await node.publish('r', 'kept', { retain: true });
    const heard: string[] = [];
    const end = node.subscribe('#', (message) => {
      heard.push(textOf(message));
      end();
    });
    await node.publish('t', 'x');
    expect(heard).toEqual(['kept']);
    const both: string[] = [];
    node.subscribe('r', (message) => both.push(textOf(message)));
    await node.publish('r', 'next', { retain: true });
    expect(both).toEqual(['kept', 'next']);
  });

  test('whose callback throws or rejects goes on, and so does the node', async () => {
    const node = await startNode('solo', { logLevel: 'silent' });
    const heard: string[] = [];
    node.subscribe('t', () => {
      throw new Error('on purpose');
    });
    node.subscribe('t', (async () => {
      await Promise.reject(new Error('on purpose'));
    }) as () => void);
    node.subscribe('t', (message) => heard.push(textOf(message)));
    await node.publish('t', '1');
    await node.publish('t', '2');
    await new Promise((resolve) => setImmediate(resolve));
    expect(heard).toEqual(['1', '2']);
  });

  test('that is read slowly keeps the newest of its bound and counts what it lost', async () => {
    const node = await startNode('solo');
    const iterator = node.subscribe('t', { queueLimit: 10 });
    for (let count = 0; count < 50; count += 1) await node.publish('t', `${count}`);
    const got: string[] = [];
    for (let count = 0; count < 10; count += 1) {
      got.push(textOf((await iterator.next()).value as MeshMessage));
    }
    expect(got).toEqual(Array.from({ length: 10 }, (_, at) => `${40 + at}`));
    expect(dropsOf(node)).toContain('"subscriber: slow-reader":40');
    await iterator.return?.();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  test.each([
    '',
    'a/#/b',
    'a+',
    '$mycel/#',
    '$mycel',
    '$share/g',
    '$share/+/t',
    '$share/g/$mycel/#',
    'a\u0000',
  ])('to the filter %j is refused', async (filter) => {
    const node = await startNode('solo');
    expect(() => node.subscribe(filter)).toThrow(
      expect.objectContaining({ code: 'MYCEL_BAD_TOPIC' }),
    );
  });

  test.each([0, -1, Number.NaN, Infinity])('with the bound %d is refused', async (queueLimit) => {
    const node = await startNode('solo');
    expect(() => node.subscribe('t', { queueLimit })).toThrow(
      expect.objectContaining({ code: 'MYCEL_BAD_OPTION' }),
    );
  });

  test('ends with the node, and a stopped node takes no new one', async () => {
    const node = await startNode('solo');
    const open = node.subscribe('t').next();
    await node.stop();
    expect(await open).toEqual({ done: true, value: undefined });
    expect(() => node.subscribe('t')).toThrow(
      expect.objectContaining({ code: 'MYCEL_NOT_RUNNING' }),
    );
  });
});

describe('a publish', () => {
  test.each(['', 'a/+', 'a/#', '$mycel/x', '$SYS/x', 'a\u0000b', 'a/'.repeat(70)])(
    'to the topic %j is refused',
    async (topic) => {
      const node = await startNode('solo');
      await expect(node.publish(topic, 'x')).rejects.toMatchObject({ code: 'MYCEL_BAD_TOPIC' });
    },
  );

  test('of 16 MiB passes, and one byte more is refused with its size', async () => {
    const node = await startNode('solo');
    const whole = node.subscribe('t').next();
    await node.publish('t', new Uint8Array(16 * 1024 * 1024));
    expect(((await whole).value as MeshMessage).payload.length).toBe(16 * 1024 * 1024);
    await expect(node.publish('t', new Uint8Array(16 * 1024 * 1024 + 1))).rejects.toMatchObject({
      code: 'MYCEL_TOO_LARGE',
    });
  });

  test('of what is no payload, or at a QoS that there is not, is refused', async () => {
    const node = await startNode('solo');
    for (const wrong of [
      node.publish('t', 7 as unknown as string),
      node.publish('t', 'x', { qos: 2 as 1 }),
    ]) {
      await expect(wrong).rejects.toMatchObject({ code: 'MYCEL_BAD_OPTION' });
    }
  });

  test('on a node that is not started, or stopped, is refused', async () => {
    const node = await buildNode('idle');
    await expect(node.publish('t', 'x')).rejects.toMatchObject({ code: 'MYCEL_NOT_RUNNING' });
    await node.start();
    await node.stop();
    await expect(node.publish('t', 'x')).rejects.toMatchObject({ code: 'MYCEL_NOT_RUNNING' });
  });

  test('takes the bytes as they were, whatever their owner does with them next', async () => {
    const node = await startNode('solo');
    const first = node.subscribe('t').next();
    const bytes = new TextEncoder().encode('mine');
    const publishing = node.publish('t', bytes);
    bytes.fill(0);
    await publishing;
    bytes.fill(1);
    expect(textOf((await first).value as MeshMessage)).toBe('mine');
  });
});

test('a process with two stopped nodes exits by itself', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'mycel-exit-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const program = await bundleProgram(fileURLToPath(new URL('two-nodes.ts', import.meta.url)));
  onTestFinished(() => program.dispose());
  const { code, stdout, stderr } = await runCommand([process.execPath, program.file, directory]);
  expect(stderr).toBe('');
  expect(stdout).toBe('heard hello\nstopped\n');
  expect(code).toBe(0);
});
