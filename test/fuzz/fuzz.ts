/** Hostile bytes for any parser: samples damaged in a few places, a bound on time and memory. FUZZ_RUNS sets the inputs. */

import { expect } from 'vitest';
import { MycelError } from '../../src/kernel/errors.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { Random } from '../../src/kernel/random.ts';

/** Inputs per parser. */
export const runs = Number(process.env['FUZZ_RUNS'] ?? 20_000);

const seed = Number(process.env['FUZZ_SEED'] ?? 20_261);

/** No input may cost more processor time, in ms. Not wall time: that would measure the neighbours. */
const inputMsMax = 50;

/**
 * How much a process may grow over all runs of a parser, in bytes. Parsed keys live outside the JavaScript heap and wait
 * for a major collection: some 90 MB after 5000 handshakes in a row, and no more after 40 000.
 */
const growthBytesMax = 128 * 1024 * 1024;

/** Time for one parser, in ms. */
export const timeout = Math.max(120_000, runs * 5);

/** Damages a good sample in one to four places, or makes bytes up. */
function mutate(random: Random, samples: readonly Uint8Array[]): Uint8Array {
  if (random.below(10) === 0) {
    return Uint8Array.from({ length: random.below(300) }, () => random.below(256));
  }
  let bytes = Uint8Array.from(samples[random.below(samples.length)] ?? []);
  for (let count = random.below(4); count >= 0; count -= 1) bytes = damage(random, bytes);
  return bytes;
}

function damage(random: Random, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length);
  const end = at + random.below(bytes.length - at + 1);
  const interesting = [0x00, 0xff, 0x7f, 0x80, 0x9b, 0xbb, 0x5b, 0xc2, 0xd9, 0x1b, 0xf9, 0xa1];
  const result = Uint8Array.from(bytes);
  switch (random.below(6)) {
    case 0:
      result[at] = (result[at] ?? 0) ^ (1 << random.below(8));
      return result;
    case 1:
      result[at] = interesting[random.below(interesting.length)] ?? 0;
      return result;
    case 2:
      return result.slice(0, end);
    case 3:
      return Uint8Array.from([...result.slice(0, end), ...result.slice(at)]);
    case 4:
      return Uint8Array.from([...result.slice(0, at), ...result.slice(end)]);
    default:
      return Uint8Array.from([...result, ...result.slice(at, end)]);
  }
}

/** Whether the parser took it. Throws for anything but a `MycelError`. */
async function tryParse(
  parse: (bytes: Uint8Array) => unknown,
  bytes: Uint8Array,
  run: number,
): Promise<boolean> {
  try {
    const outcome = parse(bytes);
    const result = outcome instanceof Promise ? await outcome : outcome;
    return result !== undefined && result !== false;
  } catch (error) {
    if (MycelError.is(error)) return false;
    throw new Error(`run ${run}: ${Buffer.from(bytes).toString('hex')}`, { cause: error });
  }
}

/** Feeds a parser; it may return or throw a `MycelError`, in time, and keep nothing. */
export async function fuzz(
  samples: readonly Uint8Array[],
  parse: (bytes: Uint8Array) => unknown,
): Promise<void> {
  const random = createRandom(seed);
  let rssBefore = process.memoryUsage().rss;
  const startedAt = performance.now();
  let accepted = 0;
  let slowestMs = 0;
  for (let run = 0; run < runs; run += 1) {
    // The first inputs also pay for compiled code and the engine's own room, which no later one adds to.
    if (run === Math.floor(runs / 20)) rssBefore = process.memoryUsage().rss;
    const bytes = mutate(random, samples);
    let costMs = Infinity;
    // An input that is slow by itself is slow again; a garbage collection is not.
    for (let attempt = 0; attempt < 3 && costMs > inputMsMax; attempt += 1) {
      const before = process.cpuUsage();
      const isAccepted = await tryParse(parse, bytes, run);
      const { user, system } = process.cpuUsage(before);
      costMs = (user + system) / 1000;
      if (isAccepted && attempt === 0) accepted += 1;
    }
    slowestMs = Math.max(slowestMs, costMs);
  }
  const grownBytes = process.memoryUsage().rss - rssBefore;
  if (process.env['FUZZ_RUNS'] !== undefined) {
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    const rss = (process.memoryUsage().rss / 1e6).toFixed(0);
    console.log(
      `${expect.getState().currentTestName}: ${runs} inputs, ${accepted} accepted, ${seconds} s, slowest ${slowestMs.toFixed(1)} ms, RSS ${rss} MB (${(grownBytes / 1e6).toFixed(0)} more)`,
    );
  }
  expect(slowestMs).toBeLessThan(inputMsMax);
  expect(grownBytes).toBeLessThan(growthBytesMax);
}
