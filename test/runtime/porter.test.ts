/** One identity on two devices, as membership hears of it: whichever device is linked is told, now or when it comes. */

import { expect, test } from 'vitest';
import { createMemoryClock } from '../../src/adapters/memory/clock.ts';
import { nodeIdFromHash } from '../../src/kernel/ids.ts';
import type { Hello, LinkInfo, Links } from '../../src/runtime/link-wires.ts';
import { createPorter } from '../../src/runtime/porter.ts';

const board = nodeIdFromHash(new Uint8Array(16).fill(1));
const other = nodeIdFromHash(new Uint8Array(16).fill(2));

function linkOf(id: number, peer: typeof board): LinkInfo {
  const session = { peer, certificate: new Uint8Array(0) } as LinkInfo['session'];
  return { id, session, since: 0, rttMs: undefined, hello: undefined };
}

function stage() {
  const clock = createMemoryClock();
  const links: LinkInfo[] = [];
  const said: { link: number; reason: string }[] = [];
  const hungUp: number[] = [];
  const table: Pick<Links, 'all' | 'controlOn' | 'hangUp'> = {
    all: () => links,
    controlOn(link, message) {
      if (message.kind === 'bye') said.push({ link, reason: message.reason });
      return true;
    },
    hangUp: (link) => void hungUp.push(link),
  };
  const porter = createPorter({
    clock,
    links: () => table as Links,
    proofAgainst: () => [],
    alert: () => undefined,
  });
  const greet = (link: LinkInfo, instance: number): boolean => {
    links.push(link);
    return porter.greeted(link, { name: 'board', instance } as Hello);
  };
  return { clock, porter, said, hungUp, greet };
}

test('the device that is linked is told, and stays linked', () => {
  const { porter, said, hungUp, greet } = stage();
  greet(linkOf(1, board), 7);
  greet(linkOf(2, other), 8);
  porter.twinsHeard(board);
  expect(said).toEqual([{ link: 1, reason: 'twins' }]);
  expect(hungUp).toEqual([]);
});

test('one that comes a moment later is told, one that comes when the other has long been silent is not', () => {
  const { clock, porter, said, greet } = stage();
  porter.twinsHeard(board);
  clock.advance(89_000);
  expect(greet(linkOf(1, board), 7)).toBe(true);
  expect(said).toEqual([{ link: 1, reason: 'twins' }]);
  clock.advance(2_000);
  expect(greet(linkOf(2, board), 7)).toBe(true);
  expect(said).toHaveLength(1);
});
