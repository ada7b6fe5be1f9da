import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../../src/kernel/random.ts';
import { createFullMesh } from '../../../src/protocol/overlay/full-mesh.ts';
import type { PairsConfig } from '../../../src/protocol/overlay/pair-policy.ts';
import { seedKey } from '../../../src/protocol/overlay/overlay.ts';
import type {
  Overlay,
  OverlayEffect,
  OverlayInput,
  OverlayView,
} from '../../../src/protocol/overlay/overlay.ts';
import { describeLaws } from '../../laws/laws.ts';
import { ids, someInput } from './arbitraries.ts';

const [ann, bob, cat] = ids as [(typeof ids)[0], (typeof ids)[0], (typeof ids)[0]];
const home = [{ host: '10.0.0.1', port: 1883 }];
const tick = { type: 'tick' } as const;

function createOf(self: typeof ann, config: Partial<PairsConfig> = {}): Overlay {
  return createFullMesh({ self, ...config }, createRandom(7));
}

const dials = (effects: readonly OverlayEffect[]): number =>
  effects.filter((effect) => effect.type === 'dial').length;

const opened = (node: typeof ann, session: number, isDialler: boolean, boot = 1): OverlayInput => ({
  type: 'linkOpened',
  node,
  boot,
  isDialler,
  session,
  seed: undefined,
  overlay: 'full-mesh',
  neighbours: [],
});

