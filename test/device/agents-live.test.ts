/** The commands about services and agents against real nodes. */

import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { bundleMycel, type Mycel } from './live-mycel.ts';

let mycel: Mycel;
const at = (name: string): string[] => ['--data-dir', mycel.dir(name)];
const json = async (args: string[]): Promise<unknown> => {
  const { code, out, err } = await mycel.run([...args, '--json']);
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${err}`);
  return JSON.parse(out) as unknown;
};

beforeAll(async () => {
  mycel = await bundleMycel();
  await mycel.up('anna');
}, 90_000);
afterAll(() => mycel.stop());

describe('call', () => {
  it('asks every node for itself, and prints the answer as JSON', async () => {
    expect(await json(['call', '$SRV.ping', ...at('anna')])).toMatchObject({ services: [] });
    expect(await json(['services', ...at('anna')])).toEqual([]);
  });

  it.each([
    [['call', 'nobody.here'], 1, 'MYCEL_UNKNOWN_SERVICE'],
    [['call', '$SRV.pong'], 1, "did you mean 'ping'"],
    [['call', '$SRV.ping', '{'], 2, 'not JSON'],
    [['call', 'ping'], 2, 'SERVICE.ACTION'],
  ])('%j fails with %i and says why', async (args, code, words) => {
    const ended = await mycel.run([...args, ...at('anna'), '--json']);
    expect(ended.code).toBe(code);
    expect(ended.err).toContain(words);
  });
});

describe('agents', () => {
  const beat = fileURLToPath(new URL('../../docs/examples/beat-agent.ts', import.meta.url));

  it('runs the example of the docs: deployed, listed, heard, drained, undeployed', async () => {
    const deployed = await json(['deploy', beat, '--replicas', '2', ...at('anna')]);
    expect(deployed).toMatchObject({ name: 'beat', replicas: 2 });
    const heard = await mycel.run([
      'sub',
      'beat/out',
      '--count',
      '2',
      '--timeout',
      '20s',
      ...at('anna'),
    ]);
    expect(heard.code).toBe(0);
    const all = (await json(['agents', ...at('anna')])) as Record<string, unknown>[];
    expect(all.map(({ instance, state }) => `${String(instance)} ${String(state)}`)).toEqual([
      'beat#0 running',
      'beat#1 running',
    ]);
    expect(Object.keys(all[0] ?? {})).toEqual([
      'agent',
      'instance',
      'node',
      'state',
      'restarts',
      'since',
    ]);
    expect(await json(['drain', 'anna', ...at('anna')])).toMatchObject({ moved: 0 });
    expect(await json(['drain', 'anna', '--undo', ...at('anna')])).toMatchObject({ moved: 0 });
    expect(await json(['agents', '--health', ...at('anna')])).toMatchObject([
      { agent: 'beat', wanted: 2, running: 2, failed: 0, restarts: 0, isWhole: true },
    ]);
    await json(['undeploy', 'beat', ...at('anna')]);
    await json(['deploy', beat, '--replicas', 'auto', '--society', 'ring', ...at('anna')]);
    await vi.waitFor(
      async () =>
        expect(await json(['agents', '--health', ...at('anna')])).toMatchObject([
          { wanted: 1, running: 1 },
        ]),
      10_000,
    );
    await json(['undeploy', 'beat', ...at('anna')]);
    await vi.waitFor(async () => expect(await json(['agents', ...at('anna')])).toEqual([]), 10_000);
  });

  it.each([
    [['deploy', '/nowhere.js'], 1, 'cannot be read'],
    [['deploy', beat, '--require', 'wings'], 1, 'wings'],
    [['deploy', beat, '--label', 'oops'], 2, 'K=V'],
    [['deploy', beat, '--replicas', '0'], 2, '--replicas'],
    [['deploy', beat, '--society', 'club'], 1, 'society'],
    [['undeploy', 'nobody'], 1, 'MYCEL_UNKNOWN_AGENT'],
    [['migrate', 'nobody#0', 'anna'], 1, 'MYCEL_UNKNOWN_AGENT'],
    [['drain', 'nobody'], 1, 'MYCEL_UNKNOWN_MEMBER'],
  ])('%j fails with %i and says why', async (args, code, words) => {
    const ended = await mycel.run([...args, ...at('anna'), '--json']);
    expect(ended.code).toBe(code);
    expect(ended.err).toContain(words);
    expect(await json(['agents', ...at('anna')])).toEqual([]);
  });
});
