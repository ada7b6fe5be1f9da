/** A node remembers its mesh over a restart, writes little for it, and never believes another mesh's list. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createMemoryClock } from '../../src/adapters/memory/clock.ts';
import { createMemoryLog } from '../../src/adapters/memory/log.ts';
import { createMemoryStore } from '../../src/adapters/memory/store.ts';
import { parseMeshId } from '../../src/kernel/ids.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import { openMemberRecord } from '../../src/runtime/member-record.ts';
import type { MemberState } from '../../src/runtime/mesh-node.ts';
import { decodeMemberRecord, encodeMemberRecord } from '../../src/wire/member-record.ts';
import { simNodeId } from '../sim/routing-mesh.ts';

const mesh = parseMeshId('0123456789abcdef0123456789abcdef');
const other = parseMeshId('f'.repeat(32));
const [ann, bob, eve] = [1, 2, 3].map(simNodeId) as [NodeId, NodeId, NodeId];

function stage() {
  const clock = createMemoryClock();
  const store = createMemoryStore();
  let writes = 0;
  const counted = {
    ...store,
    write(name: string, bytes: Uint8Array) {
      writes += 1;
      return store.write(name, bytes);
    },
  };
  const world = {
    adapters: { clock },
    store: counted,
    log: createMemoryLog(),
    isKept: true,
  };
  return { clock, world, writes: () => writes };
}

describe('the record of members', () => {
  test('is written once for a burst of news, and found by the next life', async () => {
    const { clock, world, writes } = stage();
    const states = new Map<NodeId, MemberState>();
    const record = await openMemberRecord(world, mesh, states);
    expect(record.before).toEqual([]);
    for (const [node, state] of [
      [ann, 'alive'],
      [bob, 'alive'],
      [bob, 'dormant'],
      [eve, 'dead'],
    ] as const) {
      states.set(node, state);
      record.changed();
    }
    // A newcomer is in the record long before its first event can be lost.
    clock.advance(100);
    await Promise.resolve();
    expect(writes()).toBe(1);
    states.set(bob, 'alive');
    record.changed();
    clock.advance(5_000);
    expect(writes(), 'a member that restarts changes nothing').toBe(1);
    const next = await openMemberRecord(world, mesh, new Map());
    expect(next.before.toSorted()).toEqual([ann, bob].toSorted());
    expect((await openMemberRecord(world, other, new Map())).before).toEqual([]);
  });

  test('keeps whom this life has not seen yet, for as long as the outbox waits for them', async () => {
    const { clock, world } = stage();
    await world.store.write('members', encodeMemberRecord(mesh, [ann, bob]));
    const states = new Map<NodeId, MemberState>([[ann, 'alive']]);
    const record = await openMemberRecord(world, mesh, states);
    states.set(eve, 'alive');
    record.changed();
    clock.advance(5_000);
    const soon = await openMemberRecord(world, mesh, new Map());
    expect(soon.before.toSorted()).toEqual([ann, bob, eve].toSorted());
    clock.advance(300_000);
    record.changed();
    clock.advance(5_000);
    const late = await openMemberRecord(world, mesh, new Map());
    expect(late.before.toSorted()).toEqual([ann, eve].toSorted());
  });

  test('gathers departures for longer than newcomers, and a newcomer takes them along', async () => {
    const { clock, world, writes } = stage();
    await world.store.write('members', encodeMemberRecord(mesh, [ann, bob]));
    const states = new Map<NodeId, MemberState>([[ann, 'alive']]);
    const record = await openMemberRecord(world, mesh, states);
    states.set(bob, 'dead');
    record.changed();
    clock.advance(4_000);
    expect(writes()).toBe(1);
    states.set(eve, 'alive');
    record.changed();
    clock.advance(100);
    expect(writes()).toBe(2);
    clock.advance(10_000);
    expect(writes()).toBe(2);
    const next = await openMemberRecord(world, mesh, new Map());
    expect(next.before.toSorted()).toEqual([ann, eve].toSorted());
  });

  test('is written at once when the node stops', async () => {
    const { world, writes } = stage();
    const states = new Map<NodeId, MemberState>([[ann, 'alive']]);
    const record = await openMemberRecord(world, mesh, states);
    record.changed();
    await record.stop();
    await record.stop();
    expect(writes()).toBe(1);
    expect((await openMemberRecord(world, mesh, new Map())).before).toEqual([ann]);
  });

  test('garbage is nobody', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(decodeMemberRecord(bytes, mesh)).toEqual([]);
      }),
    );
  });
});
