import { describe, expect, test } from 'vitest';
import { createMemoryLog } from '../../src/adapters/memory/log.ts';
import { createMetrics } from '../../src/adapters/system/metrics.ts';
import { nodeIdFromHash } from '../../src/kernel/ids.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import { partBytes } from '../../src/kernel/large-message.ts';
import type { Envelope } from '../../src/protocol/routing/messages.ts';
import { createOutgoing } from '../../src/runtime/routing/outgoing.ts';
import { encodeEnvelope, readEnvelope } from '../../src/wire/envelope.ts';

const idOf = (at: number): NodeId => nodeIdFromHash(new Uint8Array(16).fill(at));
const old = idOf(1);
const young = idOf(2);
const newcomer = idOf(3);

const whole: Envelope = {
  ttl: 0,
  class: 'event',
  retain: false,
  origin: idOf(9),
  boot: 1,
  seq: 5,
  skipped: 2,
  hlc: { wallMs: 1, count: 0 },
  topic: 't',
  payload: Uint8Array.of(1),
  passage: undefined,
};
const partOf = (index: number): Uint8Array =>
  encodeEnvelope({
    ...whole,
    payload: new Uint8Array(partBytes),
    part: { index, totalBytes: 3 * partBytes, isSignal: false },
  });

function start() {
  const sent: { readonly peer: NodeId; readonly raw: Uint8Array }[] = [];
  const log = createMemoryLog();
  const metrics = createMetrics();
  const state = { isFull: false };
  const outgoing = createOutgoing({
    log,
    metrics,
    traffic: {
      record(peer, raw) {
        if (!state.isFull) sent.push({ peer, raw });
        return !state.isFull;
      },
    },
    isOnProbation: (peer) => peer === newcomer,
    links: { minorOf: (peer) => (peer === old ? 1 : peer === young ? 2 : undefined) },
  });
  return { outgoing, sent, log, metrics, state };
}

describe('a part of a large message', () => {
  test('goes to a node that can read it as it is', () => {
    const { outgoing, sent } = start();
    const raw = partOf(0);
    expect(outgoing.canRead(young, raw)).toBe(true);
    expect(outgoing.transmit(young, raw, 'event')).toBe(true);
    expect(sent).toEqual([{ peer: young, raw }]);
  });

  test('is an empty place for an older node, counted once a message and said once a node', () => {
    const { outgoing, sent, log, metrics } = start();
    expect(outgoing.canRead(old, partOf(0))).toBe(false);
    for (let message = 0; message < 2; message += 1) {
      for (const index of [0, 1, 2]) {
        expect(outgoing.transmit(old, partOf(index), 'event')).toBe('unreadable');
      }
    }
    const [first] = sent;
    expect(sent.length).toBe(6);
    expect(readEnvelope(first?.raw ?? new Uint8Array())).toMatchObject({
      topic: '',
      seq: 5,
      skipped: 2,
      ttl: 0,
      part: undefined,
    });
    expect(metrics.snapshot().drops).toEqual({ 'router: large message for an older node': 2 });
    expect(log.take().filter(({ level }) => level === 'warn').length).toBe(1);
  });

  test('is neither sent nor counted while the link has no room', () => {
    const { outgoing, sent, metrics, state } = start();
    state.isFull = true;
    expect(outgoing.transmit(old, partOf(0), 'event')).toBe(false);
    expect(outgoing.transmit(newcomer, partOf(0), 'event')).toBe(false);
    expect([sent, metrics.snapshot().drops]).toEqual([[], {}]);
  });

  test('of what is not for a member on probation is withheld from it, and a small message reaches everybody else', () => {
    const { outgoing, sent } = start();
    expect(outgoing.transmit(newcomer, partOf(0), 'event')).toBe('withheld');
    const small = encodeEnvelope(whole);
    expect(outgoing.transmit(old, small, 'event')).toBe(true);
    expect(sent[1]?.raw).toBe(small);
  });
});
