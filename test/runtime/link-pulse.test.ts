import { describe, expect, test } from 'vitest';
import { createMemoryClock } from '../../src/adapters/memory/clock.ts';
import type { MemoryClock } from '../../src/adapters/memory/clock.ts';
import { createLinkPulse, newBeat } from '../../src/runtime/link-pulse.ts';
import type { Beat, LinkPulse } from '../../src/runtime/link-pulse.ts';
import { linkPaces } from '../../src/runtime/link-wires.ts';

const pace = linkPaces.wired;

/** After this long for each link of its node an idle one is asked at the latest (docs/limits.md). */
const turnMsMax = 7_500;

interface End {
  readonly beat: Beat;
  readonly peer: number;
}

interface Node {
  readonly links: Map<number, End>;
  readonly pulse: LinkPulse<End>;
  readonly asked: { readonly at: number; readonly peer: number }[];
  readonly quiet: boolean[];
  readonly lost: { readonly at: number; readonly peer: number }[];
}

/** Nodes that are all linked with each other; `isCut` says which way nothing comes through. */
function mesh(clock: MemoryClock, count: number, isCut: (from: number, to: number) => boolean) {
  const nodes = Array.from({ length: count }, (_, at): Node => {
    const links = new Map<number, End>();
    const asked: Node['asked'][number][] = [];
    const quiet: boolean[] = [];
    const lost: Node['lost'][number][] = [];
    const pulse = createLinkPulse<End>({
      clock,
      pace,
      links: () => links.values(),
      ask({ peer }) {
        asked.push({ at: clock.now(), peer });
        say(at, peer, () => say(peer, at, () => {}));
      },
      quiet: (_, isQuiet) => quiet.push(isQuiet),
      giveUp(link) {
        lost.push({ at: clock.now(), peer: link.peer });
        links.delete(link.peer);
        pulse.closed(link);
      },
    });
    return { links, pulse, asked, quiet, lost };
  });
  const node = (at: number): Node => nodes[at] as Node;

  /** One word on a link, and what is done where it arrives, a moment later. */
  function say(from: number, to: number, then: () => void): void {
    const own = node(from).links.get(to);
    if (own !== undefined) node(from).pulse.said(own);
    if (isCut(from, to)) return;
    clock.alarm(clock.now() + 1, () => {
      const theirs = node(to).links.get(from);
      if (theirs === undefined) return;
      node(to).pulse.heard(theirs);
      then();
    });
  }

  for (const [at, { links, pulse }] of nodes.entries()) {
    clock.advance(137);
    for (let peer = 0; peer < count; peer += 1) {
      if (peer === at) continue;
      const end = { beat: newBeat(clock.now()), peer };
      links.set(peer, end);
      pulse.opened(end);
    }
  }
  // Until the last one has come, the others' first questions go nowhere.
  clock.advance(300_000);
  for (const { asked, quiet } of nodes) for (const list of [asked, quiet]) list.length = 0;
  return { node, nodes, say };
}

const whole = (): boolean => false;

describe('an idle mesh', () => {
  test('asks as much at each node whatever its size, and every link in its turn', () => {
    const perMinute = [3, 6, 12, 50].map((count) => {
      const clock = createMemoryClock();
      const { nodes } = mesh(clock, count, whole);
      let longestMs = 0;
      for (let second = 0; second < 600; second += 1) {
        clock.advance(1_000);
        for (const { links } of nodes) {
          for (const { beat } of links.values()) {
            longestMs = Math.max(longestMs, clock.now() - beat.heardAt);
          }
        }
      }
      expect(longestMs).toBeLessThanOrEqual((count - 1) * turnMsMax);
      expect(nodes.flatMap(({ lost, quiet }) => [lost, quiet].flat())).toEqual([]);
      return nodes.reduce((sum, { asked }) => sum + asked.length, 0) / count / 10;
    });
    const [three = 0, ...larger] = perMinute;
    expect(three).toBeGreaterThan(3);
    for (const figure of larger) expect(figure / three).toBeLessThan(1.1);
  });

  test('notices a link that broke without a word, one turn after the other', () => {
    const clock = createMemoryClock();
    const cut = new Set<string>();
    const { node } = mesh(clock, 12, (from, to) => cut.has(`${from} ${to}`));
    cut.add('0 1').add('1 0');
    const since = clock.now();
    clock.advance(11 * turnMsMax + 2 * pace.heartbeatMs);
    for (const [at, peer] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const [first, ...others] = node(at).lost;
      expect(others).toEqual([]);
      expect(first?.peer).toBe(peer);
      expect((first?.at ?? 0) - since).toBeGreaterThan(pace.silentMsMax);
    }
  });
});

