/** The commands about tasks against a real node. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { bundleMycel, type Mycel } from './live-mycel.ts';

let mycel: Mycel;
let home: string;
const at = (name: string): string[] => ['--data-dir', mycel.dir(name)];
const json = async (args: string[]): Promise<unknown> => {
  const { code, out, err } = await mycel.run([...args, ...at('anna'), '--json']);
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${err}`);
  return JSON.parse(out) as unknown;
};

const worker = `
import { defineAgent } from 'mycel';
export const agent = defineAgent({
  name: 'worker', isolation: 'in-process', tasks: ['square'],
  run: ({ input, signal }) =>
    input === 'hang'
      ? new Promise((resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      : input * input,
});`;

beforeAll(async () => {
  mycel = await bundleMycel();
  home = await mkdtemp(join(tmpdir(), 'mycel-tasks-'));
  await mycel.up('anna');
  await writeFile(join(home, 'worker.mjs'), worker);
}, 90_000);
afterAll(async () => {
  await mycel.stop();
  await rm(home, { recursive: true, force: true });
});

it('without anybody who takes it, a task is refused and nothing is entered', async () => {
  const ended = await mycel.run(['task', 'submit', '{"kind":"square"}', ...at('anna'), '--json']);
  expect(ended.code).toBe(1);
  expect(ended.err).toContain('MYCEL_UNKNOWN_TASK');
  expect(await json(['tasks'])).toEqual([]);
  expect(await json(['auctions'])).toEqual([]);
});

it('a task is submitted, waited for, listed with its auction, and cancelled', async () => {
  await json(['deploy', join(home, 'worker.mjs')]);
  await vi.waitFor(
    async () => expect(await json(['agents'])).toMatchObject([{ state: 'running' }]),
    15_000,
  );
  const done = await json(['task', 'submit', '{"kind":"square","input":7}', '--wait']);
  expect(done).toMatchObject({ state: 'done', result: 49, fence: 1, attempts: 1, isDecided: true });
  const { id } = done as { id: string };
  expect(await json(['auctions', id])).toMatchObject([
    { task: id, rule: 'first-price', bids: [{ parts: { rtt: 0 } }], state: 'done' },
  ]);
  const open = (await json(['task', 'submit', '{"kind":"square","input":"hang"}'])) as {
    id: string;
  };
  expect(await json(['task', 'cancel', open.id])).toEqual({ id: open.id, isCancelled: true });
  await vi.waitFor(
    async () =>
      expect(await json(['tasks'])).toMatchObject([{ state: 'done' }, { state: 'cancelled' }]),
    5_000,
  );
  expect(await json(['task', 'cancel', id])).toEqual({ id, isCancelled: false });
  const table = await mycel.run(['auctions', ...at('anna')]);
  expect(table.out).toMatch(/TASK +KIND +RULE +ROUND +BIDS +WINNER +PRICE +WHY/);
  expect(table.out).toContain('is the lowest of 1 bids');
}, 60_000);

it('names its auction on the command line, for one task and for a list', async () => {
  const one = { kind: 'square', input: 3, costMax: 100_000, priceStepMs: 5 };
  for (const rule of ['vickrey', 'english', 'dutch']) {
    const submit = ['task', 'submit', JSON.stringify(one), '--auction', rule, '--wait'];
    const done = (await json(submit)) as { id: string };
    expect(done).toMatchObject({ state: 'done', result: 9 });
    expect(await json(['auctions', done.id])).toMatchObject([{ rule, bids: [{}] }]);
  }
  const list = JSON.stringify([1, 2].map((input) => ({ kind: 'square', input })));
  for (const rule of ['single-item', 'assignment', 'combinatorial']) {
    const all = (await json(['task', 'submit', list, '--auction', rule, '--wait'])) as {
      id: string;
    }[];
    expect(all).toMatchObject([{ result: 1 }, { result: 4 }]);
    expect(await json(['auctions', all[1]?.id ?? ''])).toMatchObject([{ rule }]);
  }
}, 60_000);

describe('what is wrong', () => {
  it.each([
    [['task', 'submit', '{'], 2, 'not JSON'],
    [['task', 'submit', '{"kind":"square"}', '--auction', 'japanese'], 2, 'first-price, vickrey'],
    [['task', 'submit', '{"kind":"square"}', '--auction', 'dutch'], 2, "needs 'costMax'"],
    [['task', 'submit', '[{"kind":"square"}]', '--auction', 'english'], 2, 'single-item'],
    [['task', 'submit', '[{"kind":"sqare"}]'], 1, "did you mean 'square'"],
    [['task', 'submit', '{"kind":"sqare"}'], 1, "did you mean 'square'"],
    [['task', 'submit', '{"kind":"square","colour":1}'], 2, "'colour'"],
    [
      ['task', 'submit', '{"kind":"square","input":"hang","deadlineMs":300}', '--wait'],
      1,
      '300 ms',
    ],
    [['task', 'cancel', 'nothing'], 1, 'MYCEL_UNKNOWN_TASK'],
  ])('%j fails with %i and says why', async (args, code, words) => {
    const ended = await mycel.run([...args, ...at('anna'), '--json']);
    expect(ended.code).toBe(code);
    expect(ended.err).toContain(words);
  });
});
