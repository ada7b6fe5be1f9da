/** What the command line asks of a node about decisions: requests are checked, and failures are told in the stream. */

import { expect, test } from 'vitest';
import { decisionChecks, openLock, parseValue } from '../../device/control-decisions.ts';
import type { LockEvent } from '../../device/control-decisions.ts';
import { parseRequest } from '../../device/control-protocol.ts';
import { startNode } from '../runtime/loopback.ts';

test('requests are checked field by field', () => {
  const ask = (op: string, args: unknown) => parseRequest(JSON.stringify({ id: 1, op, args }));
  expect(ask('kv-put', { key: 'a', value: '1' })).toHaveProperty('request');
  expect(ask('kv-put', { key: '', value: '1' })).toHaveProperty('problem');
  expect(ask('kv-get', { key: 'x'.repeat(257) })).toHaveProperty('problem');
  expect(ask('lock', { name: 'door', ttlMs: 1 })).toHaveProperty('problem');
  expect(ask('lock', { name: 'door', waitMs: 0 })).toHaveProperty('request');
  expect(decisionChecks).toBeTypeOf('function');
});

test('what is not JSON is a mistake of whoever typed it', () => {
  expect(parseValue('{"on":true}')).toEqual({ on: true });
  expect(() => parseValue('on')).toThrow(/not JSON/);
});

test('a lock lives as long as its stream', async () => {
  const node = await startNode('locked');
  const take = (args: { waitMs?: number } = {}) => {
    const control = new AbortController();
    const first = new Promise<LockEvent>((resolve) =>
      openLock(node, { name: 'door', ...args }, resolve, control.signal),
    );
    return { first, end: () => control.abort() };
  };
  const one = take();
  expect(await one.first).toMatchObject({ type: 'granted' });
  expect(await take({ waitMs: 0 }).first).toMatchObject({
    type: 'refused',
    error: { code: 'MYCEL_LOCK_BUSY' },
  });
  one.end();
  const two = take({ waitMs: 20_000 });
  expect(await two.first).toMatchObject({ type: 'granted' });
  two.end();
});
