import { expect, test } from 'vitest';
import type { Claim } from '../../../src/runtime/agents/agents-page.ts';
import {
  instancesMax,
  plainClaimsMax,
  readAgentsPage,
  writeAgentsPage,
} from '../../../src/runtime/agents/agents-page.ts';
import { pageBytesMax } from '../../../src/runtime/services/pages.ts';
import { decodeCbor, encodeCbor } from '../../../src/wire/cbor.ts';

const claims = (count: number): Claim[] =>
  Array.from({ length: count }, (_, at) => ({
    agent: `a-name-of-some-length-${at % 4}`,
    instance: `a-name-of-some-length-${at % 4}#${Math.floor(at / 4)}`,
    epoch: 1 + (at % 300),
    state: at % 7 === 0 ? 'waiting' : 'running',
    restarts: at % 3,
    since: 1_790_000_000_000 + at * 60_000,
  }));

test.each([1, plainClaimsMax, plainClaimsMax + 1, instancesMax])(
  '%i instances are read as they were written, and fit a page',
  (count) => {
    const page = { isDraining: false, deployments: [], claims: claims(count) };
    const bytes = encodeCbor(writeAgentsPage(page));
    expect(bytes.byteLength).toBeLessThan(pageBytesMax);
    const sorted = (all: readonly Claim[]): Claim[] =>
      all.toSorted((left, right) => (left.instance < right.instance ? -1 : 1));
    const read = readAgentsPage(decodeCbor(Uint8Array.from(bytes)));
    expect(sorted(read.claims)).toEqual(sorted(page.claims));
  },
);

test('up to what one node ran before, the page is what every version reads; what is no claim is left out', () => {
  const page = { isDraining: true, deployments: [], claims: claims(plainClaimsMax) };
  expect(writeAgentsPage(page)).toEqual(page);
  const rows = [
    [0, 0, 0, 0, 0],
    [1, 1, 5, 0, 0],
    [2, 1, 0, 0, 7],
  ];
  const read = readAgentsPage({ ...page, claims: [{ a: 'x', s: ['running'], t: 10, r: rows }, 5] });
  expect(read.claims.map(({ instance, since }) => [instance, since])).toEqual([['x#2', 17]]);
});
