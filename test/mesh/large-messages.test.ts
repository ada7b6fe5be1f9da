/** Sender, relay and receiver are killed in the middle of large messages: acknowledged ones come, each whole and once. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createRandom } from '../../src/kernel/random.ts';
import { buildProgram } from './build-program.ts';
import type { Lab } from './lab.ts';
import { payloadOf } from './numbered-payload.ts';
import { shareLab } from './share-lab.ts';
import { ackedBy, stageRoles, type Role } from './three-roles.ts';

/** Kills; `LARGE_KILLS=100` for a long run, `KILL_SEED` to see one again. */
const kills = Number(process.env['LARGE_KILLS'] ?? 3);
const seed = Number(process.env['KILL_SEED'] ?? Date.now() % 1_000_000);

/**
 * Payload of every other message, 11 parts, and messages a second. What a dead receiver is owed must stay below the 10 MiB of
 * the outbox, beyond which its share is given up, so the next one is killed when the last one has caught up. A link of 5 MB/s is
 * in the middle of a message a third of the time.
 */
const largeBytes = 1024 * 1024;
const perSecond = 3;
const linkKbit = 40_000;

let lab: Lab;
shareLab({ hosts: 3 }, async (fresh) => {
  lab = fresh;
});

interface Heard {
  readonly life: string;
  readonly number: number;
  readonly bytes: number;
  readonly digest: string;
}

function heardIn(file: string): Heard[] {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return lines.map((line) => {
    const [life = '', number = '', bytes = '', digest = ''] = line.split(' ');
    return { life, number: Number(number), bytes: Number(bytes), digest };
  });
}

test(`${kills} kills in the middle of large messages through a relay lose none that was acknowledged, tear none and repeat none`, async () => {
  console.info(`seed ${seed}`);
  const random = createRandom(seed);
  const { roles, relay, sender, file } = await stageRoles(lab);
  const script = await buildProgram('acked-publisher.ts', `${sender.dataDir}-publisher.mjs`);
  const how = `1883 ev/large ${largeBytes} 3 ${perSecond}`.split(' ');
  const publisher = sender.start([process.execPath, script, ...how]);
  relay.rate(linkKbit);
  await expect.poll(() => heardIn(file).length > 4, { timeout: 20_000 }).toBe(true);
  const missing = (): number[] => {
    const known = new Set(heardIn(file).map(({ number }) => number));
    return ackedBy(publisher).filter((number) => !known.has(number));
  };
  const told: string[] = [];
  for (let count = 0; count < kills; count += 1) {
    await sleep(500 + random.below(1_000));
    // Each of them once, then anyone.
    const role = roles[count < 3 ? count : random.below(3)] as Role;
    role.process.child.kill('SIGKILL');
    await role.process.ended;
    const awayMs = random.below(600);
    await sleep(awayMs);
    role.process = await role.start();
    told.push(`${role.name} gone for ${awayMs} ms, at ${ackedBy(publisher).at(-1)}`);
    await expect
      .poll(() => missing().length < 3, { timeout: 30_000, message: told.join('; ') })
      .toBe(true);
  }
  publisher.child.stdin?.write('enough\n');
  await publisher.line((line) => line === 'over', 30_000);
  const acked = ackedBy(publisher);
  await expect
    .poll(missing, { timeout: 20_000, interval: 200, message: told.join('; ') })
    .toEqual([]);

  const heard = heardIn(file);
  for (const { number, bytes, digest } of heard) {
    const payload = payloadOf(number, largeBytes);
    expect(bytes).toBe(payload.length);
    expect(digest).toBe(createHash('sha256').update(payload).digest('hex'));
  }
  const lives = [...new Set(heard.map(({ life }) => life))];
  for (const life of lives) {
    const numbers = heard.filter((one) => one.life === life).map(({ number }) => number);
    expect(numbers, told.join('; ')).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  }
  const large = heard.filter(({ bytes }) => bytes === largeBytes).length;
  console.info(
    `${acked.length} acknowledged, ${large} large ones heard in ${lives.length} lives; ${told.join(', ')}`,
  );
  expect(large).toBeGreaterThan(kills);
}, 600_000);
