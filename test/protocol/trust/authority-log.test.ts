import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { chainLengthMax } from '../../../src/protocol/trust/authority-chains.ts';
import {
  createAuthorityLog,
  entriesPerSendMax,
} from '../../../src/protocol/trust/authority-log.ts';
import type {
  AuthorityLog,
  AuthorityLogEffect,
  AuthorityLogInput,
} from '../../../src/protocol/trust/authority-log.ts';
import type {
  AuthorityEntry,
  AuthorityHead,
  AuthorityStatement,
} from '../../../src/protocol/trust/messages.ts';
import { describeLaws } from '../../laws/laws.ts';
import { entryOf, genesisOf, keyOf, subject } from './signed-world.ts';

const [ann, bob, cat] = [keyOf('ann'), keyOf('bob'), keyOf('cat')];
const peer = 'peer' as NodeId;
const genesis = genesisOf(ann);

function log(given = genesis): AuthorityLog {
  return createAuthorityLog({ genesis: given });
}

/** Lets an author say something on this node's log. */
function say(on: AuthorityLog, author: string, statement: AuthorityStatement): AuthorityEntry {
  const entry = entryOf(author, on.next(author), statement);
  on.step(0, { type: 'authored', entry });
  return entry;
}

/** Brings all entries of one log to another. */
function tell(from: AuthorityLog, to: AuthorityLog): readonly AuthorityLogEffect[] {
  return to.step(0, { type: 'received', from: peer, entries: from.view().entries });
}

const epoch = (number: number, commitment = `c${number}`): AuthorityStatement => ({
  kind: 'epoch',
  number,
  commitment,
});

describe('what the log says', () => {
  test('the roots are admins, and admins make admins', () => {
    const one = log();
    say(one, ann, { kind: 'add-admin', ...subject('bob') });
    say(one, bob, { kind: 'add-admin', ...subject('cat') });
    expect(one.view().admins).toEqual([ann, bob, cat]);
  });

  test('what someone says who is no admin is not even kept', () => {
    const one = log();
    const entry = entryOf(cat, one.next(cat), { kind: 'add-admin', ...subject('cat') });
    expect(one.step(0, { type: 'received', from: peer, entries: [entry] })).toEqual([]);
    expect(one.view().entries).toEqual([]);
  });

  test('epochs, policy, window, approvals and gateways are the last word on each', () => {
    const one = log();
    say(one, ann, epoch(1));
    say(one, ann, epoch(2));
    say(one, ann, { kind: 'policy', autoApprove: true, epochLagMax: 7 });
    say(one, ann, { kind: 'approve', ...subject('dan') });
    say(one, ann, { kind: 'gateway', ...subject('eve'), isGranted: true });
    say(one, ann, { kind: 'gateway', ...subject('dan'), isGranted: true });
    say(one, ann, { kind: 'gateway', ...subject('dan'), isGranted: false });
    const window = say(one, ann, { kind: 'window', openForMs: 5 });
    expect(one.view()).toMatchObject({
      epoch: { number: 2, author: ann, commitment: 'c2' },
      policy: { autoApprove: true, epochLagMax: 7 },
      window: { entry: window.hash, openForMs: 5 },
    });
    expect([...one.view().approved]).toEqual([keyOf('dan')]);
    expect([...one.view().gateways]).toEqual([keyOf('eve')]);
  });

  test('a revoked device loses every right and never gets it back', () => {
    const one = log();
    say(one, ann, { kind: 'approve', ...subject('dan') });
    say(one, ann, { kind: 'add-admin', ...subject('dan') });
    say(one, ann, { kind: 'gateway', ...subject('dan'), isGranted: true });
    say(one, ann, { kind: 'revoke', ...subject('dan'), chainLength: 0 });
    say(one, ann, { kind: 'add-admin', ...subject('dan') });
    say(one, ann, { kind: 'approve', ...subject('dan') });
    const { admins, approved, gateways, revoked } = one.view();
    expect([admins, [...approved], [...gateways]]).toEqual([[ann], [], []]);
    expect(revoked.get(keyOf('dan'))).toBe('node-dan');
  });

  test('of two admins the one who wrote later, having seen the other, has the last word', () => {
    for (const order of [
      [ann, bob],
      [bob, ann],
    ]) {
      const one = log();
      say(one, ann, { kind: 'add-admin', ...subject('bob') });
      for (const [at, author] of order.entries()) {
        say(one, author, { kind: 'policy', autoApprove: false, epochLagMax: at });
      }
      expect(one.view().policy.epochLagMax).toBe(1);
    }
  });

  test('two admins who write while apart agree after they meet', () => {
    const left = log();
    say(left, ann, { kind: 'add-admin', ...subject('bob') });
    const right = log();
    tell(left, right);
    say(left, ann, epoch(2, 'left'));
    say(left, ann, { kind: 'revoke', ...subject('dan'), chainLength: 0 });
    say(right, bob, epoch(2, 'right'));
    say(right, bob, { kind: 'revoke', ...subject('eve'), chainLength: 0 });
    tell(left, right);
    tell(right, left);
    expect(left.view()).toEqual({
      ...right.view(),
      entries: expect.anything(),
      heads: expect.anything(),
    });
    expect(left.view().headsDigest).toBe(right.view().headsDigest);
    expect([...left.view().revoked.keys()].toSorted()).toEqual(
      [keyOf('dan'), keyOf('eve')].toSorted(),
    );
    expect(left.view().epochs).toHaveLength(2);
  });
});

