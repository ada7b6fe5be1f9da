/** `mycel lock` and `mycel kv` on a real node: commands that run under a lock, and what ends them. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleMycel } from './live-mycel.ts';
import type { Ended, Live, Mycel } from './live-mycel.ts';

let mycel: Mycel;
let node: Live;
beforeAll(async () => {
  mycel = await bundleMycel();
  node = await mycel.up('ann');
}, 60_000);
afterAll(() => mycel.stop());

const here = (): readonly string[] => ['--data-dir', mycel.dir('ann')];

function run(...args: readonly string[]): Promise<Ended> {
  const at = args.indexOf('--');
  const [own, command] = at < 0 ? [args, []] : [args.slice(0, at), args.slice(at)];
  return mycel.run([...own, ...here(), ...command]);
}

test('a key is written if it holds what is expected, and only then', async () => {
  expect((await run('kv', 'cas', 'door', '-', '"shut"')).code).toBe(0);
  const late = await run('kv', 'cas', 'door', '-', '"open"');
  expect(late.code).toBe(1);
  expect((await run('kv', 'cas', 'door', '"shut"', '{"open":10}')).code).toBe(0);
  const { out } = await run('kv', 'get', 'door', '--json');
  expect(JSON.parse(out)).toMatchObject({ value: { open: 10 } });
});

test('a command runs under a lock with its fencing token, which grows, and ends as the command does', async () => {
  const fence = ['sh', '-c', 'echo "fence=$MYCEL_FENCE"; exit 7'];
  const tokens: number[] = [];
  for (let turn = 0; turn < 2; turn += 1) {
    const { code, out } = await run('lock', 'heating', '--', ...fence);
    expect(code).toBe(7);
    tokens.push(Number(/fence=(\d+)/.exec(out)?.[1]));
  }
  expect(tokens[1]).toBeGreaterThan(tokens[0] as number);
  const missing = await run('lock', 'heating', '--', 'no-such-command');
  expect(missing.err).toContain("There is no command 'no-such-command'");
});

test('whoever comes second waits as long as it said; a lock that is lost ends the command under it', async () => {
  const work = 'for turn in $(seq 200); do sleep 0.1; done';
  const script = `trap "echo told; exit 0" TERM; echo started; ${work}`;
  const holder = mycel.start(['lock', 'pump', ...here(), '--', 'sh', '-c', script]);
  await new Promise<void>((resolve) => {
    holder.child.stdout?.on('data', (chunk: Buffer) => {
      if (chunk.includes('started')) resolve();
    });
  });
  const second = await run('lock', 'pump', '--wait', '200ms', '--', 'echo', 'never');
  expect(second.code).toBe(1);
  expect(second.out).not.toContain('never');
  expect(second.err).toContain('Somebody else holds it. It did not come free within 200 ms.');
  node.child.kill('SIGKILL');
  const ended = await holder.ended;
  expect(ended.out).toBe('started\ntold\n');
  expect(ended.code).toBe(1);
  expect(ended.err).toContain("The lock 'pump' was lost");
});