describe('a full mesh', () => {
  test('dials a member at once when its own id is the lower one', () => {
    const core = createOf(ann);
    const effects = core.step(0, { type: 'memberUp', node: bob, addresses: home });
    const target = { kind: 'node', node: bob };
    expect(effects).toEqual([{ type: 'dial', target, addresses: home, attempt: 1 }]);
  });

  test('leaves the dialling to the lower id for 3 s, then dials too', () => {
    const core = createOf(bob);
    expect(dials(core.step(0, { type: 'memberUp', node: ann, addresses: home }))).toBe(0);
    expect(core.deadline()).toBe(3_000);
    expect(dials(core.step(2_999, tick))).toBe(0);
    expect(dials(core.step(3_000, tick))).toBe(1);
  });

  test('never dials itself, and nobody without an address', () => {
    const core = createOf(ann);
    expect(core.step(0, { type: 'sighted', node: ann, addresses: home })).toEqual([]);
    expect(core.step(0, { type: 'memberUp', node: bob, addresses: [] })).toEqual([]);
    expect(core.deadline()).toBe(Infinity);
  });

  test('collapses a double dial into the session that the lower id dialled, on both ends', () => {
    for (const isLowFirst of [true, false]) {
      for (const self of [ann, bob]) {
        const core = createOf(self);
        const peer = self === ann ? bob : ann;
        const low = opened(peer, 1, self === ann);
        const high = opened(peer, 2, self === bob);
        core.step(0, isLowFirst ? low : high);
        core.step(10, isLowFirst ? high : low);
        expect(core.view().neighbours).toEqual([{ node: peer, session: 1 }]);
        expect(core.step(260, tick)).toEqual([{ type: 'hangUp', session: 2, reason: 'double' }]);
        expect(core.step(270, closed(peer, 2))).toEqual([]);
      }
    }
  });

  test('prefers the connection of a later life of the peer, whoever dialled', () => {
    const core = createOf(ann);
    core.step(0, opened(bob, 1, true, 4));
    core.step(9_000, opened(bob, 2, false, 5));
    expect(core.view().neighbours).toEqual([{ node: bob, session: 2 }]);
  });

  test('says neighbourUp once until the peer is down, and neighbourDown only for the session in use', () => {
    const core = createOf(ann);
    const up = core.step(0, opened(bob, 1, false));
    expect(up).toContainEqual({ type: 'announce', what: 'neighbourUp', node: bob, session: 1 });
    const moved = core.step(1, opened(bob, 2, true));
    expect(moved.filter((effect) => effect.type === 'announce')).toEqual([
      { type: 'announce', what: 'neighbourMoved', node: bob, session: 2 },
    ]);
    expect(core.step(2, closed(bob, 1))).toEqual([]);
    const down = core.step(3, closed(bob, 2));
    expect(down).toEqual([{ type: 'announce', what: 'neighbourDown', node: bob, reason: 'gone' }]);
  });

  test('dials at once after the loss of a link that lasted, then backs off to 30 s ± 50 %', () => {
    const core = createOf(ann);
    core.step(0, { type: 'memberUp', node: bob, addresses: home });
    core.step(10, opened(bob, 1, true));
    expect(dials(core.step(10_000, closed(bob, 1)))).toBe(1);
    let now = 10_000;
    const waits: number[] = [];
    for (let attempt = 0; attempt < 12; attempt += 1) {
      core.step(now, failed(bob));
      const at = core.deadline();
      waits.push(at - now);
      now = at;
      expect(dials(core.step(now, tick))).toBe(1);
    }
    for (const [at, wait] of waits.entries()) {
      const base = Math.min(30_000, 500 * 2 ** at);
      expect(wait).toBeGreaterThanOrEqual(base * 0.5 - 1);
      expect(wait).toBeLessThanOrEqual(base * 1.5);
    }
  });

  test('dials everybody without a link soon after its own network changed, whatever the back-off', () => {
    const core = createOf(bob);
    const seed = [{ host: '10.0.0.9', port: 1883 }];
    core.step(0, { type: 'sighted', node: undefined, addresses: seed });
    core.step(0, { type: 'memberUp', node: cat, addresses: home });
    core.step(0, { type: 'memberUp', node: ann, addresses: home });
    let now = 0;
    for (let round = 0; round < 20; round += 1) {
      for (const effect of core.step(now, tick)) {
        if (effect.type !== 'dial') continue;
        core.step(now, { type: 'dialFailed', target: effect.target, answeredBySelf: false });
      }
      now = core.deadline();
    }
    const before = [...core.view().candidates].map(({ attempts }) => attempts);
    expect(Math.min(...before)).toBeGreaterThan(3);
    const effects = [...core.step(now, { type: 'selfMoved', addresses: home })];
    const until = now + 3_000;
    while (core.deadline() <= until) {
      now = Math.max(now, core.deadline());
      effects.push(...core.step(now, tick));
    }
    const seen = effects.map((effect) => {
      if (effect.type !== 'dial') return effect.type;
      return effect.target.kind === 'seed' ? 'seed' : effect.target.node;
    });
    expect(new Set(seen)).toEqual(new Set(['seed', ann, cat]));
  });

  test('does not dial in a loop when a peer closes every link right after it opened', () => {
    const core = createOf(ann);
    core.step(0, { type: 'memberUp', node: bob, addresses: home });
    let dialled = 1;
    for (let now = 0; now < 60_000; now += 10) {
      const effects = core.step(now, opened(bob, now, true));
      expect(dials(effects)).toBe(0);
      dialled += dials(core.step(now + 5, closed(bob, now)));
      while (core.deadline() < now + 10) dialled += dials(core.step(core.deadline(), tick));
    }
    expect(dialled).toBeLessThan(12);
  });

  test('keeps a dead member as a candidate for ever and forgets one that left', () => {
    const core = createOf(ann);
    core.step(0, { type: 'memberUp', node: bob, addresses: home });
    core.step(1, opened(bob, 1, true));
    const effects = core.step(20_000, { type: 'memberGone', node: bob, reason: 'dead' });
    expect(effects).toContainEqual({ type: 'hangUp', session: 1, reason: 'dead' });
    for (let round = 0; round < 50; round += 1) {
      expect(dials(core.step(core.deadline(), tick))).toBe(1);
      core.step(core.deadline() - 1, failed(bob));
    }
    core.step(1e9, { type: 'memberGone', node: bob, reason: 'left' });
    expect(core.view().candidates).toEqual([]);
    expect(core.deadline()).toBe(Infinity);
  });

  test('lets an evicted member in no more, not by sighting and not by its own dial', () => {
    const core = createOf(ann);
    core.step(0, { type: 'memberUp', node: bob, addresses: home });
    core.step(1, { type: 'memberGone', node: bob, reason: 'evicted' });
    expect(core.step(2, { type: 'sighted', node: bob, addresses: home })).toEqual([]);
    const refused = { type: 'hangUp', session: 3, reason: 'refused' };
    expect(core.step(3, opened(bob, 3, false))).toContainEqual(refused);
    expect(core.view().neighbours).toEqual([]);
  });

  test('dials a bare seed until someone answers, and again only when it is alone', () => {
    const core = createOf(cat);
    const seed = seedKey(home);
    const first = core.step(0, { type: 'sighted', node: undefined, addresses: home });
    expect(dials(first)).toBe(1);
    const target = { kind: 'seed', seed } as const;
    core.step(10, { type: 'dialFailed', target, answeredBySelf: false });
    const again = core.deadline();
    expect(again).toBeLessThanOrEqual(10 + 750);
    expect(dials(core.step(again, tick))).toBe(1);
    core.step(again + 5, { ...opened(bob, 1, true), seed } as OverlayInput);
    expect(core.deadline()).toBe(Infinity);
    expect(dials(core.step(again + 10_000, closed(bob, 1)))).toBe(1);
  });

  test('forgets a seed that turns out to be itself', () => {
    const core = createOf(ann);
    core.step(0, { type: 'sighted', node: undefined, addresses: home });
    const target = { kind: 'seed', seed: seedKey(home) } as const;
    core.step(1, { type: 'dialFailed', target, answeredBySelf: true });
    expect(core.view().seeds).toEqual([]);
    expect(core.deadline()).toBe(Infinity);
  });

  test('leaves a peer that refuses politely alone for 2.5 to 7.5 minutes, whatever is sighted meanwhile', () => {
    const core = createOf(ann);
    core.step(0, { type: 'memberUp', node: bob, addresses: home });
    core.step(10, opened(bob, 1, true));
    const message = { kind: 'refuse', peers: [] } as const;
    core.step(20, { type: 'received', node: bob, session: 1, message });
    expect(dials(core.step(30, closed(bob, 1)))).toBe(0);
    const elsewhere = [{ host: '10.0.0.9', port: 1883 }];
    expect(dials(core.step(40, { type: 'sighted', node: bob, addresses: elsewhere }))).toBe(0);
    expect(core.deadline()).toBeGreaterThanOrEqual(150_000);
    expect(core.deadline()).toBeLessThanOrEqual(450_020);
    expect(dials(core.step(core.deadline(), tick))).toBe(1);
  });

  test('has at most 8 dials under way, and frees the slot of a dial that is never heard of again', () => {
    const core = createOf(ann);
    let count = 0;
    for (const node of ids.slice(1)) {
      count += dials(core.step(0, { type: 'memberUp', node, addresses: home }));
    }
    expect(count).toBe(8);
    expect(dials(core.step(30_000, tick))).toBe(3);
  });
});

