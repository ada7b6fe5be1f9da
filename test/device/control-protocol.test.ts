/** Lines of the control socket: cut, checked, never trusted. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { parseReply, parseRequest } from '../../device/control-protocol.ts';
import { createLineSplitter } from '../../device/line-splitter.ts';

describe('createLineSplitter', () => {
  it('gives the same lines however the bytes are cut', () => {
    const lines = fc.array(
      fc.string({ unit: 'grapheme', maxLength: 20 }).filter((text) => !text.includes('\n')),
    );
    fc.assert(
      fc.property(lines, fc.array(fc.nat(7), { minLength: 1 }), (expected, sizes) => {
        const bytes = Buffer.from(expected.map((line) => `${line}\n`).join(''));
        const splitter = createLineSplitter(1000);
        const got: string[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const size = 1 + (sizes[turn % sizes.length] ?? 0);
          got.push(...splitter.push(bytes.subarray(at, at + size)).lines);
          at += size;
        }
        expect(got).toEqual(
          expected.filter((line) => line !== '').map((line) => Buffer.from(line).toString()),
        );
      }),
    );
  });

  it('accepts a line of exactly the limit and gives up at one byte more, for good', () => {
    const fits = createLineSplitter(10);
    expect(fits.push(Buffer.from('0123456789\n'))).toEqual({
      lines: ['0123456789'],
      isTooLong: false,
    });
    const late = createLineSplitter(10);
    expect(late.push(Buffer.from('ok\n01234')).lines).toEqual(['ok']);
    expect(late.push(Buffer.from('567890'))).toEqual({ lines: [], isTooLong: true });
    expect(late.push(Buffer.from('\nok\n'))).toEqual({ lines: [], isTooLong: true });
  });

  it('joins a line that drips in byte by byte', () => {
    const splitter = createLineSplitter(100_000);
    for (let count = 0; count < 50_000; count += 1) splitter.push(Buffer.from('y'));
    expect(splitter.push(Buffer.from('\n')).lines).toEqual(['y'.repeat(50_000)]);
  });
});

describe('parseRequest', () => {
  it('never throws and never lets an unknown field through', () => {
    const line = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      fc
        .record(
          {
            id: fc.oneof(fc.nat(), fc.constantFrom(-1, 1.5, '1', null)),
            op: fc.constantFrom(
              'status',
              'publish',
              'guest-add',
              'invite',
              '__proto__',
              'toString',
            ),
            args: fc.oneof(
              fc.jsonValue(),
              fc.dictionary(fc.constantFrom('topic', 'qos', '__proto__', 'name'), fc.jsonValue()),
            ),
          },
          { requiredKeys: [] },
        )
        .map((value) => JSON.stringify(value)),
    );
    const known = new Set(
      'topic payloadBase64 qos retain ttlMs uses role name password publish subscribe'.split(' '),
    );
    fc.assert(
      fc.property(line, (text) => {
        const parsed = parseRequest(text);
        if ('request' in parsed) {
          expect(Object.keys(parsed.request.args).every((key) => known.has(key))).toBe(true);
        } else expect(parsed.problem.length).toBeLessThan(200);
      }),
      { numRuns: 2000 },
    );
  });

  it('stays fast on deep nesting', () => {
    const deep = '['.repeat(500_000);
    expect(parseRequest(deep)).toMatchObject({ isGarbage: true });
    const closed = `{"id":1,"op":"status","args":${'['.repeat(20_000)}${']'.repeat(20_000)}}`;
    expect(parseRequest(closed)).toMatchObject({ id: 1, problem: "'args' must be an object" });
  });
});

describe('parseReply', () => {
  it('never throws, and refuses a failure without code, text and fix', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const reply = parseReply(text);
        if (reply !== undefined && 'ok' in reply && !reply.ok) {
          expect(Object.values(reply.error).every((part) => typeof part === 'string')).toBe(true);
        }
      }),
    );
    expect(parseReply('{"id":1,"ok":false}')).toBeUndefined();
    expect(parseReply('{"id":1,"ok":false,"error":{"code":"A"}}')).toBeUndefined();
    expect(parseReply('{"id":1,"ok":true,"result":[]}')).toMatchObject({ ok: true });
  });
});
