/** Keys from files: only those that nobody else can read, and what is wrong with one is said without showing it. */

import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { resolveConfig } from '../../gateway/config/load.ts';
import type { GatewayConfig } from '../../gateway/config/load.ts';
import { plantedKey } from './live-gateway.ts';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mycel-keys-'));
});
afterAll(() => rm(home, { recursive: true }));

async function keyFile(name: string, text: string, mode: number): Promise<string> {
  const file = join(home, name);
  await writeFile(file, text);
  await chmod(file, mode);
  return file;
}

function resolved(apiKeyFile: string, tokenFile?: string): GatewayConfig {
  const target = { name: 'lab', kind: 'openai' as const, url: 'http://127.0.0.1:9/v1' };
  const principals = tokenFile === undefined ? [] : [{ name: 'bench', tokenFile }];
  return resolveConfig({ targets: [{ ...target, apiKeyFile }], principals }, {});
}

test('a file of the owner alone gives its key, with or without an end of line', async () => {
  for (const mode of [0o600, 0o400]) {
    const file = await keyFile(`key-${mode}`, `${plantedKey}\n`, mode);
    const config = resolved(file, file);
    expect(config.targets[0]?.key?.reveal()).toBe(plantedKey);
    expect(config.principals[0]?.token?.reveal()).toBe(plantedKey);
    const shown = inspect(config, { depth: 20, showHidden: true }) + JSON.stringify(config);
    expect(shown).not.toContain(plantedKey);
    expect(String(config.targets[0]?.key)).toBe('***');
  }
});

test.each([
  ['others can read', `${plantedKey}\n`, 0o644, /Others can read.*chmod 600/s],
  ['its group can write', plantedKey, 0o620, /Others can read.*chmod 600/s],
  ['is empty', '\n', 0o600, /empty or holds characters that no key has/],
  ['holds two lines', `${plantedKey}\n${plantedKey}\n`, 0o600, /characters that no key has/],
  ['holds a quoted name', `KEY="${plantedKey} x"`, 0o600, /characters that no key has/],
])('a file that %s is refused', async (name, text, mode, said) => {
  const file = await keyFile(name.replaceAll(' ', '-'), text, mode);
  for (const attempt of [() => resolved(file), () => resolved(file, file)]) {
    const error = catching(attempt);
    expect(error).toMatchObject({ code: 'MYCEL_BAD_OPTION' });
    const shown = inspect(error, { depth: 20 }) + JSON.stringify(error);
    expect(shown).toMatch(said);
    expect(shown).not.toContain(plantedKey);
  }
});

test('a file that is not there is named', () => {
  const file = join(home, 'nowhere');
  expect(inspect(catching(() => resolved(file)))).toContain(`${file} of target 'lab'`);
});

function catching(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('It was taken.');
}
