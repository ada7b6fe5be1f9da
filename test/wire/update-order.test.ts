/** Orders of an update: only their author can have written them, and nothing else is read as one. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseMeshId } from '../../src/kernel/ids.ts';
import type { InstallReport } from '../../src/protocol/rollout/messages.ts';
import { toHex } from '../../src/wire/bytes.ts';
import { encodeCbor } from '../../src/wire/cbor.ts';
import { generateNodeKeys, nodeIdOf } from '../../src/wire/keys.ts';
import {
  decodeInstallRecord,
  decodeReport,
  decodeRolloutRecord,
  encodeInstallRecord,
  encodeReport,
  encodeRolloutRecord,
  readUpdateOrder,
  signUpdateOrder,
} from '../../src/wire/update-order.ts';
import type { UpdateOrder } from '../../src/wire/update-order.ts';

const keys = generateNodeKeys();
const node = nodeIdOf(keys.edPublic);
const release = { blob: 'ab'.repeat(32), version: '0.2.0', programHash: 'cd'.repeat(32) };
const order = {
  kind: 'try' as const,
  number: 3,
  version: '0.2.0-cdcdcdcdcdcd',
  healthyForMs: 30_000,
  trialMs: 180_000,
};
const update: UpdateOrder = {
  mesh: parseMeshId('0123456789abcdef0123456789abcdef'),
  node,
  author: toHex(keys.edPublic),
  order,
  release,
};
const report: InstallReport = { number: 3, phase: 'trial', running: '0.2.0-cd', reason: 'no link' };

describe('an order of an update', () => {
  test('comes back as it was signed', () => {
    expect(readUpdateOrder(signUpdateOrder(keys.edSeed, update))).toEqual(update);
  });

  test('is not read when any bit of it has changed', () => {
    const signed = signUpdateOrder(keys.edSeed, update);
    fc.assert(
      fc.property(fc.nat(signed.length - 1), fc.nat(7), (at, bit) => {
        const bytes = signed.slice();
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        expect(readUpdateOrder(bytes)).toBeUndefined();
      }),
    );
  });

  test('is not read when somebody else signed it in the name of its author', () => {
    expect(readUpdateOrder(signUpdateOrder(generateNodeKeys().edSeed, update))).toBeUndefined();
  });

  test.each([
    ['a number below one', { ...update, order: { ...order, number: 0 } }],
    ['a version that is a path', { ...update, order: { ...order, version: '../etc' } }],
    ['an endless trial', { ...update, order: { ...order, trialMs: 1e12 } }],
    ['no mesh', { ...update, mesh: 'home' }],
  ])('with %s is none', (_, wrong) => {
    expect(readUpdateOrder(signUpdateOrder(keys.edSeed, wrong as UpdateOrder))).toBeUndefined();
  });

  test('garbage is no order, no report and no record', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(readUpdateOrder(bytes)).toBeUndefined();
        expect(decodeReport(bytes)).toBeUndefined();
        expect(decodeInstallRecord(bytes)).toBeUndefined();
        expect(decodeRolloutRecord(bytes)).toBeUndefined();
      }),
    );
  });
});

describe('a report', () => {
  test('comes back, also from a newer version that says more', () => {
    expect(decodeReport(encodeReport(report))).toEqual(report);
    expect(decodeReport(encodeCbor({ ...report, mood: 'fine' }))).toEqual(report);
  });
});

describe('records', () => {
  test('come back as they were written', () => {
    const signed = signUpdateOrder(keys.edSeed, update);
    const install = {
      signed,
      kept: { order, phase: 'restarting' as const, reason: '', attempts: 1, isChange: true },
      peers: 4,
      done: ['agent heater', 'service default/lights'],
    };
    expect(decodeInstallRecord(encodeInstallRecord(install))).toEqual(install);
    const { done: _, ...older } = install;
    expect(decodeInstallRecord(encodeCbor(older))).toEqual({ ...install, done: [] });
    const rollout = {
      release,
      healthyForMs: 1,
      trialMs: 2,
      kept: {
        plan: {
          number: 3,
          version: order.version,
          targets: [node],
          canary: 1,
          batch: 2,
          patienceMs: 60_000,
          revertPatienceMs: 60_000,
        },
        targets: [{ node, state: 'trying' as const, reason: '' }],
        reason: '',
        outcome: undefined,
      },
    };
    expect(decodeRolloutRecord(encodeRolloutRecord(rollout))).toEqual(rollout);
    const done = { ...rollout, kept: { ...rollout.kept, outcome: 'done' as const } };
    expect(decodeRolloutRecord(encodeRolloutRecord(done))).toEqual(done);
  });
});
