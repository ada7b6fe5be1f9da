import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  attemptEveryMs,
  createInviteLedger,
  finishedInvitesMax,
  inviteFailuresMax,
  openInvitesMax,
} from '../../../src/protocol/trust/invite-ledger.ts';
import type {
  InviteLedgerEffect,
  InviteLedgerInput,
  InviteLedgerView,
} from '../../../src/protocol/trust/invite-ledger.ts';
import { describeLaws } from '../../laws/laws.ts';

const mint = (inviteId: string, uses = 1, ttlMs = 1000): InviteLedgerInput => ({
  type: 'minted',
  inviteId,
  uses,
  ttlMs,
});
const attempt = (inviteId: string, address = 'a'): InviteLedgerInput => ({
  type: 'attempted',
  inviteId,
  address,
});
const prove = (inviteId: string, key = 'k'): InviteLedgerInput => ({
  type: 'proved',
  inviteId,
  key,
});

test('a minted invite admits, and its use is on disk before the grant', () => {
  const ledger = createInviteLedger();
  ledger.step(0, mint('i'));
  expect(ledger.step(0, attempt('i'))).toEqual([{ type: 'admit', inviteId: 'i' }]);
  expect(ledger.step(1, prove('i'))).toEqual([
    { type: 'persist', uses: [{ inviteId: 'i', key: 'k' }] },
    { type: 'grant', inviteId: 'i', key: 'k' },
  ]);
  expect(ledger.view().open).toEqual([]);
});

test('a single-use invite whose grant was lost lets the same device in again until its time is over', () => {
  const ledger = createInviteLedger();
  ledger.step(0, mint('i', 1, 10_000));
  ledger.step(0, prove('i', 'ann'));
  expect(ledger.step(2000, attempt('i'))).toEqual([{ type: 'admit', inviteId: 'i' }]);
  expect(ledger.step(2000, prove('i', 'ann'))).toEqual([
    { type: 'grant', inviteId: 'i', key: 'ann' },
  ]);
  const end = [
    { type: 'forget', inviteId: 'i', reason: 'MYCEL_INVITE_USED' },
    { type: 'refuse', inviteId: 'i', code: 'MYCEL_INVITE_USED' },
  ];
  expect(ledger.step(10_000, prove('i', 'ann'))).toEqual(end);
});

test('a spent invite makes room for a new one', () => {
  const ledger = createInviteLedger();
  for (let at = 0; at < openInvitesMax; at += 1) ledger.step(0, mint(`i${at}`));
  ledger.step(0, prove('i7'));
  expect(ledger.step(0, mint('more'))).toEqual([
    { type: 'forget', inviteId: 'i7', reason: 'MYCEL_INVITE_USED' },
  ]);
});

test('a used invite is used, but the device that used it may fetch a lost grant again', () => {
  const ledger = createInviteLedger();
  ledger.step(0, mint('i', 2));
  ledger.step(0, prove('i', 'ann'));
  expect(ledger.step(1, prove('i', 'ann'))).toEqual([{ type: 'grant', inviteId: 'i', key: 'ann' }]);
  expect(ledger.step(1, prove('i', 'bob')).at(1)).toMatchObject({ type: 'grant', key: 'bob' });
  expect(ledger.step(1, prove('i', 'eve'))).toEqual([
    { type: 'refuse', inviteId: 'i', code: 'MYCEL_INVITE_USED' },
  ]);
});

test('two newcomers who prove the same single-use invite at once: one is let in', () => {
  const ledger = createInviteLedger();
  ledger.step(0, mint('i'));
  ledger.step(0, attempt('i', 'a'));
  ledger.step(0, attempt('i', 'b'));
  const grants = [prove('i', 'ann'), prove('i', 'bob')].flatMap((input) => ledger.step(0, input));
  expect(grants.filter(({ type }) => type === 'grant')).toHaveLength(1);
});

test('an invite ends exactly when its time of uptime is over', () => {
  const ledger = createInviteLedger();
  ledger.step(0, mint('i', 1, 1000));
  expect(ledger.deadline()).toBe(1000);
  expect(ledger.step(999, attempt('i'))).toEqual([{ type: 'admit', inviteId: 'i' }]);
  expect(ledger.step(1000, prove('i'))).toEqual([
    { type: 'forget', inviteId: 'i', reason: 'MYCEL_INVITE_EXPIRED' },
    { type: 'refuse', inviteId: 'i', code: 'MYCEL_INVITE_EXPIRED' },
  ]);
});

