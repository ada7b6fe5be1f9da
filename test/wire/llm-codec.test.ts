/** Requests to language models travel whole, and garbage is refused with a code. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { MycelError } from '../../src/kernel/errors.ts';
import { encodeCbor } from '../../src/wire/cbor.ts';
import {
  decodeLlmAsk,
  decodeLlmFacts,
  decodeLlmFrame,
  encodeLlmAsk,
  encodeLlmFacts,
  encodeLlmFrame,
} from '../../src/wire/llm-codec.ts';

const ask = {
  id: 'a1',
  kind: 'chat',
  body: { model: 'small', messages: [{ role: 'user', content: 'grüß €' }], n: null },
  class: 1,
  isStream: true,
  cacheMs: undefined,
  agent: 'porch',
  from: { run: 'r', next: 7 },
  isRepeat: true,
  onBehalfOf: 'bench',
} as const;

describe('the codec of language models', () => {
  test('brings requests, frames and facts over whole', () => {
    expect(decodeLlmAsk(encodeLlmAsk(ask))).toEqual(ask);
    const frame = {
      run: 'r',
      next: 3,
      events: [
        { type: 'text', text: 'a' },
        { type: 'vectors', vectors: [[0.5, -1]] },
      ],
    };
    expect(decodeLlmFrame(encodeLlmFrame(frame))).toEqual(frame);
    expect(decodeLlmFacts(encodeLlmFacts({ a: [1, null] }))).toEqual({ a: [1, null] });
  });

  test.each([
    { ...ask, id: '' },
    { ...ask, kind: 'image' },
    { ...ask, class: 3 },
    { ...ask, body: 'no json' },
    { ...ask, body: '[]' },
    { ...ask, body: '{}', from: { run: 'r', next: -1 } },
  ])('refuses a request that is none: %j', (bad) => {
    expect(() =>
      decodeLlmAsk(encodeCbor({ ...bad, body: typeof bad.body === 'string' ? bad.body : '{}' })),
    ).toThrow(MycelError);
  });

  test('throws nothing but its own error, whatever comes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const decode of [decodeLlmAsk, decodeLlmFrame, decodeLlmFacts]) {
          try {
            decode(bytes);
          } catch (error) {
            expect(MycelError.is(error)).toBe(true);
          }
        }
      }),
    );
  });
});
