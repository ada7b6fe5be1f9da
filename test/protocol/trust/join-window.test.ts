import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import {
  createJoinWindow,
  pendingNewcomersMax,
  windowMsMax,
} from '../../../src/protocol/trust/join-window.ts';
import type {
  JoinWindowEffect,
  JoinWindowInput,
  JoinWindowView,
} from '../../../src/protocol/trust/join-window.ts';
import { describeLaws } from '../../laws/laws.ts';
import { keyOf, subject } from './signed-world.ts';

const knock = (name: string): JoinWindowInput => ({
  type: 'knocked',
  ...subject(name),
  name,
  code: '123456',
});
const open = (forMs: number): JoinWindowInput => ({ type: 'opened', forMs });

test('nobody is admitted while the window is closed', () => {
  const refusal = { type: 'refuse', key: keyOf('ann'), code: 'MYCEL_WINDOW_CLOSED' };
  expect(createJoinWindow().step(0, knock('ann'))).toEqual([refusal]);
});

test('a newcomer in the open window waits on probation until a person confirms it', () => {
  const window = createJoinWindow();
  expect(window.step(0, open(1000))).toEqual([{ type: 'announce', isOpen: true }]);
  expect(window.step(10, knock('ann'))).toEqual([{ type: 'admit', key: keyOf('ann') }]);
  expect(window.view().pending).toMatchObject([{ name: 'ann', code: '123456' }]);
  const { node, key } = subject('ann');
  expect(window.step(20, { type: 'confirmed', node })).toEqual([{ type: 'approve', node, key }]);
  expect(window.step(30, { type: 'confirmed', node })).toEqual([{ type: 'unknown', node }]);
});

test('the window closes by uptime, and who waits may still be confirmed', () => {
  const window = createJoinWindow();
  window.step(0, open(1000));
  window.step(10, knock('ann'));
  expect(window.deadline()).toBe(1000);
  expect(window.step(1000, { type: 'tick' })).toEqual([{ type: 'announce', isOpen: false }]);
  expect(window.step(1001, knock('bob'))[0]).toMatchObject({ type: 'refuse' });
  expect(window.step(1002, { type: 'confirmed', node: subject('ann').node })[0]).toMatchObject({
    type: 'approve',
  });
});

test('zero closes, opening again prolongs, and no window outlasts a day', () => {
  const window = createJoinWindow();
  window.step(0, open(1000));
  expect(window.step(500, open(1000))).toEqual([]);
  expect(window.deadline()).toBe(1500);
  window.step(600, open(Infinity));
  expect(window.deadline()).toBe(600 + windowMsMax);
  expect(window.step(700, open(0))).toEqual([{ type: 'announce', isOpen: false }]);
  expect(window.deadline()).toBe(Infinity);
});

test('by policy a newcomer is approved at once', () => {
  const window = createJoinWindow();
  window.step(0, { type: 'policyChanged', autoApprove: true });
  window.step(0, open(1000));
  expect(window.step(0, knock('ann')).map(({ type }) => type)).toEqual(['admit', 'approve']);
  expect(window.view().pending).toEqual([]);
});

test('no more wait than the limit; the same one may knock again', () => {
  const window = createJoinWindow();
  window.step(0, open(1000));
  for (let at = 0; at < pendingNewcomersMax; at += 1) window.step(0, knock(`n${at}`));
  expect(window.step(0, knock('late'))[0]).toMatchObject({ type: 'refuse' });
  expect(window.step(0, knock('n3'))[0]).toMatchObject({ type: 'admit' });
  window.step(0, { type: 'settled', key: keyOf('n3') });
  expect(window.step(0, knock('late'))[0]).toMatchObject({ type: 'admit' });
});

const names = fc.constantFrom('ann', 'bob', 'cat');

describeLaws<JoinWindowInput, JoinWindowEffect, JoinWindowView>('the join window', {
  create: createJoinWindow,
  inputs: fc.oneof(
    fc.integer({ min: 0, max: 100_000 }).map(open),
    names.map(knock),
    names.map((name): JoinWindowInput => ({ type: 'confirmed', node: subject(name).node })),
    names.map((name): JoinWindowInput => ({ type: 'settled', key: keyOf(name) })),
    fc.boolean().map((autoApprove): JoinWindowInput => ({ type: 'policyChanged', autoApprove })),
    fc.constant<JoinWindowInput>({ type: 'tick' }),
  ),
  hostile: fc.oneof(
    fc.constantFrom(NaN, Infinity, -Infinity, -5, 0.1, 2 ** 70).map(open),
    fc.string().map(knock),
    fc.string().map((text): JoinWindowInput => ({ type: 'confirmed', node: text as NodeId })),
  ),
  effectsPerStepMax: 4,
});
