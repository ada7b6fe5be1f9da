/** One node's lives: founding, joining, sleeping, leaving and being thrown out, through the command, on real processes. */

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { bundleMycel, type Live, type Mycel } from './live-mycel.ts';

let mycel: Mycel;
let admin: Live;
const at = (name: string): string[] => ['--data-dir', mycel.dir(name)];

const json = async (args: string[]): Promise<unknown> => {
  const { code, out, err } = await mycel.run([...args, '--json']);
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${err}`);
  return JSON.parse(out) as unknown;
};
const states = async (name: string): Promise<Record<string, string>> => {
  const members = (await json(['members', ...at(name)])) as { name: string; state: string }[];
  return Object.fromEntries(members.map((one) => [one.name, one.state]));
};
const invite = async (...flags: string[]): Promise<string> =>
  ((await json(['invite', ...at('admin'), ...flags])) as { invite: string }).invite;
const alone = async (name: string): Promise<boolean> => {
  const status = (await json(['status', ...at(name)])) as { mesh: { isProvisional: boolean } };
  return status.mesh.isProvisional;
};

beforeAll(async () => {
  mycel = await bundleMycel();
  admin = await mycel.up('admin', ['--mesh', 'farm']);
}, 90_000);
afterAll(() => mycel.stop());

describe('a node', () => {
  it('is a provisional mesh of one until it is claimed', async () => {
    expect(await alone('admin')).toBe(true);
    expect(await states('admin')).toEqual({ admin: 'alive' });
  });

  it('joins by command, stays a member after a restart, and leaves for good', async () => {
    const first = await mycel.up('guest');
    const text = await invite();
    expect(await alone('admin')).toBe(false);
    await json(['join', text, ...at('guest')]);
    await admin.line({ event: 'member', name: 'guest', state: 'alive' });

    const again = await mycel.run(['join', text, ...at('guest')]);
    expect(again.code).toBe(1);
    expect(again.err).toContain('already belongs to a real mesh');

    first.child.kill('SIGKILL');
    await first.ended;
    await mycel.up('guest');
    await vi.waitFor(
      async () => expect(await states('guest')).toEqual({ admin: 'alive', guest: 'alive' }),
      { timeout: 15_000, interval: 200 },
    );

    await json(['leave', ...at('guest')]);
    await admin.line({ event: 'member', name: 'guest', state: 'left' });
    expect(await alone('guest')).toBe(true);
    expect(await states('guest')).toEqual({ guest: 'alive' });
  }, 60_000);

  it('that says how long it sleeps is dormant, not dead', async () => {
    const sleeper = await mycel.up('sleeper', ['--join', await invite()]);
    await admin.line({ event: 'member', name: 'sleeper', state: 'alive' });
    await json(['down', '--sleep', '10m', ...at('sleeper')]);
    expect((await sleeper.ended).code).toBe(0);
    await admin.line({ event: 'member', name: 'sleeper', state: 'dormant' });
    await mycel.up('sleeper');
    await vi.waitFor(async () => expect((await states('admin'))['sleeper']).toBe('alive'), {
      timeout: 15_000,
      interval: 200,
    });
    const course = admin.lines.filter(({ name }) => name === 'sleeper').map(({ state }) => state);
    expect(course).toEqual(['alive', 'dormant', 'alive']);
  }, 60_000);

  it('that was revoked is gone from every view and says why it is alone', async () => {
    const thief = await mycel.up('thief', ['--join', await invite()]);
    await admin.line({ event: 'member', name: 'thief', state: 'alive' });
    await json(['revoke', 'thief', ...at('admin')]);
    await thief.line({ event: 'expelled' });
    await admin.line({ event: 'member', name: 'thief', state: 'left' });
    expect(Object.keys(await states('admin'))).not.toContain('thief');
    const course = admin.lines.filter(({ name }) => name === 'thief').map(({ state }) => state);
    expect(course).toEqual(['alive', 'left']);
    const { warnings } = (await json(['status', ...at('thief')])) as { warnings: string[] };
    expect(warnings.join(' ')).toContain('revoked');
  }, 60_000);

  it('without the admin role cannot invite, and is told where to', async () => {
    await mycel.up('worker', ['--join', await invite()]);
    await admin.line({ event: 'member', name: 'worker', state: 'alive' });
    const { code, err } = await mycel.run(['invite', ...at('worker')]);
    expect(code).toBe(1);
    expect(err).toMatch(/not an admin.*admin node/s);
  }, 60_000);
});

describe('an open mesh for developers', () => {
  it('forms by itself on loopback and says loudly what it is', async () => {
    const options = ['--dev'];
    const one = mycel.start(['up', '--json', '--name', 'dev1', ...at('dev1'), ...options]);
    const two = mycel.start(['up', '--json', '--name', 'dev2', ...at('dev2'), ...options]);
    await one.line({ event: 'member', name: 'dev2', state: 'alive' });
    await two.line({ event: 'member', name: 'dev1', state: 'alive' });
    const { warnings } = (await json(['status', ...at('dev1')])) as { warnings: string[] };
    expect(warnings.join(' ')).toContain('open mesh for development');
  }, 60_000);
});
