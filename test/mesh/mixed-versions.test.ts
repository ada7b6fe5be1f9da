/** Three releases with three minor versions of the protocol in one mesh: they join one another, and talk in every direction. */

import { expect, test } from 'vitest';
import { buildRelease, type Changes } from './build-release.ts';
import type { Host } from './lab-host.ts';
import type { Lab } from './lab.ts';
import { mintInvite } from './lab-mesh.ts';
import { shareLab } from './share-lab.ts';

/** As it was before messages came in parts: it does not know their flag, and takes them for no message at all. */
const older: Changes = {
  'src/wire/control.ts': [['export const controlMinor = 2;', 'export const controlMinor = 1;']],
  'src/wire/envelope.ts': [['const knownFlags = 127;', 'const knownFlags = 63;']],
};

/** As it may be one day: it says more in its hello, and sends records that nobody knew before. */
const newer: Changes = {
  'src/wire/control.ts': [
    ['export const controlMinor = 2;', 'export const controlMinor = 3;'],
    ['...epochs, ...minor];', "...epochs, ...minor, 'more'];"],
  ],
  'src/runtime/links.ts': [
    [
      '    control(peer, message) {\n      const link = chosen.get(peer);\n      if (link === undefined) return false;',
      '    control(peer, message) {\n      const link = chosen.get(peer);\n      if (link === undefined) return false;\n      write(link, Uint8Array.of(0x82, 0x18, 0xc8, 0x01));',
    ],
  ],
};

const names = ['now', 'older', 'newer'] as const;
const smallEach = 30;
const largeBytes = 200 * 1024;

let lab: Lab;
shareLab({ hosts: names.length }, async (fresh) => {
  lab = fresh;
  // A release that really is older, where there is one at hand.
  const made =
    process.env['MYCEL_OLDER'] ??
    (await buildRelease('0.0.9', older, `${lab.host(1).dataDir}-older.mjs`));
  await startNode(lab.host(0), [], undefined);
  await startNode(lab.host(1), ['--join', await mintInvite(lab.host(0))], made);
  const next = await buildRelease('9.0.0', newer, `${lab.host(2).dataDir}-newer.mjs`);
  await startNode(lab.host(2), ['--join', await mintInvite(lab.host(0))], next);
});

async function startNode(
  host: Host,
  flags: readonly string[],
  program: string | undefined,
): Promise<void> {
  const args = ['up', '--json', '--name', names[host.at] ?? '', '--port', '1883', ...flags];
  const own = ['--data-dir', host.dataDir];
  const node =
    program === undefined
      ? host.spawn(args)
      : host.start([process.execPath, program, ...args, ...own]);
  await node.line((line) => line.includes('"ready"'), 20_000);
}

interface Status {
  readonly links: readonly { readonly name: string; readonly protocol: string }[];
  readonly metrics: { readonly dropped: Readonly<Record<string, number>> };
}

const statusOf = async (host: Host): Promise<Status> =>
  (await host.cli('status', '--json')).json as Status;

async function protocols(host: Host): Promise<readonly string[]> {
  const { links } = await statusOf(host);
  return links.map(({ name, protocol }) => `${name} ${protocol}`).toSorted();
}

test('each link speaks the lower of two versions, and what it can carry arrives, from everybody to everybody', async () => {
  const patience = { timeout: 20_000, interval: 200 };
  await expect.poll(() => protocols(lab.host(0)), patience).toEqual(['newer 1.2', 'older 1.1']);
  await expect.poll(() => protocols(lab.host(1)), patience).toEqual(['newer 1.1', 'now 1.1']);
  await expect.poll(() => protocols(lab.host(2)), patience).toEqual(['now 1.2', 'older 1.1']);

  const heard = await Promise.all(
    lab.hosts.map((host) => host.mosquittoSub(['-q', '1', '-t', 'mix/#'])),
  );
  const wanted: string[] = [];
  async function say(topic: string): Promise<void> {
    for (const { at } of lab.hosts) {
      for (let number = 0; number < smallEach; number += 1) wanted.push(`${topic} ${at}:${number}`);
    }
    await Promise.all(
      lab.hosts.map((host) => {
        const lines = Array.from({ length: smallEach }, (_, number) => `${host.at}:${number}\n`);
        return host.mosquittoPub(['-q', '1', '-t', topic, '-l'], lines.join(''));
      }),
    );
  }
  const smallAt = (at: number): string[] =>
    (heard[at]?.messages() ?? [])
      .filter(({ topic }) => topic !== 'mix/large')
      .map(({ topic, payload }) => `${topic} ${payload}`);
  const largeAt = (at: number): string[] =>
    (heard[at]?.messages() ?? [])
      .filter(({ topic }) => topic === 'mix/large')
      .map(({ payload }) => `${payload.length} ${payload[0]}`);

  await say('mix/before');
  for (const at of [0, 2]) {
    await lab
      .host(at)
      .mosquittoPub(['-q', '1', '-t', 'mix/large', '-s'], `${at}`.repeat(largeBytes));
  }
  // What comes after a message that cannot be read does not wait for it.
  await say('mix/after');
  for (const at of [0, 1, 2]) {
    await expect
      .poll(() => smallAt(at).toSorted(), { ...patience, message: names[at] ?? '' })
      .toEqual(wanted.toSorted());
    const large = at === 1 ? [] : [`${largeBytes} 0`, `${largeBytes} 2`];
    await expect.poll(() => largeAt(at).toSorted(), patience).toEqual(large);
  }
  // Records of a kind that is not known yet were there, and did no harm.
  const { metrics } = await statusOf(lab.host(0));
  expect(JSON.stringify(metrics)).toContain('record of a newer version');
});

test('state, decisions and questions go through all of them', async () => {
  const json = async (at: number, ...args: readonly string[]): Promise<unknown> =>
    (await lab.host(at).cli(...args, '--json')).json;
  const all = [0, 1, 2];
  const done = await Promise.all(
    all.flatMap((from) => [
      lab.host(from).cli('state', 'set', `from-${from}`, String(from)),
      lab.host(from).cli('kv', 'put', `key-${from}`, String(from)),
    ]),
  );
  expect(done.map(({ code, stderr }) => `${code}${stderr}`)).toEqual(done.map(() => '0'));
  await Promise.all(
    all.map(async (at) => {
      // Each reads what the next one wrote, and the one after that.
      const [next, last] = [(at + 1) % 3, (at + 2) % 3];
      for (const from of [next, last]) {
        await expect
          .poll(() => json(at, 'state', 'get', `from-${from}`), { timeout: 10_000 })
          .toMatchObject({ value: from });
      }
      expect(await json(at, 'kv', 'get', `key-${next}`)).toMatchObject({ value: next });
    }),
  );
  const { nodes } = (await json(0, 'update', 'status')) as {
    readonly nodes: readonly { readonly name: string; readonly version: string }[];
  };
  const told = nodes.map(({ name, version }) => `${name} ${version}`).toSorted();
  const old = process.env['MYCEL_OLDER'] === undefined ? '0.0.9' : '0.1.0';
  expect(told).toEqual(['newer 9.0.0', 'now 0.1.0', `older ${old}`]);
});
