import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import type {
  Overlay,
  OverlayEffect,
  OverlayInput,
  OverlayName,
} from '../../../src/protocol/overlay/overlay.ts';
import { createUnity } from '../../../src/protocol/overlay/unity.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';
import { hint, numbers, said } from './stage.ts';

/** An overlay that holds every session for a link at once, and notes what it is told of tears. */
class Watched {
  readonly torn: number[] = [];
  readonly core: Overlay;
  now = 0;
  #session = 0;

  constructor(self: number, overlay: OverlayName = 'hyparview') {
    const view = { neighbours: [], candidates: [], passive: [], seeds: [] };
    const inner: Overlay = {
      step: (_now, input) => this.#step(input),
      deadline: () => Infinity,
      view: () => view,
    };
    const config = { self: simNodeId(self), boot: 5, overlay, beatMs: 1_000 };
    this.core = createUnity(inner, config, createRandom(3));
  }

  #step(input: OverlayInput): OverlayEffect[] {
    if (input.type === 'torn') this.torn.push(...numbers([input.towards]));
    if (input.type === 'linkOpened') {
      const { node, session } = input;
      return [{ type: 'announce', what: 'neighbourUp', node, session }];
    }
    if (input.type !== 'linkClosed') return [];
    const { node, reason } = input;
    return [{ type: 'announce', what: 'neighbourDown', node, reason }];
  }

  feed(input: OverlayInput): readonly OverlayEffect[] {
    return this.core.step(this.now, input);
  }

  link(at: number, overlay: OverlayName = 'hyparview'): readonly OverlayEffect[] {
    this.#session += 1;
    const session = this.#session;
    const about = { boot: 1, isDialler: true, seed: undefined, neighbours: [] };
    return this.feed({ type: 'linkOpened', node: simNodeId(at), session, overlay, ...about });
  }

  member(...ats: readonly number[]): void {
    for (const at of ats) this.feed({ type: 'memberUp', ...hint(at) });
  }

  pulse(from: number, root: NodeId, count: number, boot = 1): readonly OverlayEffect[] {
    const message = { kind: 'pulse', root, boot, count } as const;
    return this.feed({ type: 'received', node: simNodeId(from), session: from, message });
  }

  wait(ms: number): OverlayEffect[] {
    const end = this.now + ms;
    const done: OverlayEffect[] = [];
    while (this.core.deadline() <= end) {
      this.now = this.core.deadline();
      done.push(...this.feed({ type: 'tick' }));
    }
    this.now = end;
    return done;
  }
}

const root = simNodeId(0);

describe('the watch over an overlay', () => {
  test('lets the member with the lowest id send a numbered pulse to all its neighbours each beat', () => {
    const lowest = new Watched(0);
    lowest.member(1, 2);
    lowest.link(1);
    lowest.link(2);
    const pulses = said(lowest.wait(10_000));
    expect(pulses.length).toBeGreaterThanOrEqual(2 * 8);
    expect(pulses.length).toBeLessThanOrEqual(2 * 12);
    const first = pulses[0]?.message;
    expect(first).toMatchObject({ kind: 'pulse', root, boot: 5 });
    const counts = pulses.map(({ message }) => (message.kind === 'pulse' ? message.count : 0));
    expect(new Set(counts).size).toBe(pulses.length / 2);
    const other = new Watched(1);
    other.member(0, 2);
    other.link(2);
    expect(said(other.wait(2_000))).toEqual([]);
  });

  test('passes a new pulse on once, to all but where it came from', () => {
    const node = new Watched(5);
    node.member(0, 1, 2, 3);
    for (const at of [1, 2, 3]) node.link(at);
    expect(said(node.pulse(1, root, 7)).map(({ session }) => session)).toEqual([2, 3]);
    expect(said(node.pulse(2, root, 7))).toEqual([]);
    expect(said(node.pulse(2, root, 6))).toEqual([]);
    expect(said(node.pulse(2, root, 1, 2)).map(({ session }) => session)).toEqual([1, 3]);
    expect(said(node.pulse(9, root, 8))).toEqual([]);
  });

  test('is content while pulses come, and for three beats without one', () => {
    const node = new Watched(5);
    node.member(0, 1);
    node.link(1);
    for (let count = 1; count <= 60; count += 1) {
      node.wait(1_000);
      node.pulse(1, root, count);
    }
    node.wait(3_000);
    expect(node.torn).toEqual([]);
    node.wait(30_000);
    expect(node.torn.length).toBeGreaterThan(0);
  });

  test('tells a torn overlay of the lowest member or of another one without a link, ever more rarely', () => {
    const node = new Watched(5);
    node.member(0, 1, 2, 3, 4);
    node.link(1);
    node.wait(60_000);
    const early = node.torn.length;
    expect(early).toBeGreaterThanOrEqual(3);
    expect(new Set(node.torn)).not.toContain(1);
    node.wait(600_000);
    expect(node.torn.length - early).toBeLessThanOrEqual(8);
    expect(node.torn).toContain(0);
  });

  test('expects nothing of a lowest member that died, left or sleeps', () => {
    for (const gone of [
      { type: 'memberSlept', node: root },
      { type: 'memberGone', node: root, reason: 'dead' },
    ] as const) {
      const node = new Watched(1);
      node.member(0, 2);
      node.link(2);
      node.wait(2_500);
      node.feed(gone);
      expect(said(node.wait(60_000)).length).toBeGreaterThan(40);
      expect(node.torn).toEqual([]);
    }
  });

  test('costs a full mesh nothing while none of its neighbours runs a partial overlay', () => {
    const node = new Watched(0, 'full-mesh');
    node.member(1, 2);
    node.link(1, 'full-mesh');
    expect(node.core.deadline()).toBe(Infinity);
    node.link(2, 'hyparview');
    expect(said(node.wait(10_000)).length).toBeGreaterThan(0);
  });

  test('lets full meshes carry pulses between partial ones, and not among themselves in vain', () => {
    const node = new Watched(5, 'full-mesh');
    node.member(0, 1, 2, 3, 4);
    node.link(1, 'full-mesh');
    node.link(2, 'full-mesh');
    node.link(3, 'hyparview');
    node.link(4, 'hyparview');
    expect(said(node.pulse(1, root, 1)).map(({ session }) => session)).toEqual([3, 4]);
    expect(said(node.pulse(3, root, 2)).map(({ session }) => session)).toEqual([1, 2, 4]);
    node.wait(60_000);
    expect(node.torn).toEqual([]);
  });
});
