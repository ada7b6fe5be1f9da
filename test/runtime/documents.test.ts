/** Documents over replicated state, with the real Yjs. */

import { describe, expect, test } from 'vitest';
import type * as Y from 'yjs';
import { loadYjs } from '../../src/adapters/yjs/yjs.ts';
import { documentBytesMax, documentEditsMax } from '../../src/runtime/state/document.ts';
import { simNodeId } from '../sim/routing-mesh.ts';
import { createTable } from './state-world.ts';
import type { Disk, Seat } from './state-world.ts';

const pair = async () => {
  const table = createTable();
  return { table, ann: await table.sit(1), bob: await table.sit(2) };
};

const open = (seat: Seat, key = 'notes') => seat.state.document<Y.Doc>(key);
const writesOf = (seat: Seat): unknown => seat.state.list('notes')[0]?.value;

describe('a text', () => {
  test('written on one node is read, changed and watched on another', async () => {
    const { table, ann, bob } = await pair();
    const mine = await ann.state.text('notes');
    await mine.insert(0, 'hello');
    await table.settle(200);
    const theirs = await bob.state.text('notes');
    const seen: string[] = [];
    theirs.watch((text) => seen.push(text));
    expect(theirs.toString()).toBe('hello');
    await mine.insert(5, ' world');
    await table.settle(200);
    await theirs.delete(0, 1);
    await theirs.insert(0, 'H');
    await table.settle(200);
    expect(mine.toString()).toBe('Hello world');
    expect(mine.length).toBe(11);
    expect(seen).toEqual(['hello world', 'ello world', 'Hello world']);
    expect(ann.state.fingerprint()).toBe(bob.state.fingerprint());
  });

  test('refuses places that it does not have, and what is too much, and stays as it was', async () => {
    const { ann } = await pair();
    const text = await ann.state.text('notes');
    await text.insert(0, 'abc');
    const invalid = { code: 'MYCEL_STATE_INVALID' };
    await expect(text.insert(4, 'x')).rejects.toMatchObject(invalid);
    await expect(text.insert(-1, 'x')).rejects.toMatchObject(invalid);
    await expect(text.delete(2, 2)).rejects.toMatchObject(invalid);
    await expect(text.delete(0.5, 1)).rejects.toMatchObject(invalid);
    await expect(text.insert(0, 'x'.repeat(documentBytesMax))).rejects.toMatchObject({
      code: 'MYCEL_TOO_LARGE',
    });
    expect(text.toString()).toBe('abc');
    await expect(ann.state.text('a\u0000b')).rejects.toMatchObject(invalid);
  });
});

