import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';

const parts = [
  { only: 'nodes', rows: ['control-p99-under-bulk', 'head-of-line', 'fanout-100'] },
  {
    only: 'decisions',
    rows: [
      'commit-p50',
      'commit-p50-own-write',
      'commits',
      'leader-after-kill-p50',
      'leader-after-kill-p99',
    ],
  },
  {
    only: 'state',
    rows: ['state-start', 'state-rss', 'state-after-cycles', 'state-start-after-cycles'],
  },
  {
    only: 'gateway',
    rows: [
      'gateway-p50',
      'gateway-added',
      'gateway-cpu',
      'gateway-cached',
      'gateway-coalesced',
      'gateway-rss-20-streams',
      'gateway-rate-128',
      'gateway-ready',
      'llm-cached-p50',
      'llm-cached-p95',
      'device-stream-cpu-at-once',
      'device-stream-frames-at-once',
      'device-stream-cpu-paced',
      'device-stream-frames-paced',
    ],
  },
];

test.each(parts)(
  'the bench writes rows with a baseline each: $only',
  async ({ only, rows: known }) => {
    const home = await mkdtemp(join(tmpdir(), 'mycel-bench-test-'));
    onTestFinished(() => rm(home, { recursive: true, force: true }));
    const file = join(home, 'rows.json');
    const loader = ['--import', './test/typescript.mjs', 'test/bench/bench.ts'];
    const flags = ['--quick', '--only', only, '--json', file];
    await promisify(execFile)(process.execPath, [...loader, ...flags], { timeout: 120_000 });
    const rows = JSON.parse(await readFile(file, 'utf8')) as unknown[];
    const number = expect.any(Number) as number;
    const text = expect.any(String) as string;
    for (const row of rows) {
      expect(row).toEqual({
        name: text,
        bytes: number,
        value: number,
        unit: text,
        baseline: { name: text, value: number },
        ratio: number,
      });
      const { value, baseline, ratio } = row as {
        value: number;
        baseline: { value: number };
        ratio: number;
      };
      expect(value).toBeGreaterThan(0);
      expect(ratio).toBeCloseTo(value / baseline.value, 6);
    }
    const names = rows.map((row) => (row as { name: string }).name);
    expect(names).toEqual(known);
  },
  150_000,
);
