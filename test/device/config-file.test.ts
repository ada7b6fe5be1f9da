/** The configuration file: what `mycel up` makes of it, and what it is told when it is wrong. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { configFileBytesMax, nameConfigFile, readConfigFile } from '../../device/config-file.ts';
import { linesOf } from '../../device/commands/channels.ts';
import { toFailure } from '../../device/failure.ts';
import { createNode } from '../../src/index.ts';
import type { NodeId, NodeOptions } from '../../src/index.ts';
import { startNode } from '../runtime/loopback.ts';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mycel-config-'));
});
afterAll(() => rm(home, { recursive: true, force: true }));

async function written(name: string, text: string): Promise<string> {
  const path = join(home, name);
  await writeFile(path, text);
  return path;
}

const withVideo: NodeOptions = {
  name: 'porch',
  channels: { video: { class: 'signal', overflow: 'drop-oldest', topics: ['cam/#'] } },
};

describe('the configuration file', () => {
  it('is looked for in the data directory, where it may be missing', async () => {
    expect(await readConfigFile(undefined, join(home, 'nowhere'))).toEqual({});
    await written('config.json', JSON.stringify(withVideo));
    expect(await readConfigFile(undefined, home)).toEqual(withVideo);
  });

  it('may be named, and must be there then', async () => {
    const path = await written('other.json', '{"name":"shed"}');
    expect(await readConfigFile(path, home)).toEqual({ name: 'shed' });
    await expect(readConfigFile(join(home, 'none'), home)).rejects.toMatchObject({
      code: 'MYCEL_USAGE',
      exitCode: 2,
    });
  });

  it.each([
    ['no JSON', '{"name"', 'no JSON'],
    ['a list', '[]', 'no JSON object'],
    ['an invite', '{"join":"mycel:1:x"}', "'join'"],
    ['a data directory', '{"dataDir":"/d"}', "'dataDir'"],
    ['too much', ' '.repeat(configFileBytesMax + 1), `${configFileBytesMax}`],
  ])('is refused when it holds %s', async (_, text, words) => {
    const path = await written('bad.json', text);
    await expect(readConfigFile(path, home)).rejects.toMatchObject({
      code: 'MYCEL_BAD_OPTION',
      exitCode: 2,
      message: expect.stringContaining(words) as string,
    });
  });

  it.each([
    ['{"nmae":"shed"}', "There is no option 'nmae'. Did you mean 'name'?"],
    ['{"port":"x"}', "'port'"],
    ['{"channels":{"a":{"clas":"signal"}}}', "'clas'"],
  ])('is named when the library takes nothing of it: %s', async (text, words) => {
    const path = await written('config.json', text);
    const configured = await readConfigFile(undefined, home);
    const flags = { dataDir: join(home, 'node'), logLevel: 'silent' } as const;
    const refused = await createNode({ ...configured, ...flags }).catch((error: unknown) => error);
    const told = toFailure(nameConfigFile(refused, configured, [undefined, home]));
    expect(told.exitCode).toBe(2);
    expect(told.message).toContain(`The configuration in '${path}' cannot be used.`);
    expect(told.message).toContain(words);
    // What a flag said is not the file's fault.
    const flagged = await createNode({ name: '', ...flags }).catch((error: unknown) => error);
    expect(nameConfigFile(flagged, configured, [undefined, home])).toBe(flagged);
  });

  it('with a contradiction opens nothing: the data directory stays free', async () => {
    const channels = { video: { class: 'signal', overflow: 'block' } } as const;
    const path = await written('contradiction.json', JSON.stringify({ channels }));
    const options = { ...(await readConfigFile(path, home)), dataDir: join(home, 'node') };
    await expect(createNode(options)).rejects.toMatchObject({
      code: 'MYCEL_BAD_OPTION',
      message: expect.stringContaining("'latest-per-topic' or 'drop-oldest'") as string,
    });
    const node = await createNode({ dataDir: join(home, 'node'), logLevel: 'silent' });
    await node.stop();
  });
});

it('the channels are shown with what waits, what was lost and where they have connections', async () => {
  const node = await startNode('porch', withVideo);
  const list = node.status().channels;
  expect(list.map(({ name }) => name)).toEqual([
    'coordination',
    'gossip',
    'data',
    'events',
    'video',
  ]);
  const peer = 'n'.repeat(29) as NodeId;
  const shown = linesOf(
    list.map((one) =>
      one.name === 'video'
        ? {
            ...one,
            queuedBytes: 2048,
            queuedCount: 3,
            drops: { oldest: 7, unlinked: 1 },
            lanes: [{ peer, connection: 'own', queuedCount: 3, queuedBytes: 2048 }],
          }
        : one,
    ),
    () => 'shed',
  );
  expect(shown).toHaveLength(6);
  expect(shown[5]).toMatch(/^video +signal +5 +drop-oldest +2 KiB in 3, of 1 MiB a peer +0 +/);
  expect(shown[5]).toContain('7 oldest, 1 unlinked');
  expect(shown[5]).toMatch(/open to shed$/);
  expect(shown[4]).toMatch(/closed$/);
});
