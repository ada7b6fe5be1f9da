/** Sender, relay and receiver are killed at random points under acknowledged events: none is lost, none comes twice. */

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createRandom } from '../../src/kernel/random.ts';
import { buildProgram } from './build-program.ts';
import type { Lab } from './lab.ts';
import { shareLab } from './share-lab.ts';
import { ackedBy, stageRoles, type Role } from './three-roles.ts';

/** Kills; `KILLS=200` for a long run, `KILL_SEED` to see one again. */
const kills = Number(process.env['KILLS'] ?? 10);
const seed = Number(process.env['KILL_SEED'] ?? Date.now() % 1_000_000);
/**
 * `KILL_RATE=5000 KILL_BYTES=1000`: so many events a second, every other one of so many bytes. Then what a killed member
 * misses is more than the memory of the outbox holds. With `KILL_BYTES=8000` it is more than its disk may hold, too:
 * `KILL_POLICY=hold` has the publisher wait then, instead of giving up what is oldest.
 */
const perSecond = process.env['KILL_RATE'] ?? '400';
const bytes = process.env['KILL_BYTES'] ?? '0';
const policy = process.env['KILL_POLICY'];
const inFlight = String(Math.ceil(Number(perSecond) / 20));

/**
 * A receiver that is killed may hear again in its next life what it had not acknowledged, and nothing older: at most the
 * window of the outbox (`windowMax`), which is full only while it catches up.
 */
const unacknowledgedMax = 1024;

let lab: Lab;
shareLab({ hosts: 3 }, async (fresh) => {
  lab = fresh;
});

interface Heard {
  readonly life: string;
  readonly number: number;
}

function heardIn(file: string): Heard[] {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return lines.map((line) => {
    const [life = '', number = ''] = line.split(' ', 2);
    return { life, number: Number(number) };
  });
}

test(
  `${kills} kills of sender, relay and receiver at random points lose no acknowledged event and repeat none`,
  async () => {
    console.info(`seed ${seed}`);
    const random = createRandom(seed);
    const { roles, sender, file } = await stageRoles(
      lab,
      policy === undefined ? {} : { outbox: { whenFull: policy } },
    );
    const script = await buildProgram('acked-publisher.ts', `${sender.dataDir}-publisher.mjs`);
    const publisher = sender.start([
      process.execPath,
      script,
      '1883',
      'ev/a',
      bytes,
      inFlight,
      perSecond,
    ]);
    await expect.poll(() => heardIn(file).length > 50, { timeout: 20_000 }).toBe(true);
    const told: string[] = [];
    for (let count = 0; count < kills; count += 1) {
      await sleep(500 + random.below(2_500));
      const role = roles[random.below(roles.length)] as Role;
      const at = ackedBy(publisher).at(-1);
      role.process.child.kill('SIGKILL');
      await role.process.ended;
      const awayMs = random.below(3_000);
      await sleep(awayMs);
      role.process = await role.start();
      const back = ackedBy(publisher).at(-1);
      told.push(`${role.name} gone at ${at} for ${awayMs} ms, back at ${back}`);
    }
    publisher.child.stdin?.write('enough\n');
    await publisher.line((line) => line === 'over', 30_000);
    const acked = ackedBy(publisher);
    const last = acked.at(-1) ?? 0;
    const missing = (): number[] => {
      const known = new Set(heardIn(file).map(({ number }) => number));
      return acked.filter((number) => !known.has(number));
    };
    await expect
      .poll(missing, { timeout: 60_000, interval: 500, message: told.join('; ') })
      .toEqual([]);
    await sleep(1_000);

    const heard = heardIn(file);
    const lives = [...new Set(heard.map(({ life }) => life))];
    let repeats = 0;
    let highest = -1;
    for (const life of lives) {
      const numbers = heard.filter((one) => one.life === life).map(({ number }) => number);
      // Once and in order, as long as the receiver lives.
      expect(numbers, `life ${life} of ${lives.length}`).toEqual(
        [...new Set(numbers)].sort((a, b) => a - b),
      );
      const again = numbers.filter((number) => number <= highest);
      const old = again.filter((number) => number <= highest - unacknowledgedMax);
      expect(old, `up to ${highest}; ${told.join('; ')}`).toEqual([]);
      repeats += again.length;
      highest = Math.max(highest, ...numbers);
    }
    console.info(
      `${acked.length} acknowledged up to ${last}, ${lives.length} lives of the receiver, ${repeats} heard again by the next one; ${told.join(', ')}`,
    );
    expect(acked.length).toBeGreaterThan(kills * 50);
  },
  600_000 + kills * 6_000,
);
