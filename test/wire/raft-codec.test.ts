import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Configuration, Entry, RaftMessage } from '../../src/protocol/consensus/messages.ts';
import {
  decodeRaftLetter,
  decodeSnapshot,
  encodeRaftLetter,
  encodeSnapshot,
  entryOfRecord,
  recordOfEntry,
} from '../../src/wire/raft-codec.ts';
import { simNodeId } from '../sim/routing-mesh.ts';

const config: Configuration = {
  voters: [1, 3],
  outgoing: [1],
  learners: [4],
  members: [1, 3, 4].map((seat) => ({ seat, node: simNodeId(seat) })),
  lastSeat: 9,
};
const entries: Entry[] = [
  { index: 8, term: 3, type: 'noop' },
  { index: 9, term: 3, type: 'command', data: new Uint8Array([1, 2]) },
  { index: 10, term: 2 ** 40, type: 'config', config },
];
const messages: RaftMessage[] = [
  { type: 'preVote', term: 4, lastIndex: 10, lastTerm: 3, isTransfer: false },
  { type: 'vote', term: 4, lastIndex: 10, lastTerm: 3, isTransfer: true },
  { type: 'preVoteReply', term: 4, isGranted: true },
  { type: 'voteReply', term: 4, isGranted: false },
  { type: 'append', term: 4, prevIndex: 7, prevTerm: 2, commit: 6, entries },
  { type: 'appendReply', term: 4, match: 10 },
  { type: 'appendRefused', term: 4, prevIndex: 7, hintIndex: 5, hintTerm: 1 },
  { type: 'heartbeat', term: 4, commit: 6, round: 2 },
  { type: 'heartbeatReply', term: 4, round: 2 },
  {
    type: 'snapshot',
    term: 4,
    index: 9,
    indexTerm: 3,
    config,
    offset: 2,
    size: 5,
    data: new Uint8Array([7]),
  },
  { type: 'snapshotReply', term: 4, index: 9, offset: 3 },
  { type: 'timeoutNow', term: 4 },
];
const group = '0123456789abcdef0123456789abcdef';

test('every message arrives as it was sent', () => {
  for (const message of messages) {
    const letter = { group, from: 1, to: 2, message };
    expect(decodeRaftLetter(encodeRaftLetter(letter))).toEqual(letter);
  }
});

test('cut, changed and foreign bytes are nothing, and never throw', () => {
  for (const message of messages) {
    const bytes = encodeRaftLetter({ group, from: 1, to: 2, message });
    for (let length = 0; length < bytes.length; length += 1) {
      expect(decodeRaftLetter(bytes.subarray(0, length))).toBeUndefined();
    }
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] as number) ^ 0x40;
      decodeRaftLetter(changed);
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(decodeRaftLetter(bytes)).toBeUndefined();
    }),
  );
});

test('entries and snapshots are kept as they are', () => {
  for (const entry of entries) expect(entryOfRecord(recordOfEntry(entry))).toEqual(entry);
  const snapshot = { index: 9, term: 3, config, data: new Uint8Array(300_000).fill(1) };
  expect(decodeSnapshot(encodeSnapshot(snapshot))).toEqual(snapshot);
  expect(decodeSnapshot(new Uint8Array([0x81, 2]))).toBe('newer');
  expect(decodeSnapshot(new Uint8Array([0x81]))).toBeUndefined();
  expect(entryOfRecord({ index: 1, term: 1, type: 77, payload: new Uint8Array() })).toBeUndefined();
});