describe('admins that turn', () => {
  /** Ann, bob and cat are admins and everybody knows it. */
  function trio(): AuthorityLog[] {
    const one = log();
    say(one, ann, { kind: 'add-admin', ...subject('bob') });
    say(one, ann, { kind: 'add-admin', ...subject('cat') });
    return [one, log(), log()].map((each, at) => {
      if (at > 0) tell(one, each);
      return each;
    });
  }

  const seen = (on: AuthorityLog, author: string): number => on.next(author).seq - 1;

  test('what a revoked admin says after its revocation is void', () => {
    const [one] = trio() as [AuthorityLog];
    say(one, bob, epoch(1));
    say(one, ann, { kind: 'revoke', ...subject('bob'), chainLength: seen(one, bob) });
    say(one, bob, { kind: 'add-admin', ...subject('eve') });
    say(one, bob, epoch(9));
    expect(one.view().admins).toEqual([ann, cat]);
    expect(one.view().epoch?.number).toBe(1);
  });

  test('a thief cannot write himself into the time before the revocation', () => {
    const [one] = trio() as [AuthorityLog];
    say(one, bob, epoch(1));
    const stolen = one.next(bob);
    say(one, ann, epoch(2));
    say(one, ann, { kind: 'revoke', ...subject('bob'), chainLength: seen(one, bob) });
    // The next entry of bob's chain, with a Lamport time from before ann's.
    const back = entryOf(
      bob,
      { ...stolen, lamport: stolen.lamport },
      {
        kind: 'add-admin',
        ...subject('eve'),
      },
    );
    one.step(0, { type: 'received', from: peer, entries: [back] });
    expect(one.view().admins).toEqual([ann, cat]);
  });

  test('a revoked admin cannot revoke a third one any more, even with the past as an excuse', () => {
    const [one] = trio() as [AuthorityLog];
    const stolen = one.next(bob);
    say(one, ann, { kind: 'revoke', ...subject('bob'), chainLength: 0 });
    // He fights ann, who threw him out, and takes the chance to strike cat.
    const first = entryOf(bob, stolen, { kind: 'revoke', ...subject('cat'), chainLength: 0 });
    const second = entryOf(
      bob,
      { seq: 2, prev: first.hash, lamport: stolen.lamport + 1 },
      { kind: 'revoke', ...subject('ann'), chainLength: 2 },
    );
    one.step(0, { type: 'received', from: peer, entries: [first, second] });
    expect(one.view().admins).toEqual([cat]);
    expect([...one.view().revoked.keys()].toSorted()).toEqual([ann, bob].toSorted());
  });

  test('whoever revokes an admin after having seen its own revocation is void', () => {
    const [one] = trio() as [AuthorityLog];
    say(one, ann, { kind: 'revoke', ...subject('bob'), chainLength: 0 });
    say(one, bob, { kind: 'revoke', ...subject('ann'), chainLength: seen(one, ann) });
    expect(one.view().admins).toEqual([ann, cat]);
  });

  test('two admins that revoke each other while apart both fall, on every node', () => {
    const [left, right, third] = trio() as [AuthorityLog, AuthorityLog, AuthorityLog];
    say(left, ann, { kind: 'revoke', ...subject('bob'), chainLength: 0 });
    say(right, bob, { kind: 'revoke', ...subject('ann'), chainLength: 2 });
    tell(left, third);
    tell(right, third);
    tell(left, right);
    tell(right, left);
    for (const each of [left, right, third]) expect(each.view().admins).toEqual([cat]);
  });

  test('a removed admin is retired, not revoked', () => {
    const [one] = trio() as [AuthorityLog];
    say(one, ann, { kind: 'remove-admin', ...subject('bob'), chainLength: 0 });
    expect(one.view()).toMatchObject({ admins: [ann, cat], retired: [bob], revoked: new Map() });
  });

  test('two entries of one number freeze their author on every node, and both are kept as proof', () => {
    const [left, right] = trio() as [AuthorityLog, AuthorityLog];
    say(left, bob, epoch(1));
    tell(left, right);
    const link = left.next(bob);
    const mild = entryOf(bob, link, { kind: 'approve', ...subject('dan') });
    const sharp = entryOf(bob, link, { kind: 'add-admin', ...subject('eve') });
    left.step(0, { type: 'received', from: peer, entries: [mild] });
    say(left, bob, epoch(5));
    right.step(0, { type: 'received', from: peer, entries: [sharp] });
    const effects = left.step(0, { type: 'received', from: peer, entries: [sharp] });
    expect(effects).toContainEqual({ type: 'alert', code: 'equivocation', author: bob });
    expect(effects[0]).toMatchObject({ type: 'persist', entries: [sharp] });
    tell(left, right);
    for (const each of [left, right]) {
      expect(each.view()).toMatchObject({
        admins: [ann, cat],
        frozen: [bob],
        epoch: { number: 1 },
      });
      expect(each.view().entries).toEqual(expect.arrayContaining([mild, sharp]));
    }
    expect(left.view().headsDigest).toBe(right.view().headsDigest);
  });

  test('a restart forgets neither state nor proof', () => {
    const [one, again] = trio() as [AuthorityLog, AuthorityLog];
    const link = one.next(bob);
    const entries = [epoch(3), epoch(4)].map((said) => entryOf(bob, link, said));
    one.step(0, { type: 'received', from: peer, entries });
    const restored = log();
    const effects = restored.step(0, { type: 'restored', entries: one.view().entries });
    expect(effects.at(-1)).toMatchObject({ type: 'announce', fresh: [] });
    expect(restored.view().frozen).toEqual([bob]);
    expect(again.view().frozen).toEqual([]);
  });
});

