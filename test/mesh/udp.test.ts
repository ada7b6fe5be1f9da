import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleProgram, type Bundle, type Program } from '../adapters/child.ts';
import type { Lab } from './lab.ts';
import { shareLab } from './share-lab.ts';

describe('a UDP socket of a host', () => {
  let lab: Lab;
  let bundle: Bundle;
  let left: Program;
  let right: Program;

  beforeAll(async () => {
    bundle = await bundleProgram(fileURLToPath(new URL('udp-speaker.ts', import.meta.url)));
  });
  shareLab({ hosts: 2 }, async (fresh) => {
    lab = fresh;
    const [a, b] = [lab.host(0), lab.host(1)];
    left = a.start([process.execPath, bundle.file, b.address]);
    right = b.start([process.execPath, bundle.file, a.address]);
    for (const program of [left, right]) await program.line((line) => line === 'ready', 10_000);
  });
  afterAll(() => bundle.dispose());

  /** Waits for a line that comes from now on. */
  async function next(program: Program, fits: (line: string) => boolean): Promise<string> {
    const from = program.lines.length;
    return await program.until('a new line', () => program.lines.slice(from).find(fits), 15_000);
  }

  test.each(['interface', 'cable'] as const)('outlives the loss of its %s', async (how) => {
    await next(right, (line) => line.startsWith('heard'));
    const before = Number((await next(left, (line) => line.startsWith('failed'))).split(' ')[1]);
    lab.host(0).linkDown(how);
    if (how === 'interface') {
      // Without a route the kernel refuses to send: counted, and nothing worse.
      await next(left, (line) => line.startsWith('failed') && Number(line.split(' ')[1]) > before);
    }
    lab.host(0).linkUp(how);
    await next(right, (line) => line.startsWith('heard'));
    await next(left, (line) => line.startsWith('heard'));
    expect(left.child.exitCode).toBeNull();
  });

  test('outlives a new address', async () => {
    lab.host(0).setAddress('10.77.5.5');
    expect(await next(right, (line) => line === 'heard 10.77.5.5')).toBe('heard 10.77.5.5');
  });
});
