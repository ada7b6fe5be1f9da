/** Ids round-trip, have one spelling, and betray slips of the hand. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MycelError } from '../../src/kernel/errors.ts';
import {
  base32,
  base32Alphabet,
  isNodeId,
  nodeIdFromHash,
  nodeIdToBytes,
  parseMeshId,
  parseNodeId,
} from '../../src/kernel/ids.ts';
import type { NodeId } from '../../src/kernel/ids.ts';

const hashes = fc.uint8Array({ minLength: 16, maxLength: 16 });
const ids = hashes.map(nodeIdFromHash);

test('an id holds the 16 bytes it was made of', () => {
  fc.assert(
    fc.property(hashes, (hash) => {
      const id = nodeIdFromHash(hash);
      expect(id).toMatch(/^[a-z2-7]{28}$/);
      expect(nodeIdToBytes(id)).toEqual(hash);
      expect(isNodeId(id)).toBe(true);
    }),
  );
});

test('bytes of the hash beyond the sixteenth do not matter', () => {
  const hash = Uint8Array.from({ length: 32 }, (_, at) => at);
  expect(nodeIdFromHash(hash)).toBe(nodeIdFromHash(hash.subarray(0, 16)));
});

test('an id is read from what people paste', () => {
  fc.assert(
    fc.property(ids, (id) => {
      expect(parseNodeId(`  ${id.toUpperCase()}\n`)).toBe(id);
    }),
  );
});

test('every wrong character shows', () => {
  fc.assert(
    fc.property(ids, (id) => {
      for (let at = 0; at < id.length; at += 1) {
        for (const wrong of base32Alphabet) {
          if (wrong !== id[at]) expect(isNodeId(splice(id, at, wrong))).toBe(false);
        }
      }
    }),
    { numRuns: 20 },
  );
});

test('every two exchanged characters show, neighbours or not', () => {
  fc.assert(
    fc.property(ids, (id) => {
      for (let left = 0; left < id.length; left += 1) {
        for (let right = left + 1; right < id.length; right += 1) {
          const [first, second] = [id.charAt(left), id.charAt(right)];
          const exchanged = splice(splice(id, left, second), right, first);
          if (exchanged !== id) expect(isNodeId(exchanged)).toBe(false);
        }
      }
    }),
    { numRuns: 50 },
  );
});

test('any two wrong characters show', () => {
  const place = fc.tuple(
    fc.nat(27),
    fc.nat(31).map((symbol) => base32Alphabet.charAt(symbol)),
  );
  fc.assert(
    fc.property(ids, place, place, (id, [left, one], [right, other]) => {
      const wrong = splice(splice(id, left, one), right, other);
      if (wrong !== id) expect(isNodeId(wrong)).toBe(false);
    }),
    { numRuns: 5_000 },
  );
});

test('an id has one spelling: no two ids hold the same bytes', () => {
  fc.assert(
    fc.property(ids, fc.integer({ min: 1, max: 3 }), (id, padding) => {
      // The 26th character carries three bits of the hash; set its padding and repair the check characters by search.
      const last = base32Alphabet.charAt(base32Alphabet.indexOf(id.charAt(25)) | padding);
      const body = splice(id, 25, last).slice(0, 26);
      for (const high of base32Alphabet) {
        for (const low of base32Alphabet) expect(isNodeId(body + high + low)).toBe(false);
      }
    }),
    { numRuns: 5 },
  );
});

test.each(['', 'abc', 'a'.repeat(27), 'a'.repeat(29), '1'.repeat(28), `${'a'.repeat(27)}é`])(
  '%j is not an id',
  (text) => {
    expect(isNodeId(text)).toBe(false);
    expect(() => parseNodeId(text)).toThrow(MycelError);
  },
);

test('a refused id is quoted in part only', () => {
  try {
    parseNodeId('x'.repeat(1_000));
    expect.unreachable();
  } catch (error) {
    expect(error).toMatchObject({ code: 'MYCEL_BAD_NODE_ID', details: { given: 'x'.repeat(64) } });
  }
});

test('a mesh id is 32 lower-case hex digits and nothing else', () => {
  expect(parseMeshId('0123456789abcdef0123456789abcdef')).toBe('0123456789abcdef0123456789abcdef');
  for (const text of ['', '0123', 'g'.repeat(32), 'A'.repeat(32), `${'a'.repeat(32)}\n`]) {
    expect(() => parseMeshId(text)).toThrow('(MYCEL_BAD_MESH_ID)');
  }
});

test.each([
  // RFC 4648 section 10, without padding and in lower case.
  ['', ''],
  ['f', 'my'],
  ['fo', 'mzxq'],
  ['foo', 'mzxw6'],
  ['foob', 'mzxw6yq'],
  ['fooba', 'mzxw6ytb'],
  ['foobar', 'mzxw6ytboi'],
])('base32 of %j is %j', (text, expected) => {
  expect(base32(new TextEncoder().encode(text))).toBe(expected);
});

function splice(text: string, at: number, character: string): NodeId {
  return (text.slice(0, at) + character + text.slice(at + 1)) as NodeId;
}