test('five wrong secrets void an invite, also for its rightful holder', () => {
  const ledger = createInviteLedger();
  ledger.step(0, mint('i'));
  for (let count = 1; count < inviteFailuresMax; count += 1) {
    expect(ledger.step(0, { type: 'failed', inviteId: 'i' })).toEqual([]);
  }
  expect(ledger.step(0, { type: 'failed', inviteId: 'i' })).toEqual([
    { type: 'forget', inviteId: 'i', reason: 'MYCEL_INVITE_VOID' },
  ]);
  expect(ledger.step(0, prove('i'))).toEqual([
    { type: 'refuse', inviteId: 'i', code: 'MYCEL_INVITE_VOID' },
  ]);
});

test('one address has one attempt a second, whichever invite it names', () => {
  const ledger = createInviteLedger();
  ledger.step(0, mint('i'));
  expect(ledger.step(0, attempt('x'))[0]).toMatchObject({ code: 'MYCEL_INVITE_UNKNOWN' });
  expect(ledger.step(attemptEveryMs - 1, attempt('i'))[0]).toMatchObject({
    code: 'MYCEL_TOO_MANY_ATTEMPTS',
  });
  expect(ledger.step(attemptEveryMs - 1, attempt('i', 'b'))[0]).toMatchObject({ type: 'admit' });
});

test('a restart voids open invites and still knows the used ones', () => {
  const before = createInviteLedger();
  before.step(0, mint('used'));
  before.step(0, mint('open'));
  before.step(0, prove('used', 'ann'));
  const after = createInviteLedger();
  after.step(0, { type: 'restored', uses: before.view().uses });
  expect(after.step(0, attempt('open', 'a'))[0]).toMatchObject({ code: 'MYCEL_INVITE_UNKNOWN' });
  expect(after.step(0, attempt('used', 'b'))[0]).toMatchObject({ code: 'MYCEL_INVITE_USED' });
});

test('a withdrawn invite is void', () => {
  const ledger = createInviteLedger();
  ledger.step(0, mint('i'));
  ledger.step(0, { type: 'withdrawn', inviteId: 'i' });
  expect(ledger.step(0, attempt('i'))[0]).toMatchObject({ code: 'MYCEL_INVITE_VOID' });
});

test('minting beyond the limit is refused and harms no open invite', () => {
  const ledger = createInviteLedger();
  for (let at = 0; at < openInvitesMax; at += 1) ledger.step(0, mint(`i${at}`));
  expect(ledger.step(0, mint('more'))).toEqual([
    { type: 'refuse', inviteId: 'more', code: 'MYCEL_TOO_MANY_INVITES' },
  ]);
  expect(ledger.view().open).toHaveLength(openInvitesMax);
});

const ids = fc.constantFrom('i', 'j', 'k');
const oddNumbers = fc.constantFrom(NaN, Infinity, -Infinity, -1, 0, 0.5, 2 ** 60);

describeLaws<InviteLedgerInput, InviteLedgerEffect, InviteLedgerView>('the invite ledger', {
  create: createInviteLedger,
  inputs: fc.oneof(
    fc
      .tuple(ids, fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 5000 }))
      .map(([id, uses, ttl]) => mint(id, uses, ttl)),
    fc.tuple(ids, ids).map(([id, address]) => attempt(id, address)),
    fc.tuple(ids, ids).map(([id, key]) => prove(id, key)),
    ids.map((inviteId): InviteLedgerInput => ({ type: 'failed', inviteId })),
    ids.map((inviteId): InviteLedgerInput => ({ type: 'withdrawn', inviteId })),
    fc.constant<InviteLedgerInput>({ type: 'tick' }),
  ),
  hostile: fc.oneof(
    fc.tuple(fc.string(), oddNumbers, oddNumbers).map(([id, uses, ttl]) => mint(id, uses, ttl)),
    fc.tuple(fc.string(), fc.string()).map(([id, address]) => attempt(id, address)),
    fc.tuple(fc.string(), fc.string()).map(([id, key]) => prove(id, key)),
    fc.integer({ min: 0, max: 1000 }).map((count): InviteLedgerInput => ({
      type: 'restored',
      uses: Array.from({ length: count }, (_, at) => ({ inviteId: `r${at}`, key: 'k' })),
    })),
  ),
  effectsPerStepMax: openInvitesMax + 4,
});

test('what is remembered of finished invites stays within its limit', () => {
  const ledger = createInviteLedger();
  for (let at = 0; at < 2 * finishedInvitesMax; at += 1) {
    ledger.step(at, mint(`i${at}`));
    ledger.step(at, prove(`i${at}`));
  }
  expect(ledger.view().uses).toHaveLength(finishedInvitesMax);
});
