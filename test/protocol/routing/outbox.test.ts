import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { createRandom } from '../../../src/kernel/random.ts';
import { createOutbox } from '../../../src/protocol/routing/outbox.ts';
import type { Outbox, OutboxConfig } from '../../../src/protocol/routing/outbox-types.ts';
import { ann, origins } from './arbitraries.ts';

const bob = origins[1] ?? ann;

interface Watched {
  readonly outbox: Outbox;
  /** Sequence numbers handed over: first transmissions, and resends. */
  readonly sent: number[];
  readonly resent: number[];
  /** How many events each of them was said to skip, in the order of sending. */
  readonly skips: number[];
  readonly bases: number[];
  readonly lost: string[];
  /** Where events were to be brought back from, and how often something was to be written at once. */
  readonly asked: number[];
  presses: number;
  room: number;
}

/** An outbox whose encoded events are 4 bytes that say which they are. */
function watch(config: OutboxConfig = {}): Watched {
  const seqOf = (raw: Uint8Array): number => new DataView(raw.buffer).getUint32(0);
  const all: Omit<Watched, 'outbox'> = {
    sent: [],
    resent: [],
    skips: [],
    bases: [],
    lost: [],
    asked: [],
    presses: 0,
    room: Infinity,
  };
  const take = (into: number[], raw: Uint8Array, skipped: number): boolean => {
    if (all.room === 0) return false;
    all.room -= 1;
    all.skips.push(skipped);
    into.push(seqOf(raw));
    return true;
  };
  const outbox = createOutbox(config, createRandom(1), {
    send: (_to, raw, skipped) => take(all.sent, raw, skipped),
    resend: (_to, raw, skipped) => take(all.resent, raw, skipped),
    tellBase: ({ base }) => void all.bases.push(base),
    settled: () => undefined,
    silent: () => undefined,
    bring: (seq) => void all.asked.push(seq),
    press: () => void (all.presses += 1),
    forfeited: (node, count, reason) => {
      all.lost.push(`${origins.indexOf(node)} ${count} ${reason}`);
    },
  });
  return Object.assign(all, { outbox });
}

function append(outbox: Outbox, now: number, count: number, without?: readonly NodeId[]): void {
  const excluded = without === undefined ? undefined : new Set(without);
  for (let step = 0; step < count; step += 1) {
    const raw = new Uint8Array(4);
    new DataView(raw.buffer).setUint32(0, outbox.nextSeq());
    outbox.append(now, raw, excluded);
  }
}

function upTo(seq: number): number[] {
  return Array.from({ length: seq }, (_, at) => at + 1);
}

/** A member that is linked and knows where its stream starts. */
function join(outbox: Outbox, node: NodeId, seq = 0): void {
  outbox.joined(0, node, 1);
  outbox.linked(0, node);
  outbox.acknowledged(0, node, 1, seq, []);
}

