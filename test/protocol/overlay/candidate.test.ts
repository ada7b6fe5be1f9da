import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  addressesMax,
  isBetter,
  knowsAddress,
  mergeAddresses,
} from '../../../src/protocol/overlay/candidate.ts';

const addresses = fc.array(fc.record({ host: fc.constantFrom('a', 'b', 'c'), port: fc.nat(20) }), {
  maxLength: 40,
});

test('merged addresses are the newest first, each once, and bounded', () => {
  fc.assert(
    fc.property(addresses, addresses, (known, seen) => {
      const merged = mergeAddresses(known, seen);
      expect(merged.length).toBeLessThanOrEqual(addressesMax);
      expect(new Set(merged.map(({ host, port }) => `${host} ${port}`)).size).toBe(merged.length);
      if (seen[0] !== undefined) expect(merged[0]).toEqual(seen[0]);
      for (const address of merged) expect(knowsAddress([...known, ...seen], address)).toBe(true);
    }),
  );
});

test('both ends of a pair prefer the same of two connections', () => {
  const session = fc.record({ isDialler: fc.boolean(), boot: fc.constant(1) });
  fc.assert(
    fc.property(session, session, (first, second) => {
      fc.pre(first.isDialler !== second.isDialler);
      const left = isBetter({ ...second, session: 2 }, { ...first, session: 1 }, true);
      const mirrored = (one: typeof first, id: number) => ({
        ...one,
        isDialler: !one.isDialler,
        session: id,
      });
      // The other end meets them in the other order, and is the higher id.
      const right = isBetter(mirrored(first, 1), mirrored(second, 2), false);
      expect(left).toBe(!right);
    }),
  );
});