describe('spreading', () => {
  /** Carries pulls and sends between two logs until both are silent; gives the number of messages. */
  function sync(left: AuthorityLog, right: AuthorityLog): number {
    type Mail = { to: AuthorityLog; input: AuthorityLogInput };
    const queue: Mail[] = [
      { to: left, input: { type: 'headsHeard', from: peer, heads: right.view().heads } },
      { to: right, input: { type: 'headsHeard', from: peer, heads: left.view().heads } },
    ];
    let count = 0;
    for (let mail = queue.shift(); mail !== undefined; mail = queue.shift()) {
      const { to, input } = mail;
      const other = to === left ? right : left;
      count += 1;
      for (const effect of to.step(0, input)) {
        if (effect.type === 'pull') {
          const { author, fromSeq } = effect;
          queue.push({ to: other, input: { type: 'asked', from: peer, author, fromSeq } });
        } else if (effect.type === 'send') {
          queue.push({
            to: other,
            input: { type: 'received', from: peer, entries: effect.entries },
          });
        }
      }
      if (count > 2000) throw new Error('they never stop talking');
    }
    return count;
  }

  test('a node that missed hundreds of entries by several authors pulls them all from one peer', () => {
    const [left, right] = [log(), log()];
    say(left, ann, { kind: 'add-admin', ...subject('bob') });
    for (let count = 0; count < 3 * entriesPerSendMax; count += 1) say(left, bob, epoch(count));
    say(left, bob, { kind: 'add-admin', ...subject('cat') });
    for (let count = 0; count < 10; count += 1) say(left, cat, epoch(count));
    sync(left, right);
    expect(right.view().headsDigest).toBe(left.view().headsDigest);
    expect(right.view().admins).toEqual([ann, bob, cat]);
  });

  test('a fork deep in the past is found by pulling back, from either side', () => {
    const base = log();
    for (let count = 0; count < 20; count += 1) say(base, ann, epoch(count));
    const [left, right] = [log(), log()];
    tell(base, left);
    tell(base, right);
    for (let count = 0; count < 100; count += 1) {
      say(left, ann, epoch(count, 'left'));
      say(right, ann, epoch(count, 'right'));
    }
    for (let round = 0; round < 4; round += 1) sync(left, right);
    for (const each of [left, right]) {
      expect(each.view().frozen).toEqual([ann]);
      expect(each.view().heads[0]).toMatchObject({ seq: 20, isFrozen: true });
    }
    expect(sync(left, right)).toBe(2);
  });

  test('an entry that does not follow its author’s last one is not taken, and its past is asked for', () => {
    const one = log();
    say(one, ann, epoch(1));
    const link = { ...one.next(ann), prev: keyOf('elsewhere') };
    const entries = [entryOf(ann, link, epoch(2))];
    const effects = one.step(0, { type: 'received', from: peer, entries });
    expect(effects).toEqual([{ type: 'pull', from: peer, author: ann, fromSeq: 1 }]);
    expect(one.view().epoch?.number).toBe(1);
  });

  test('a first entry of another mesh is not taken', () => {
    const entry = entryOf(ann, { ...log().next(ann), prev: keyOf('other genesis') }, epoch(1));
    const effects = log().step(0, { type: 'received', from: peer, entries: [entry] });
    expect(effects).toEqual([{ type: 'alert', code: 'bad', author: ann }]);
  });

  test('a chain ends at its limit, for everyone alike, with an alert', () => {
    const one = log();
    const codes: string[] = [];
    for (let count = 0; count < chainLengthMax + 2; count += 1) {
      const entry = entryOf(ann, one.next(ann), epoch(count));
      const effects = one.step(0, { type: 'received', from: peer, entries: [entry] });
      codes.push(...effects.flatMap((effect) => (effect.type === 'alert' ? [effect.code] : [])));
    }
    expect(one.view().heads[0]?.seq).toBe(chainLengthMax);
    expect(codes).toEqual(['full']);
  });

  test('two entries that this node signed for the same place do not make it an equivocator', () => {
    const one = log();
    const link = one.next(ann);
    const [first, second] = [1, 2].map((number) => entryOf(ann, link, epoch(number)));
    one.step(0, { type: 'authored', entry: first as AuthorityEntry });
    const effects = one.step(0, { type: 'authored', entry: second as AuthorityEntry });
    expect(effects).toEqual([{ type: 'alert', code: 'stale', author: ann }]);
    expect(one.view()).toMatchObject({ admins: [ann], frozen: [], epoch: { number: 1 } });
  });

  test('what is announced is on disk first', () => {
    const one = log();
    const entry = entryOf(ann, one.next(ann), epoch(1));
    const types = one.step(0, { type: 'authored', entry }).map(({ type }) => type);
    expect(types).toEqual(['persist', 'announce', 'send']);
  });
});