function closed(node: typeof ann, session: number): OverlayInput {
  return { type: 'linkClosed', node, session, reason: 'gone' };
}

function failed(node: typeof ann): OverlayInput {
  return { type: 'dialFailed', target: { kind: 'node', node }, answeredBySelf: false };
}

describeLaws<OverlayInput, OverlayEffect, OverlayView>('full mesh', {
  create: (seed) =>
    createFullMesh({ self: bob, candidatesMax: 6, seedsMax: 4 }, createRandom(seed)),
  inputs: someInput(fc.nat(20)),
  hostile: someInput(fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger())),
  effectsPerStepMax: 64,
});

test('a full mesh of two cores ends with the same single session on both ends, whatever the timing', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(400), { minLength: 8, maxLength: 40 }), (delays) => {
      const ends = [createOf(ann), createOf(bob)] as const;
      const agenda: { at: number; end: 0 | 1; input: OverlayInput }[] = [];
      let session = 0;
      let draw = 0;
      const delay = (): number => delays[(draw += 1) % delays.length] ?? 0;
      const run = (now: number, end: 0 | 1, input: OverlayInput): void => {
        for (const effect of ends[end].step(now, input)) {
          if (effect.type === 'dial') {
            session += 1;
            agenda.push({
              at: now + delay(),
              end,
              input: opened(ids[1 - end] ?? ann, session, true),
            });
            const other = (1 - end) as 0 | 1;
            const peer = ids[end] ?? ann;
            agenda.push({ at: now + delay(), end: other, input: opened(peer, session, false) });
          } else if (effect.type === 'hangUp') {
            for (const side of [0, 1] as const) {
              const input: OverlayInput = closed(ids[1 - side] ?? ann, effect.session);
              agenda.push({ at: now + delay(), end: side, input });
            }
          }
        }
      };
      run(0, 0, { type: 'memberUp', node: bob, addresses: home });
      run(0, 1, { type: 'memberUp', node: ann, addresses: home });
      // Both dial at once, as after a partition.
      run(3_000, 1, tick);
      let now = 3_000;
      for (let step = 0; step < 500 && now < 60_000; step += 1) {
        agenda.sort((left, right) => left.at - right.at);
        const wake = Math.min(ends[0].deadline(), ends[1].deadline());
        const next = agenda[0];
        if (next === undefined && wake === Infinity) break;
        now = Math.max(now, Math.min(next?.at ?? Infinity, wake));
        if (next !== undefined && next.at <= wake) run(now, next.end, (agenda.shift(), next.input));
        else run(now, ends[0].deadline() <= ends[1].deadline() ? 0 : 1, tick);
      }
      const [left, right] = ends.map((core) => core.view().neighbours.map((link) => link.session));
      expect(left).toHaveLength(1);
      expect(left).toEqual(right);
    }),
  );
});