describe('a link on which something was said', () => {
  test('is noticed to be broken within 15 s, however many others there are', () => {
    for (const count of [2, 12, 50]) {
      const clock = createMemoryClock();
      const cut = new Set<string>();
      const { node } = mesh(clock, count, (from, to) => cut.has(`${from} ${to}`));
      cut.add('0 1').add('1 0');
      const end = node(0).links.get(1) as End;
      const since = clock.now();
      node(0).pulse.told(end);
      clock.advance(pace.silentMsMax);
      expect(node(0).lost.map(({ peer }) => peer)).toEqual([1]);
      expect((node(0).lost[0]?.at ?? 0) - since).toBeLessThanOrEqual(pace.silentMsMax);
      expect(node(0).quiet).toEqual([true]);
    }
  });

  test('is asked once, and not again when the answer came', () => {
    const clock = createMemoryClock();
    const { node } = mesh(clock, 12, whole);
    const end = node(0).links.get(1) as End;
    node(0).pulse.told(end);
    clock.advance(pace.heartbeatMs);
    expect(node(0).asked.filter(({ peer }) => peer === 1)).toHaveLength(1);
    clock.advance(2 * pace.heartbeatMs);
    expect(node(0).asked.filter(({ peer }) => peer === 1)).toHaveLength(1);
    expect(node(0).lost).toEqual([]);
  });

  test('is not asked for an answer to an answer', () => {
    const clock = createMemoryClock();
    const { node, say } = mesh(clock, 50, whole);
    say(0, 1, () => say(1, 0, () => {}));
    clock.advance(3 * pace.heartbeatMs);
    const about = [
      node(0).asked.filter(({ peer }) => peer === 1),
      node(1).asked.filter(({ peer }) => peer === 0),
    ];
    expect(about.flat()).toEqual([]);
  });
});

test('a peer that speaks again after it left a question unanswered is told of as both, and kept', () => {
  const clock = createMemoryClock();
  const cut = new Set<string>();
  const { node } = mesh(clock, 2, (from, to) => cut.has(`${from} ${to}`));
  cut.add('1 0');
  node(0).pulse.told(node(0).links.get(1) as End);
  clock.advance(1.5 * pace.heartbeatMs);
  cut.clear();
  clock.advance(60_000);
  expect(node(0).quiet).toEqual([true, false]);
  expect(node(0).lost).toEqual([]);
});

test('a node that stalled itself asks again before it gives a link up: the answer is there, unread', () => {
  let now = 0;
  let alarm = (): void => {};
  const clock = {
    now: () => now,
    wallMs: () => now,
    alarm(_at: number, ring: () => void) {
      alarm = ring;
      return () => {};
    },
  };
  const link: End = { beat: newBeat(0), peer: 1 };
  const given: string[] = [];
  const pulse = createLinkPulse<End>({
    clock,
    pace,
    links: () => [link],
    ask: () => given.push('asked'),
    quiet: (_, isQuiet) => given.push(isQuiet ? 'quiet' : 'speaks'),
    giveUp: () => given.push('given up'),
  });
  pulse.opened(link);
  now = 60_000;
  alarm();
  pulse.heard(link);
  now = 65_000;
  alarm();
  expect(given).toEqual(['asked', 'quiet', 'asked', 'speaks']);
});

test('without links there is no alarm left', () => {
  const clock = createMemoryClock();
  const { node } = mesh(clock, 2, whole);
  clock.advance(60_000);
  for (const at of [0, 1]) {
    for (const link of node(at).links.values()) node(at).pulse.closed(link);
    node(at).links.clear();
  }
  const before = node(0).asked.length;
  clock.advance(600_000);
  expect(node(0).asked.length).toBe(before);
  let rings = 0;
  const { alarm } = clock;
  clock.alarm = (at, ring) => {
    rings += 1;
    return alarm(at, ring);
  };
  clock.advance(600_000);
  expect(rings).toBe(0);
});