/** A history of three admins that write, revoke, retire and equivocate, each seeing what it happens to have seen. */
const history = fc
  .array(
    fc.record({
      author: fc.integer({ min: 0, max: 2 }),
      place: fc.integer({ min: 0, max: 2 }),
      kind: fc.integer({ min: 0, max: 6 }),
      target: fc.integer({ min: 0, max: 3 }),
      hears: fc.boolean(),
    }),
    { maxLength: 25 },
  )
  .map((moves) => {
    const names = ['ann', 'bob', 'cat', 'dan'];
    const places = [log(), log(), log()];
    const first = say(places[0] ?? log(), ann, { kind: 'add-admin', ...subject('bob') });
    for (const place of places) place.step(0, { type: 'received', from: peer, entries: [first] });
    const entries = [first];
    for (const { author, place, kind, target, hears } of moves) {
      const here = places[place] ?? log();
      if (hears) here.step(0, { type: 'received', from: peer, entries });
      const key = keyOf(names[author] ?? 'ann');
      const whom = subject(names[target] ?? 'dan');
      const chainLength = here.next(whom.key).seq - 1;
      const said: AuthorityStatement[] = [
        epoch(entries.length),
        { kind: 'add-admin', ...whom },
        { kind: 'revoke', ...whom, chainLength },
        { kind: 'remove-admin', ...whom, chainLength },
        { kind: 'approve', ...whom },
        { kind: 'window', openForMs: entries.length },
        { kind: 'gateway', ...whom, isGranted: target % 2 === 0 },
      ];
      const statement = said[kind] ?? epoch(0);
      entries.push(say(here, key, statement));
    }
    return entries;
  });