describe('an outbox', () => {
  test('keeps nothing while nobody is owed anything', () => {
    const { outbox } = watch();
    append(outbox, 0, 10);
    expect(outbox.view()).toMatchObject({ count: 0, bytes: 0 });
    expect(outbox.nextSeq()).toBe(11);
  });

  test('owes what is published before anybody has shown himself to the members of the life before', () => {
    const watched = watch({ retentionMs: 1_000 });
    const { outbox } = watched;
    outbox.restore(undefined, { nodes: [ann, bob], at: 0 });
    append(outbox, 10, 3);
    expect(outbox.view()).toMatchObject({ count: 3 });
    expect(watched.sent).toEqual([]);
    outbox.joined(20, ann, 7);
    outbox.linked(20, ann);
    outbox.pump(20);
    expect(watched.sent).toEqual(upTo(3));
    outbox.acknowledged(30, ann, 7, 3, []);
    expect(outbox.view()).toMatchObject({ count: 3 });
    // The other one never comes back.
    outbox.tick(1_001);
    expect(outbox.view()).toMatchObject({ count: 0 });
    expect(watched.lost).toEqual(['1 3 dead']);
  });

  test('believes a member that it has what a power cut kept from the disk', () => {
    const { outbox } = watch();
    const raw = new Uint8Array(4);
    const events = [7, 8].map((seq) => ({ seq, owed: [ann], bytes: 4, raw }));
    const leap = 2 ** 38;
    outbox.restore({ boot: 3, nextSeq: 8 + leap, at: 0, events }, undefined);
    outbox.joined(10, ann, 1);
    outbox.linked(10, ann);
    // It got 9 and 10 in the life before this one, and will acknowledge nothing less.
    outbox.acknowledged(20, ann, 1, 10, []);
    expect(outbox.view()).toMatchObject({ count: 0 });
    // Numbers that were never used are nobody's.
    append(outbox, 30, 1);
    outbox.acknowledged(40, ann, 1, 8 + 2 * leap, []);
    expect(outbox.view()).toMatchObject({ count: 1 });
    outbox.acknowledged(50, ann, 1, 8 + leap, []);
    expect(outbox.view()).toMatchObject({ count: 0 });
  });

  test('puts away again what was brought back for one member before it gives anything up of another', () => {
    const { outbox, lost, asked } = watch({ bytesMax: 16, hasDisk: true });
    for (const node of [ann, bob]) {
      join(outbox, node);
      outbox.gone(0, node, 'dead');
    }
    for (let made = 1; made <= 12; made += 1) {
      expect(outbox.admits(4)).toBe(true);
      append(outbox, made, 1);
      outbox.written(made);
    }
    outbox.joined(20, ann, 1);
    outbox.linked(20, ann);
    const piece = (from: number) =>
      [0, 1, 2, 3].map((step) => ({ seq: from + step, raw: new Uint8Array(4) }));
    for (const from of [1, 5, 9]) {
      outbox.brought(30, piece(from));
      outbox.acknowledged(40, ann, 1, from + 3, []);
    }
    expect(asked.length).toBeGreaterThan(0);
    // What was brought last fills the memory, and the other member has had nothing of it.
    expect(outbox.view()).toMatchObject({ count: 12, bytes: 16 });
    expect(outbox.admits(4)).toBe(true);
    expect(lost).toEqual([]);
  });

  test('takes a member for a laggard by how many events it lacks, not by their numbers', () => {
    const { outbox } = watch({ windowMax: 12, resendWindowMax: 4 });
    const raw = new Uint8Array(4);
    const leap = 2 ** 38;
    const events = [7, 7 + leap].map((seq) => ({ seq, owed: [ann], bytes: 4, raw }));
    outbox.restore({ boot: 3, nextSeq: 7 + 2 * leap, at: 0, events }, undefined);
    outbox.joined(10, ann, 1);
    expect(outbox.hasLaggard()).toBe(false);
    append(outbox, 20, 20, [ann]);
    append(outbox, 20, 5);
    expect(outbox.hasLaggard()).toBe(false);
    append(outbox, 20, 1);
    expect(outbox.hasLaggard()).toBe(true);
    // It is none before everything was sent to it, and never over a link.
    outbox.acknowledged(30, ann, 1, 7 + leap, []);
    expect(outbox.hasLaggard()).toBe(true);
    outbox.pump(40);
    outbox.acknowledged(50, ann, 1, outbox.lastSeq() - 3, []);
    expect(outbox.hasLaggard()).toBe(false);
    append(outbox, 60, 8);
    expect(outbox.hasLaggard()).toBe(true);
    outbox.linked(70, ann);
    expect(outbox.hasLaggard()).toBe(false);
  });

  test('owes a newcomer only what comes after its arrival, and says so', () => {
    const { outbox, bases, sent } = watch();
    append(outbox, 0, 10);
    join(outbox, bob, 10);
    append(outbox, 0, 2);
    outbox.pump(0);
    expect(bases[0]).toBe(11);
    expect(sent).toEqual([11, 12]);
  });

  test('sends each event once over a link, as far as the window goes, and goes on with each acknowledgement', () => {
    const { outbox, sent } = watch({ windowMax: 4 });
    join(outbox, bob);
    append(outbox, 0, 10);
    outbox.pump(0);
    outbox.pump(0);
    expect(sent).toEqual([1, 2, 3, 4]);
    outbox.acknowledged(1, bob, 1, 3, []);
    expect(sent).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(outbox.view().count).toBe(7);
  });

  test('goes on after a saturated link is drained where it stopped', () => {
    const watched = watch();
    const { outbox, sent } = watched;
    join(outbox, bob);
    append(outbox, 0, 5);
    watched.room = 2;
    outbox.pump(0);
    expect(sent).toEqual([1, 2]);
    watched.room = Infinity;
    outbox.drained(1);
    expect(sent).toEqual([1, 2, 3, 4, 5]);
  });

  test('sends again after 1 s, then after twice as long each time up to a minute, with jitter', () => {
    const { outbox, resent } = watch();
    join(outbox, bob);
    append(outbox, 0, 3);
    outbox.pump(0);
    let before = 0;
    for (let attempt = 0; attempt < 9; attempt += 1) {
      const at = outbox.deadline();
      const base = Math.min(60_000, 1_000 * 2 ** attempt);
      expect(at - before).toBeGreaterThanOrEqual(base * 0.75);
      expect(at - before).toBeLessThanOrEqual(base * 1.25);
      outbox.tick(at);
      expect(resent).toHaveLength(3 * (attempt + 1));
      before = at;
    }
  });

  test('leaves out of a resend what the member holds already', () => {
    const { outbox, resent } = watch();
    join(outbox, bob);
    append(outbox, 0, 6);
    outbox.pump(0);
    outbox.acknowledged(5, bob, 1, 1, [
      [3, 4],
      [6, 6],
    ]);
    outbox.tick(outbox.deadline());
    expect(resent).toEqual([2, 5]);
  });

  test('sends everything unacknowledged at once when a link to the member opens again', () => {
    const { outbox, sent } = watch();
    join(outbox, bob);
    append(outbox, 0, 4);
    outbox.pump(0);
    outbox.acknowledged(1, bob, 1, 2, []);
    outbox.unlinked(2, bob);
    append(outbox, 3, 1);
    outbox.pump(3);
    sent.length = 0;
    outbox.linked(4, bob);
    expect(sent).toEqual([3, 4, 5]);
  });

  test('resends through the mesh soon after the link to a member is lost', () => {
    const { outbox, resent } = watch();
    join(outbox, bob);
    append(outbox, 0, 2);
    outbox.pump(0);
    outbox.unlinked(10, bob);
    expect(outbox.deadline()).toBe(60);
    outbox.tick(60);
    expect(resent).toEqual([1, 2]);
  });

  test('does not send to a dead member, gives its share up after 5 minutes and counts it', () => {
    const { outbox, lost, resent } = watch();
    join(outbox, bob);
    outbox.gone(0, bob, 'dead');
    append(outbox, 0, 7);
    expect(outbox.deadline()).toBe(300_000);
    outbox.tick(299_999);
    expect(outbox.view().count).toBe(7);
    outbox.tick(300_000);
    expect(lost).toEqual(['1 7 dead']);
    expect(resent).toEqual([]);
    expect(outbox.view().count).toBe(0);
  });

  test('sends a member that is back in the same life all it missed', () => {
    const { outbox, resent } = watch();
    join(outbox, bob);
    outbox.unlinked(0, bob);
    outbox.gone(0, bob, 'dead');
    append(outbox, 0, 3);
    expect(outbox.joined(5_000, bob, 1)).toBe(true);
    outbox.tick(outbox.deadline());
    expect(resent).toEqual([1, 2, 3]);
  });

  test('forgets at once what a member was owed that left or was evicted', () => {
    for (const end of ['left', 'evicted'] as const) {
      const { outbox, lost } = watch();
      join(outbox, bob);
      append(outbox, 0, 3);
      outbox.gone(1, bob, end);
      expect(lost).toEqual(['1 3 gone']);
      expect(outbox.view().count).toBe(0);
      expect(outbox.owes(bob)).toBe(false);
    }
  });

  test('owes a member that started anew what it had not acknowledged, from where it says', () => {
    const { outbox, bases, sent } = watch();
    join(outbox, bob);
    append(outbox, 0, 5);
    outbox.pump(0);
    outbox.acknowledged(1, bob, 1, 2, []);
    outbox.unlinked(2, bob);
    outbox.joined(3, bob, 2);
    sent.length = 0;
    outbox.linked(4, bob);
    expect(bases.at(-1)).toBe(3);
    expect(sent).toEqual([3, 4, 5]);
  });

  test('owes a member nothing that it does not want, and says with each event how many it may skip', () => {
    const { outbox, sent, skips, resent } = watch();
    join(outbox, ann);
    join(outbox, bob);
    append(outbox, 0, 2, [bob]);
    append(outbox, 0, 1);
    append(outbox, 0, 3, [ann, bob]);
    append(outbox, 0, 1, [ann]);
    outbox.pump(0);
    expect(sent).toEqual([1, 2, 3, 3, 7]);
    expect(skips).toEqual([0, 0, 0, 2, 3]);
    outbox.acknowledged(1, ann, 1, 3, []);
    expect(outbox.view()).toMatchObject({ count: 5 });
    outbox.acknowledged(1, bob, 1, 3, []);
    expect(outbox.view()).toMatchObject({ count: 1 });
    skips.length = 0;
    outbox.tick(outbox.deadline());
    expect(resent).toEqual([7]);
    expect(skips).toEqual([3]);
    outbox.acknowledged(9, bob, 1, 7, []);
    expect(outbox.view()).toMatchObject({ count: 0 });
    expect(outbox.deadline()).toBe(Infinity);
  });

  test('sends a member without a link what no flood brings, and the word about what it may skip', () => {
    const { outbox, sent, skips } = watch();
    join(outbox, ann);
    join(outbox, bob);
    outbox.unlinked(0, bob);
    append(outbox, 0, 1);
    append(outbox, 0, 1, [bob]);
    append(outbox, 0, 1);
    append(outbox, 0, 1, [ann]);
    outbox.pump(0);
    expect(sent).toEqual([1, 2, 3, 3, 4]);
    expect(skips).toEqual([0, 0, 0, 1, 0]);
  });

  test('gives up a member that stays silent for the retention time, and tells it where to go on', () => {
    const { outbox, lost, bases } = watch();
    join(outbox, bob);
    append(outbox, 0, 3);
    outbox.pump(0);
    for (let now = outbox.deadline(); now < 400_000; now = outbox.deadline()) outbox.tick(now);
    expect(lost).toEqual(['1 3 silent']);
    expect(bases.at(-1)).toBe(4);
    expect(outbox.view().count).toBe(0);
  });

  test('is full while a live member is the reason, whatever a dead one holds up', () => {
    const { outbox, lost } = watch({ countMax: 8 });
    join(outbox, ann);
    join(outbox, bob);
    outbox.gone(0, bob, 'dead');
    append(outbox, 0, 8);
    expect(outbox.admits(4)).toBe(false);
    expect(lost).toEqual([]);
    outbox.acknowledged(1, ann, 1, 5, []);
    expect(outbox.admits(4)).toBe(true);
    expect(lost).toEqual(['1 1 quota']);
  });

  describe('with a disk', () => {
    /** A dead member's share has gone to the disk: 16 events, of which 8 fit into memory. */
    function full(config: OutboxConfig = {}): Watched {
      const watched = watch({ countMax: 8, hasDisk: true, ...config });
      const { outbox } = watched;
      join(outbox, bob);
      outbox.unlinked(0, bob);
      outbox.gone(0, bob, 'dead');
      for (let count = 0; count < 16; count += 1) {
        if (!outbox.admits(4)) outbox.written(outbox.lastSeq());
        expect(outbox.admits(4)).toBe(true);
        append(outbox, 0, 1);
      }
      return watched;
    }
    const rawOf = (seq: number): { seq: number; raw: Uint8Array } => {
      const raw = new Uint8Array(4);
      new DataView(raw.buffer).setUint32(0, seq);
      return { seq, raw };
    };

    test('waits for it, then keeps there alone what does not fit into memory, and gives nothing up', () => {
      const { outbox, lost, presses } = full();
      expect(presses).toBeGreaterThan(0);
      expect(lost).toEqual([]);
      const { count, bytes, awayCount, awayBytes } = outbox.view();
      expect([count, awayBytes, bytes]).toEqual([16, 4 * awayCount, 64 - 4 * awayCount]);
      expect(bytes).toBeLessThanOrEqual(32);
    });

    test('brings it back for a member that is here again, in order and a piece after the other', () => {
      const { outbox, sent, asked } = full();
      outbox.joined(1, bob, 1);
      outbox.linked(1, bob);
      expect([sent, asked]).toEqual([[], [1]]);
      outbox.brought(2, [1, 2, 3].map(rawOf));
      expect([sent, asked]).toEqual([
        [1, 2, 3],
        [1, 4],
      ]);
      outbox.pump(3);
      expect(asked).toEqual([1, 4]);
      const rest = upTo(16).filter((seq) => seq > 3);
      outbox.brought(4, rest.map(rawOf));
      expect(sent).toEqual(upTo(16));
      outbox.acknowledged(5, bob, 1, 16, []);
      expect(outbox.view()).toMatchObject({ count: 0, bytes: 0, awayCount: 0, awayBytes: 0 });
    });

    test('goes on taking events while a member catches up from it', () => {
      const { outbox, lost } = full();
      outbox.joined(1, bob, 1);
      outbox.linked(1, bob);
      outbox.brought(2, [rawOf(1)]);
      outbox.acknowledged(3, bob, 1, 1, []);
      for (let count = 0; count < 8; count += 1) {
        outbox.written(outbox.lastSeq());
        expect(outbox.admits(4)).toBe(true);
        append(outbox, 3, 1);
      }
      expect(lost).toEqual([]);
    });

    test('is full while a live member that needs nothing of it is the reason', () => {
      const watched = watch({ countMax: 8, hasDisk: true });
      const { outbox } = watched;
      join(outbox, ann);
      append(outbox, 0, 8);
      outbox.written(8);
      expect(outbox.admits(4)).toBe(false);
      expect(outbox.view().awayCount).toBe(0);
    });

    test('asks for what cannot be read again when it is time to resend, and gives it up as of a silent member', () => {
      const { outbox, asked, lost } = full();
      outbox.joined(1, bob, 1);
      outbox.linked(1, bob);
      outbox.brought(2, []);
      outbox.pump(3);
      outbox.drained(4);
      expect(asked).toEqual([1]);
      outbox.tick(outbox.deadline());
      expect(asked).toEqual([1, 1]);
      for (let now = outbox.deadline(); now < 400_000; now = outbox.deadline()) {
        outbox.brought(now - 1, []);
        outbox.tick(now);
      }
      expect(lost).toEqual(['1 16 silent']);
    });

    test('gives the oldest up when its share of it is full, too, or holds its publishers', () => {
      const { outbox, lost } = full({ awayCountMax: 10 });
      outbox.written(16);
      let taken = 0;
      for (; lost.length === 0 && taken < 8; taken += 1) {
        outbox.written(outbox.lastSeq());
        expect(outbox.admits(4)).toBe(true);
        append(outbox, 0, 1);
      }
      expect(lost).toEqual(['1 3 quota']);
      const holding = full({ awayCountMax: 10, whenFull: 'hold' });
      for (let count = 0; count < 8; count += 1) {
        holding.outbox.written(holding.outbox.lastSeq());
        if (!holding.outbox.admits(4)) break;
        append(holding.outbox, 0, 1);
      }
      expect(holding.outbox.admits(4)).toBe(false);
      expect(holding.lost).toEqual([]);
      holding.outbox.tick(300_000);
      expect(holding.outbox.admits(4)).toBe(true);
    });

    test('gives up what does not fit into memory while the disk takes nothing, and still reads what is there', () => {
      const { outbox, lost, asked } = full();
      const { awayCount } = outbox.view();
      expect(awayCount).toBeGreaterThan(2);
      outbox.diskLost();
      expect(outbox.admits(32)).toBe(true);
      expect(lost.length).toBeGreaterThan(0);
      outbox.joined(1, bob, 1);
      outbox.linked(1, bob);
      expect(asked.length + (outbox.view().awayCount === 0 ? 1 : 0)).toBe(1);
    });
  });

  test('counts bytes, too, but never refuses a lone event for its size', () => {
    const { outbox } = watch({ bytesMax: 10 });
    join(outbox, bob);
    expect(outbox.admits(4_000)).toBe(true);
    append(outbox, 0, 2);
    expect(outbox.admits(2)).toBe(true);
    expect(outbox.admits(3)).toBe(false);
  });

  test('believes no acknowledgement of another life, of the future, or older than the last', () => {
    const { outbox } = watch();
    join(outbox, bob);
    append(outbox, 0, 5);
    outbox.acknowledged(1, bob, 1, 3, []);
    outbox.acknowledged(1, bob, 2, 5, []);
    outbox.acknowledged(1, bob, 1, 6, []);
    outbox.acknowledged(1, bob, 1, 2, []);
    expect(outbox.view().destinations[0]?.unacked).toBe(2);
  });

  test('holds exactly what some member has not acknowledged, for any history', () => {
    const move = fc.oneof(
      fc.record({ kind: fc.constant('append' as const), count: fc.integer({ min: 1, max: 5 }) }),
      fc.record({ kind: fc.constant('ack' as const), who: fc.nat(3), share: fc.nat(100) }),
      fc.record({ kind: fc.constant('join' as const), who: fc.nat(3) }),
      fc.record({ kind: fc.constant('leave' as const), who: fc.nat(3) }),
    );
    fc.assert(
      fc.property(fc.array(move, { maxLength: 120 }), (moves) => {
        const { outbox } = watch();
        const acked = new Map<NodeId, number>();
        for (const next of moves) {
          const last = outbox.nextSeq() - 1;
          const who = 'who' in next ? (origins[next.who] ?? ann) : ann;
          if (next.kind === 'append') append(outbox, 0, next.count);
          else if (next.kind === 'join') {
            outbox.joined(0, who, 1);
            acked.set(who, acked.get(who) ?? last);
          } else if (next.kind === 'leave') {
            outbox.gone(0, who, 'left');
            acked.delete(who);
          } else if (acked.has(who)) {
            const mine = acked.get(who) ?? 0;
            const to = mine + Math.floor(((last - mine) * next.share) / 100);
            outbox.acknowledged(0, who, 1, to, []);
            acked.set(who, to);
          }
          const lowest = Math.min(outbox.nextSeq() - 1, ...acked.values());
          expect(outbox.view().count).toBe(outbox.nextSeq() - 1 - lowest);
          expect(outbox.view().bytes).toBe(outbox.view().count * 4);
        }
      }),
    );
  });

  test('delivers everything to a member whatever is lost, given time', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 600 }), (seed, count) => {
        const chance = createRandom(seed);
        const held = new Set<number>();
        // However unlucky: silence must not be taken for the end of it.
        const outbox = createOutbox({ retentionMs: 1e9 }, chance.split(), {
          send: (_node, raw) => receive(raw),
          resend: (_to, raw) => receive(raw),
          tellBase: () => undefined,
          settled: () => undefined,
          silent: () => undefined,
          bring: () => expect.unreachable('there is no disk'),
          press: () => expect.unreachable('there is no disk'),
          forfeited: () => expect.unreachable('nothing may be given up'),
        });
        function receive(raw: Uint8Array): boolean {
          if (chance.unit() < 0.1) return false;
          if (chance.unit() < 0.7) held.add(new DataView(raw.buffer).getUint32(0));
          return true;
        }
        join(outbox, bob);
        append(outbox, 0, count);
        outbox.pump(0);
        for (let step = 0; step < 400 && outbox.view().count > 0; step += 1) {
          outbox.tick(outbox.deadline());
          let done = 0;
          while (held.has(done + 1)) done += 1;
          const rest = [...held].filter((seq) => seq > done).slice(0, 32);
          if (chance.unit() < 0.8) {
            outbox.acknowledged(
              outbox.deadline() - 1,
              bob,
              1,
              done,
              rest.map((seq) => [seq, seq] as const),
            );
          }
          outbox.drained(outbox.deadline() - 1);
        }
        expect([...held].sort((left, right) => left - right)).toEqual(upTo(count));
        expect(outbox.view().count).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});
