import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nodeIdFromHash } from '../../../src/kernel/ids.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { messageIdOf, readMessageId } from '../../../src/protocol/routing/message-id.ts';
import { createTrace } from '../../../src/protocol/routing/trace.ts';
import type { Fate, Trace } from '../../../src/protocol/routing/trace.ts';

const ids = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((hash) => nodeIdFromHash(hash));
const stamps = fc.record({ wallMs: fc.nat(2 ** 48 - 1), count: fc.nat(0xffff) });
const ann = nodeIdFromHash(new Uint8Array(16).fill(1));
const bob = nodeIdFromHash(new Uint8Array(16).fill(2));

const blank = { count: 0, peer: bob, cause: undefined, detail: '' };

interface Noted {
  readonly at: number;
  readonly fate: Fate;
  readonly origin: NodeId;
  readonly wallMs: number;
  readonly topic?: string;
}

function note(trace: Trace, step: Noted): void {
  trace.note({ topic: 't', ...blank, ...step });
}

describe('the id of a message', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(ids, stamps, (origin, hlc) => {
        expect(readMessageId(messageIdOf(origin, hlc))).toEqual({ origin, hlc });
      }),
    );
  });

  test.each([
    '',
    'x',
    ann,
    `${ann}-1`,
    `${ann}-1-2-3`,
    `${ann}-1-zzzz`,
    `${ann}--1`,
    `${ann}-01-0`,
    `${ann}-1-${'0'.repeat(80)}`,
  ])('is not %j', (text) => {
    expect(readMessageId(text)).toBeUndefined();
  });
});

describe('a trace', () => {
  test('holds the last steps of each message in their order, and no others', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.record({ by: fc.constantFrom(ann, bob), wall: fc.nat(3) }), { maxLength: 60 }),
        (size, all) => {
          const trace = createTrace(size);
          for (const [at, { by, wall }] of all.entries())
            note(trace, { at: at, fate: 'sent', origin: by, wallMs: wall });
          const kept = [...all.entries()].slice(-size);
          for (const by of [ann, bob]) {
            for (let wall = 0; wall < 4; wall += 1) {
              const steps = trace.of(by, { wallMs: wall, count: 0 });
              const due = kept.filter(([, one]) => one.by === by && one.wall === wall);
              expect(steps.map((one) => one.at)).toEqual(due.map(([at]) => at));
            }
          }
          expect(trace.view()).toEqual({ noted: all.length, since: kept[0]?.[0] });
        },
      ),
    );
  });

  test('tells what befell the messages of a topic, and how often', () => {
    const trace = createTrace(10);
    note(trace, { at: 1, fate: 'published', origin: ann, wallMs: 1 });
    note(trace, { at: 2, fate: 'published', origin: ann, wallMs: 2 });
    const lost = { fate: 'dropped', cause: 'ttl', detail: 'no hop left' } as const;
    trace.note({ ...blank, at: 3, origin: ann, wallMs: 2, topic: 't', ...lost });
    note(trace, { at: 4, fate: 'published', origin: ann, wallMs: 3, topic: 'other' });
    expect(trace.about('t')).toEqual([
      { fate: 'published', cause: undefined, detail: '', count: 2, at: 2 },
      { fate: 'dropped', cause: 'ttl', detail: 'no hop left', count: 1, at: 3 },
    ]);
    expect(trace.topicOf(ann, { wallMs: 3, count: 0 })).toBe('other');
  });
});
