/** The control socket's parsers under a flood of broken lines: 20 000 by default, more with FUZZ_RUNS. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';

import { parseReply, parseRequest } from '../../device/control-protocol.ts';
import { createLineSplitter } from '../../device/line-splitter.ts';
import { createRandom } from '../../src/kernel/random.ts';

const inputs = Number(process.env['FUZZ_RUNS'] ?? 20_000);
const seed = Number(process.env['FUZZ_SEED'] ?? 7);

/** What is kept may not grow by more than this. */
const keptBytesMax = 8 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes in use that no collection frees: what merely waits for one depends on how many lines there were. */
function keptBytes(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

const seeds = [
  '{"id":1,"op":"status"}',
  '{"id":2,"op":"publish","args":{"topic":"a/b","payloadBase64":"aGk=","qos":1,"retain":false}}',
  '{"id":3,"op":"guest-add","args":{"name":"g","publish":["a/#","b"],"subscribe":[]}}',
  '{"id":4,"op":"invite","args":{"ttlMs":1000,"uses":3,"role":"admin"}}',
  '{"id":5,"ok":false,"error":{"code":"A","text":"b","fix":"c"}}',
  '{"id":null,"event":{"topic":"a"}}',
].map((line) => Buffer.from(`${line}\n`));

describe('the control socket', () => {
  it(
    `takes ${inputs} mutated lines without a throw, a hang or growth`,
    { timeout: 600_000 },
    () => {
      const random = createRandom(seed);
      const splitter = createLineSplitter(64 * 1024);
      const before = keptBytes();
      let accepted = 0;
      for (let count = 0; count < inputs; count += 1) {
        const line = Buffer.from(seeds[random.below(seeds.length)] ?? '');
        for (let edits = random.below(4); edits > 0; edits -= 1) {
          line[random.below(line.length)] = random.below(256);
        }
        for (const text of splitter.push(line.subarray(random.below(3))).lines) {
          if ('request' in parseRequest(text)) accepted += 1;
          parseReply(text);
        }
        // A line without its end must not swallow the rest of the run.
        splitter.push(Buffer.from('\n'));
      }
      expect(accepted).toBeGreaterThan(0);
      expect(accepted).toBeLessThan(inputs);
      expect(keptBytes() - before).toBeLessThan(keptBytesMax);
    },
  );
});
