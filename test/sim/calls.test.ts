import { expect, test } from 'vitest';
import { createRandom } from '../../src/kernel/random.ts';
import { CallsWorld } from './calls-world.ts';

/** `SIM_SEEDS=n` tries n times as many. */
const seedsFrom = (count: number): number[] =>
  Array.from({ length: count * Number(process.env['SIM_SEEDS'] ?? 1) }, (_, at) => at + 1);

const deadlineMs = 60_000;

test('every call is answered while its deadline lasts, and carried out once a key, on a network that loses, doubles, delays and parts', () => {
  for (const seed of seedsFrom(6)) {
    const random = createRandom(seed);
    const world = new CallsWorld(4, seed, {
      loss: random.unit() * 0.3,
      duplication: random.unit() * 0.3,
      delayMsMax: 5 + random.below(400),
      handlerMsMax: random.below(3_000),
      parted: [[2_000, 2_000 + random.below(15_000)]],
    });
    const wanted = new Map<number, { bytes: number; isStream: boolean }>();
    for (let at = 0; at < 150; at += 1) {
      const from = random.below(4);
      const bytes = [0, 64, 40_000, 400_000][random.below(at % 20 === 0 ? 4 : 2)] ?? 0;
      const isStream = at % 25 === 3;
      const key = !isStream && random.unit() < 0.3 ? `key ${random.below(20)}` : undefined;
      // Whoever repeats a key repeats the request.
      const size = key === undefined ? bytes : 64;
      const how = { deadlineMs, bytes: size, isStream, ...(key === undefined ? {} : { key }) };
      wanted.set(world.call(random.below(5_000), from, random.below(4), how), {
        bytes: size,
        isStream,
      });
    }
    world.run(120_000);
    for (const [call, { bytes, isStream }] of wanted) {
      const outcome = world.outcomes.get(call);
      const found = { how: outcome?.how, bytes: outcome?.bytes, items: outcome?.items };
      const right = isStream
        ? { how: 'end', bytes: 0, items: 30 }
        : { how: 'answer', bytes, items: 0 };
      expect(found, `seed ${seed}, call ${call}`).toEqual(right);
    }
    const twice = [...world.performed].filter(([, count]) => count > 1);
    expect(twice, `seed ${seed}`).toEqual([]);
  }
});

test('a member that restarts carries nothing out twice: the call is answered, or known to be lost', () => {
  let lost = 0;
  for (const seed of seedsFrom(20)) {
    const random = createRandom(seed);
    // A parcel comes at most once (ports/mesh.ts): a copy that came in two lives of a node would be two parcels.
    const world = new CallsWorld(2, seed, {
      loss: 0.2,
      duplication: 0,
      delayMsMax: 50,
      handlerMsMax: 400,
      parted: [],
    });
    const calls = Array.from({ length: 40 }, (_, at) =>
      world.call(random.below(4_000), 0, 1, { key: `key ${at}`, deadlineMs, bytes: 10 }),
    );
    world.restart(2_000, 1);
    world.run(120_000);
    const twice = [...world.performed].filter(([, count]) => count > 1);
    expect(twice, `seed ${seed}`).toEqual([]);
    for (const call of calls) {
      const how = world.outcomes.get(call)?.how;
      expect(['answer', 'lost'], `seed ${seed}, call ${call}`).toContain(how);
      if (how === 'lost') lost += 1;
    }
  }
  expect(lost).toBeGreaterThan(0);
});

test('a healthy network carries two messages a call, and one round to learn the peer', () => {
  const world = new CallsWorld(2, 1, {
    loss: 0,
    duplication: 0,
    delayMsMax: 0,
    handlerMsMax: 0,
    parted: [],
  });
  for (let at = 0; at < 100; at += 1) world.call(at * 10, 0, 1, { deadlineMs, bytes: 64 });
  world.run(10_000);
  expect(world.outcomes.size).toBe(100);
  // 64 answers are confirmed in requests of their own course: none costs a message.
  expect(world.messageCount).toBe(202);
});
