import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createMemoryLog } from '../../../src/adapters/memory/log.ts';
import { createPinoLog } from '../../../src/adapters/pino/pino-log.ts';
import { redactFields } from '../../../src/adapters/pino/redact.ts';
import { logContract } from '../../contract/log.ts';
import { bundleProgram, startProgram } from '../child.ts';

const levelNames: Record<number, string> = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error' };

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mycel-log-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function readLines(path: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(path, 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

logContract('pino', async () => {
  const place = await mkdtemp(join(tmpdir(), 'mycel-logc-'));
  const path = join(place, 'log');
  const log = createPinoLog({ level: 'debug', destination: path });
  return {
    log,
    async lines() {
      await log.flush();
      return (await readLines(path)).map(({ level, time: _time, msg, ...fields }) => ({
        level: levelNames[Number(level)] ?? '',
        message: String(msg),
        fields,
      }));
    },
    dispose: () => rm(place, { recursive: true, force: true }),
  };
});

logContract('memory', async () => {
  const log = createMemoryLog();
  return {
    log,
    lines: async () => log.take().map((line) => ({ ...line, fields: { ...line.fields } })),
    dispose: async () => {},
  };
});

describe('what is written', () => {
  test('never holds a secret, however deep, in fields, texts, errors or bytes', async () => {
    const canary = 'c4n4ry';
    const path = join(directory, 'log');
    const log = createPinoLog({ level: 'debug', destination: path });
    const cyclic: Record<string, unknown> = { password: canary };
    cyclic['self'] = cyclic;
    const fields = {
      invite: `mycel:1:${canary}`,
      note: `join with mycel:1:${canary} please`,
      deep: { list: [{ epochKey: canary }, new Map([['psk', canary]])], seed: [canary] },
      'guest-token': canary,
      NODE_SECRET: canary,
      bytes: Buffer.from(canary),
      error: Object.assign(new Error(`bad mycel:1:${canary}`, { cause: { passphrase: canary } }), {
        details: { privateKey: canary },
      }),
      cyclic,
    };
    log.warn(fields, `with mycel:1:${canary}`);
    await log.flush();
    log.child({ joinToken: canary }).error(fields, 'again');
    const text = await readFile(path, 'utf8');
    expect(text).not.toContain(canary);
    expect(text).not.toContain(Buffer.from(canary).toString('base64'));
    expect(text).not.toContain(Buffer.from(canary).toString('hex'));
    expect(text.match(/\[redacted\]/g)?.length).toBeGreaterThan(10);
  });

  test('keeps what only looks like a secret to a careless eye', () => {
    const fields = { seeds: ['10.0.0.1:1883'], keepalive: 60, monkey: 1, tokenised: true };
    expect({ ...redactFields(fields) }).toEqual(fields);
  });

  test('is bounded and plain for any value', () => {
    fc.assert(
      fc.property(
        fc.object({ maxDepth: 8, withBigInt: true, withMap: true, withDate: true }),
        (any) => {
          const text = JSON.stringify(redactFields(any as Record<string, unknown>));
          expect(typeof text).toBe('string');
        },
      ),
    );
    const wide = Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`f${at}`, 'x']));
    expect(JSON.stringify(redactFields({ wide, long: 'y'.repeat(1e6) })).length).toBeLessThan(5000);
  });

  test('is no line below the level, and nothing at all when silent', async () => {
    const path = join(directory, 'log');
    const log = createPinoLog({ level: 'error', destination: path });
    log.warn({}, 'quiet');
    await log.flush();
    expect(await readdir(directory)).toEqual([]);
    const silent = createPinoLog({ level: 'silent', destination: path });
    silent.error({}, 'quiet');
    await silent.flush();
    expect(await readdir(directory)).toEqual([]);
    log.error({}, 'loud');
    await log.flush();
    expect(await readLines(path)).toHaveLength(1);
  });

  test('is complete after a kill: all of 1000 tail lines', async () => {
    const bundle = await bundleProgram(new URL('crashing.ts', import.meta.url).pathname);
    const path = join(directory, 'log');
    try {
      await startProgram(bundle.file, ['kill', path]).ended;
      const tail = (await readLines(path)).filter(({ msg }) => msg === 'tail');
      expect(tail.map(({ at }) => at)).toEqual(Array.from({ length: 1000 }, (_, at) => at));
    } finally {
      await bundle.dispose();
    }
  });

  test('includes the last words of a process that ends at once, before pino is loaded', async () => {
    const bundle = await bundleProgram(new URL('crashing.ts', import.meta.url).pathname);
    const path = join(directory, 'log');
    try {
      const program = startProgram(bundle.file, ['exit', path]);
      expect(await program.ended).toBe(3);
      expect(await readLines(path)).toMatchObject([{ level: 50, why: 'test', msg: 'last words' }]);
    } finally {
      await bundle.dispose();
    }
  });
});

describe('a log file', () => {
  test('and its one older sister stay within the stated room, readable by the owner only', async () => {
    const path = join(directory, 'log');
    const log = createPinoLog({ level: 'info', destination: path, fileBytesMax: 10_000 });
    log.info({}, 'first');
    await log.flush();
    for (let at = 0; at < 2000; at += 1) log.info({ at }, 'some line of an ordinary length');
    expect((await readdir(directory)).sort()).toEqual(['log', 'log.1']);
    for (const file of ['log', 'log.1']) {
      const { size, mode } = await stat(join(directory, file));
      expect(size).toBeLessThan(10_300);
      expect(mode & 0o777).toBe(0o600);
    }
    const lines = [...(await readLines(`${path}.1`)), ...(await readLines(path))];
    expect(lines.at(-1)?.['at']).toBe(1999);
    expect(
      lines.every((line, at) => at === 0 || line['at'] === Number(lines[at - 1]?.['at']) + 1),
    ).toBe(true);
  });

  test('on a full disk costs lines and never the node, and goes on when there is room', async () => {
    const mount = join(directory, 'mount');
    await mkdir(mount);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', mount]);
    try {
      const path = join(mount, 'log');
      const log = createPinoLog({ level: 'info', destination: path });
      log.info({}, 'first');
      await log.flush();
      for (let at = 0; at < 200; at += 1) log.info({ fill: 'x'.repeat(1000) }, 'filling');
      await rm(path);
      const again = createPinoLog({ level: 'info', destination: path });
      again.info({}, 'after');
      await again.flush();
      execFileSync('mount', ['-o', 'remount,size=1m', mount]);
      again.info({}, 'with room');
      expect(await readFile(path, 'utf8')).toContain('with room');
    } finally {
      execFileSync('umount', ['-l', mount]);
    }
  });
});
