import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startMesh, type LabMesh } from './lab-mesh.ts';
import { shareLab } from './share-lab.ts';
import { linkedAs } from './traffic.ts';

const bytes = 5 * 1024 * 1024 + 17;

const digest = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');

describe('blobs by command', () => {
  let mesh: LabMesh;
  shareLab({ hosts: 2 }, async (lab) => {
    mesh = await startMesh(lab, 2, { flags: ['--profile', 'fast'] });
    await linkedAs(mesh, (at) => [1 - at], 20_000);
  });

  test('are put on one host and got on another, listed on both, and refused when nobody has them', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'mycel-blob-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    const content = randomBytes(bytes);
    const [file, copy] = [join(directory, 'in'), join(directory, 'out')];
    await writeFile(file, content);
    const [from, to] = [mesh.node(0).host, mesh.node(1).host];

    const put = await from.cli('blob', 'put', file, '--json');
    expect([put.code, put.json]).toMatchObject([0, { bytes }]);
    const { hash } = put.json as { hash: string };
    const listed = await to.cli('blob', 'ls', '--json');
    expect(listed.json).toEqual([]);

    const got = await to.cli('blob', 'get', hash, '--out', copy, '--json');
    expect([got.code, got.json]).toEqual([0, { hash, bytes, out: copy }]);
    expect(digest(await readFile(copy))).toBe(digest(content));
    expect((await to.cli('blob', 'ls', '--json')).json).toEqual([{ hash, bytes }]);

    const again = await from.cli('blob', 'put', file);
    expect(again.stdout.trim()).toBe(hash);
    const bad = await to.cli('blob', 'get', 'nonsense');
    expect(bad.code).not.toBe(0);
    expect(bad.stderr).toContain('64 hex digits');
    const missing = await to.cli('blob', 'put', join(directory, 'none'));
    expect(missing.code).toBe(2);
  });
});
