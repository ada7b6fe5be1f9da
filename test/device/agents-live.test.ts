/** The commands about services and agents against real nodes. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

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
