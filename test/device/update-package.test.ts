/** Where `mycel update` gets its package from: a file, or npm with a registry of the test's own. */

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { packPackage } from '../update-package.ts';
import { bundleMycel, type Ended, type Mycel } from './live-mycel.ts';

let mycel: Mycel;
beforeAll(async () => {
  mycel = await bundleMycel();
}, 60_000);
afterAll(() => mycel.stop());

/** A registry that has one version of one package; gives its address and what was asked of it. */
async function registry(
  version: string,
): Promise<{ readonly url: string; readonly asked: string[] }> {
  const tarball = packPackage({ version });
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const { port } = server.address() as AddressInfo;
    if (request.url?.endsWith('.tgz') === true) return void response.end(tarball);
    const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
    const dist = { tarball: `http://127.0.0.1:${port}/mycel/-/mycel-${version}.tgz`, integrity };
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({
        name: 'mycel',
        'dist-tags': { latest: version },
        versions: { [version]: { name: 'mycel', version, dist } },
      }),
    );
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, asked };
}

function update(
  to: string,
  env: NodeJS.ProcessEnv = {},
  more: readonly string[] = [],
): Promise<Ended> {
  const args = ['update', '--to', to, '--json', '--data-dir', mycel.dir('nobody'), ...more];
  return mycel.start(args, env).ended;
}

describe('mycel update', () => {
  it('has npm get a version, and asks the node only then', async () => {
    const { url, asked } = await registry('7.8.9');
    const env = { npm_config_registry: url, npm_config_cache: join(mycel.home, 'npm') };
    const ended = await update('7.8.9', env);
    expect(ended.err).toContain('MYCEL_NO_NODE');
    expect(ended.code).toBe(3);
    expect(asked).toContain('/mycel/-/mycel-7.8.9.tgz');
    const missing = await update('9.9.9', env);
    expect(missing.err).toContain('MYCEL_BAD_PACKAGE');
    expect(missing.err).toContain('Version 9.9.9 cannot be had');
  }, 60_000);

  it('says what is wrong with what it was given', async () => {
    const file = join(mycel.home, 'a.tgz');
    await writeFile(file, packPackage());
    const sum = await update(file, {}, ['--sha256', '00'.repeat(32)]);
    expect([sum.code, sum.err]).toEqual([1, expect.stringContaining('MYCEL_BAD_PACKAGE')]);
    expect((await update('/none.tgz')).err).toContain('Check the path.');
    expect((await update(file)).err).toContain('MYCEL_NO_NODE');
    const both = await update(file, {}, ['kitchen', '--select', 'a=b']);
    expect([both.code, both.err]).toEqual([2, expect.stringContaining('do not go together')]);
  });

  it('does not update a board that the launcher has not started, and says so', async () => {
    const file = join(mycel.home, 'b.tgz');
    await writeFile(file, packPackage());
    await mycel.up('anna');
    const at = ['--json', '--data-dir', mycel.dir('anna')];
    expect((await mycel.run(['update', '--to', file, ...at])).err).toContain('MYCEL_NOT_UPDATABLE');
    const status = await mycel.run(['update', 'status', ...at]);
    expect(JSON.parse(status.out)).toMatchObject({ rollout: null, nodes: [{ name: 'anna' }] });
    const cancel = await mycel.run(['update', 'cancel', ...at]);
    expect(JSON.parse(cancel.out)).toEqual({ isCancelled: false });
    const bare = await mycel.run(['update', ...at]);
    expect([bare.code, bare.err]).toEqual([2, expect.stringContaining('Which version?')]);
  });
});
