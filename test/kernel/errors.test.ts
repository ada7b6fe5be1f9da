/** Every failure has a stable code, says what is wrong and what to do, and is documented. */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { errorCatalogue, MycelError } from '../../src/kernel/errors.ts';
import type { ErrorCode } from '../../src/kernel/errors.ts';
import { invariant, InvariantError, unreachable } from '../../src/kernel/invariant.ts';

const codes = Object.keys(errorCatalogue) as ErrorCode[];

test.each(codes)('%s says in sentences what is wrong and what to do', (code) => {
  const { text, fix } = errorCatalogue[code];
  expect(code).toMatch(/^MYCEL_[A-Z0-9]+(_[A-Z0-9]+)*$/);
  expect(text).toMatch(/^[A-Z"].*[.?]$/s);
  expect(fix).toMatch(/^[A-Z"].*[^ ]$/s);
});

test('docs/errors.md holds the same table, sorted', () => {
  const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
  const documented = [...page.matchAll(/^\| `(MYCEL_\w+)` \| (.*) \| (.*) \|$/gm)];
  const rows = documented.map(([, code, text, fix]) => [code, text, fix]);
  const expected = [...codes].sort().map((code) => {
    const { text, fix } = errorCatalogue[code];
    return [code, escaped(text), escaped(fix)];
  });
  expect(rows).toEqual(expected);
});

function escaped(text: string): string {
  return text.replaceAll('|', '\\|');
}

describe('an error', () => {
  test('carries its code, the reason, the fix and the cause', () => {
    const cause = new Error('below');
    const error = new MycelError('MYCEL_BAD_NODE_ID', { reason: 'It is short.' }, { cause });
    expect(error.message).toBe('This is not a node id. It is short. (MYCEL_BAD_NODE_ID)');
    expect(error.fix).toBe(errorCatalogue.MYCEL_BAD_NODE_ID.fix);
    expect(error.cause).toBe(cause);
    expect(error.name).toBe('MycelError');
  });

  test('may know a better fix than the catalogue', () => {
    const error = new MycelError('MYCEL_BAD_NODE_ID', { fix: 'Use the other id.' });
    expect(error.fix).toBe('Use the other id.');
  });

  test('is recognised across copies of the package, and nothing else is', () => {
    const twin = Object.assign(new Error('x'), { name: 'MycelError' });
    expect(MycelError.is(new MycelError('MYCEL_BAD_NODE_ID'))).toBe(true);
    expect(MycelError.is(twin)).toBe(true);
    expect(MycelError.is(new Error('x'))).toBe(false);
    expect(MycelError.is({ name: 'MycelError' })).toBe(false);
  });
});

describe('an invariant', () => {
  test('that holds is silent, one that does not stops with its words', () => {
    expect(() => invariant(true, 'two is even')).not.toThrow();
    expect(() => invariant(false, 'two is even')).toThrow(new InvariantError('two is even'));
  });

  test('of an exhaustive switch names what came through', () => {
    expect(() => unreachable('surprise' as never)).toThrow('unreachable: surprise');
  });
});