describe('a document', () => {
  test('keeps edits of both sides of a split: maps, lists and texts', async () => {
    const { table, ann, bob } = await pair();
    const [mine, theirs] = [await open(ann), await open(bob)];
    mine.doc.getText('body').insert(0, 'milk, bread');
    mine.doc.getArray<string>('list').push(['one']);
    await mine.saved();
    await table.settle();
    table.mesh.cut(simNodeId(1), simNodeId(2));
    mine.doc.getText('body').insert(0, 'buy ');
    mine.doc.getArray<string>('list').push(['two']);
    mine.doc.getMap('facts').set('by', 'ann');
    theirs.doc.getText('body').insert(11, ', tea');
    theirs.doc.getArray<string>('list').delete(0, 1);
    theirs.doc.getMap('facts').set('at', 7);
    await Promise.all([mine.saved(), theirs.saved()]);
    await table.settle();
    expect(theirs.doc.getMap('facts').toJSON()).toEqual({ at: 7 });
    table.mesh.mend(simNodeId(1), simNodeId(2));
    await table.settle();
    for (const { doc } of [mine, theirs]) {
      expect(doc.getText('body').toJSON()).toBe('buy milk, bread, tea');
      expect(doc.getArray('list').toJSON()).toEqual(['two']);
      expect(doc.getMap('facts').toJSON()).toEqual({ by: 'ann', at: 7 });
    }
    expect(ann.state.fingerprint()).toBe(bob.state.fingerprint());
  });

  test('is there after a restart, whole and in parts', async () => {
    const table = createTable();
    const disk: Disk = new Map();
    const ann = await table.sit(1, { disk });
    const before = await open(ann);
    // Does not fit one entry, nor one record of the journal.
    const long = Array.from({ length: 20_000 }, (_, at) => (at * 7919).toString(36)).join(' ');
    before.doc.getText('body').insert(0, long);
    await before.saved();
    before.doc.getText('body').insert(0, 'the end: ');
    await before.saved();
    await ann.stop();
    const again = await table.sit(1, { disk });
    const after = await open(again);
    expect(after.doc.getText('body').toJSON()).toBe(`the end: ${long}`);
    const bob = await table.sit(2);
    await table.settle();
    expect((await open(bob)).doc.getText('body').toJSON()).toBe(`the end: ${long}`);
    expect(bob.state.fingerprint()).toBe(again.state.fingerprint());
  });

  test('does not grow with the number of its edits, whoever makes them', async () => {
    const { table, ann, bob } = await pair();
    const [mine, theirs] = [await open(ann), await open(bob)];
    for (let at = 0; at < 300; at += 1) {
      mine.doc.getMap('facts').set('at', at);
      theirs.doc.getText('body').insert(0, 'x');
      await Promise.all([mine.saved(), theirs.saved()]);
      if (at % 10 === 0) await table.settle(100);
    }
    await table.settle();
    expect(mine.doc.getText('body').toJSON()).toBe('x'.repeat(300));
    expect(theirs.doc.getMap('facts').get('at')).toBe(299);
    const { writes } = writesOf(ann) as { writes: number };
    expect(writes).toBeLessThanOrEqual(2 * documentEditsMax);
    expect(ann.state.fingerprint()).toBe(bob.state.fingerprint());
    expect(ann.room.status().contextIntervals).toBe(2);
  });

  test('that became too large is not kept further, says so, and is kept again when it fits', async () => {
    const { table, ann, bob } = await pair();
    const mine = await open(ann);
    const body = mine.doc.getText('body');
    body.insert(0, 'kept');
    await mine.saved();
    body.insert(4, '~'.repeat(documentBytesMax));
    await expect(mine.saved()).rejects.toMatchObject({ code: 'MYCEL_TOO_LARGE' });
    await table.settle();
    expect((await open(bob)).doc.getText('body').toJSON()).toBe('kept');
    body.delete(4, documentBytesMax);
    body.insert(4, ' again');
    await mine.saved();
    await table.settle();
    expect((await open(bob)).doc.getText('body').toJSON()).toBe('kept again');
  });

  test('deleted on one node is gone on all; whoever holds it hears so, and may begin a new one', async () => {
    const { table, ann, bob } = await pair();
    const [mine, theirs] = [await open(ann), await open(bob)];
    mine.doc.getText('body').insert(0, 'old');
    await mine.saved();
    await table.settle();
    await theirs.delete();
    await table.settle();
    expect(ann.state.list('notes')).toEqual([]);
    mine.doc.getText('body').insert(0, 'lost? ');
    await expect(mine.saved()).rejects.toMatchObject({ code: 'MYCEL_STATE_INVALID' });
    const fresh = await open(ann);
    expect(fresh.doc.getText('body').toJSON()).toBe('');
    fresh.doc.getText('body').insert(0, 'new');
    await fresh.saved();
    await table.settle();
    expect((await open(bob)).doc.getText('body').toJSON()).toBe('new');
  });

  test('edited at the same time as it is deleted is there again, and whole', async () => {
    const { table, ann, bob } = await pair();
    const [mine, theirs] = [await open(ann), await open(bob)];
    mine.doc.getText('body').insert(0, 'base');
    await mine.saved();
    await table.settle();
    table.mesh.cut(simNodeId(1), simNodeId(2));
    await theirs.delete();
    mine.doc.getText('body').insert(4, ' and edit');
    await mine.saved();
    await table.settle();
    table.mesh.mend(simNodeId(1), simNodeId(2));
    await table.settle();
    expect((await open(bob)).doc.getText('body').toJSON()).toBe('base and edit');
    expect(ann.state.fingerprint()).toBe(bob.state.fingerprint());
  });

  test('is one per key and node, until the last who holds it lets go', async () => {
    const { ann } = await pair();
    const [one, other] = [await open(ann), await open(ann)];
    expect(one.doc).toBe(other.doc);
    await one.close();
    other.doc.getText('body').insert(0, 'x');
    await other.saved();
    await other.close();
    expect((await open(ann)).doc).not.toBe(other.doc);
    for (let at = 0; at < 63; at += 1) await open(ann, `key ${at}`);
    await expect(open(ann, 'one too many')).rejects.toMatchObject({ code: 'MYCEL_STATE_INVALID' });
  });

  test('holds entries of others that it does not understand, and tells', async () => {
    const { table, ann, bob } = await pair();
    const garbage = new Uint8Array([1, 2, 3]);
    await bob.room.change('ynotes', () => ({ replaces: () => false, value: garbage }));
    await table.settle();
    const mine = await open(ann);
    for (let at = 0; at < 2 * documentEditsMax; at += 1) {
      mine.doc.getMap('facts').set('at', at);
      await mine.saved();
    }
    await table.settle();
    expect(bob.room.entries('ynotes').filter(({ value }) => value === garbage)).toHaveLength(1);
  });
});

test('without the package, the error says which line installs it', async () => {
  const table = createTable();
  const loadDocuments = () => loadYjs('yjs-is-not-here');
  const ann = await table.sit(1, { loadDocuments });
  await expect(ann.state.text('notes')).rejects.toMatchObject({
    code: 'MYCEL_NOT_INSTALLED',
    message: expect.stringContaining('npm install yjs@13') as string,
  });
});

test('a node that is not running says so', async () => {
  const { ann } = await pair();
  const held = await open(ann);
  await ann.stop();
  held.doc.getText('body').insert(0, 'x');
  await expect(open(ann)).rejects.toMatchObject({ code: 'MYCEL_NOT_RUNNING' });
});