test('any order, repetition and grouping of deliveries gives the same state', () => {
  fc.assert(
    fc.property(
      history.chain((entries) =>
        fc.tuple(
          fc.constant(entries),
          fc.shuffledSubarray([...entries, ...entries], { minLength: entries.length * 2 }),
          fc.integer({ min: 1, max: 7 }),
        ),
      ),
      ([entries, shuffled, groupSize]) => {
        const [left, right] = [log(), log()];
        const deliver = (
          to: AuthorityLog,
          order: readonly AuthorityEntry[],
          size: number,
        ): void => {
          // What does not fit yet comes again later, as pulls would bring it.
          for (let round = 0; round <= entries.length; round += 1) {
            const before = to.view().headsDigest;
            for (let at = 0; at < order.length; at += size) {
              const group = order.slice(at, at + size);
              to.step(0, { type: 'received', from: peer, entries: group });
            }
            if (before === to.view().headsDigest) break;
          }
        };
        deliver(left, entries, entries.length);
        deliver(right, shuffled, groupSize);
        const { entries: _one, heads: _headsOne, ...stateLeft } = left.view();
        const { entries: _two, heads: _headsTwo, ...stateRight } = right.view();
        expect(stateRight).toEqual(stateLeft);
        const byAuthor = (heads: readonly AuthorityHead[]): AuthorityHead[] =>
          heads.toSorted((one, two) => (one.author < two.author ? -1 : 1));
        expect(byAuthor(right.view().heads)).toEqual(byAuthor(left.view().heads));
      },
    ),
    { numRuns: 400 },
  );
});

const anyEntry = history.map((entries) => entries.slice(0, 6));
const odd = fc.constantFrom(NaN, Infinity, -1, 0, 0.5, 2 ** 60);
const hostileEntries = fc
  .tuple(anyEntry, odd, odd, fc.string())
  .map(([entries, seq, lamport, prev]) =>
    entries.map(
      (entry, at) =>
        [entry, { ...entry, seq }, { ...entry, lamport }, { ...entry, prev }][at % 4] ?? entry,
    ),
  );

describeLaws<AuthorityLogInput, AuthorityLogEffect, unknown>('the authority log', {
  create: () => log(),
  inputs: fc.oneof(
    anyEntry.map((entries): AuthorityLogInput => ({ type: 'received', from: peer, entries })),
    anyEntry.map((entries): AuthorityLogInput => ({ type: 'restored', entries })),
    history.map((entries): AuthorityLogInput => ({
      type: 'authored',
      entry: entries.at(-1) ?? entryOf(ann, { seq: 1, prev: '', lamport: 1 }, epoch(1)),
    })),
    fc
      .record({ seq: fc.integer({ min: 0, max: 9 }), isFrozen: fc.boolean() })
      .map(({ seq, isFrozen }): AuthorityLogInput => ({
        type: 'headsHeard',
        from: peer,
        heads: [ann, bob, cat].map((author) => ({
          author,
          seq,
          hash: keyOf(String(seq)),
          isFrozen,
        })),
      })),
    fc
      .integer({ min: 0, max: 9 })
      .map((fromSeq): AuthorityLogInput => ({ type: 'asked', from: peer, author: ann, fromSeq })),
  ),
  hostile: fc.oneof(
    hostileEntries.map((entries): AuthorityLogInput => ({ type: 'received', from: peer, entries })),
    hostileEntries.map((entries): AuthorityLogInput => ({ type: 'restored', entries })),
    odd.map((seq): AuthorityLogInput => ({
      type: 'headsHeard',
      from: peer,
      heads: Array.from({ length: 500 }, (_, at) => ({
        author: at % 2 === 0 ? ann : keyOf(String(at)),
        seq,
        hash: '',
        isFrozen: true,
      })),
    })),
    odd.map((fromSeq): AuthorityLogInput => ({ type: 'asked', from: peer, author: ann, fromSeq })),
  ),
  effectsPerStepMax: 140,
  runs: 60,
  inputsMax: 20,
});
