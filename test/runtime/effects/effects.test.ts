/** Effects on real nodes: a holder that was stopped for too long is refused at the sink, also after the sink was killed. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleProgram, startProgram } from '../../adapters/child.ts';
import type { Bundle, Program } from '../../adapters/child.ts';
import { createLoopback, startMesh, startNode, until } from '../loopback.ts';

let bundle: Bundle;
let home: string;
beforeAll(async () => {
  bundle = await bundleProgram(fileURLToPath(new URL('holder.ts', import.meta.url)));
  home = await mkdtemp(join(tmpdir(), 'mycel-effects-'));
});
afterAll(async () => {
  await bundle.dispose();
  await rm(home, { recursive: true, force: true });
});

interface Holder {
  readonly program: Program;
  readonly id: string;
  ask(command: string): Promise<Record<string, unknown>>;
  did(): readonly Record<string, unknown>[];
}

async function start(name: string, invite = '-'): Promise<Holder> {
  const program = startProgram(bundle.file, [join(home, name), name, invite]);
  let count = 0;
  const answer = async (id: string): Promise<Record<string, unknown>> =>
    JSON.parse(await program.line((line) => line.startsWith(`{"id":"${id}"`), 60_000)) as Record<
      string,
      unknown
    >;
  const { node } = await answer('ready');
  return {
    program,
    id: String(node),
    ask(command) {
      count += 1;
      program.child.stdin?.write(`${count} ${command}\n`);
      return answer(String(count));
    },
    did: () =>
      program.lines
        .filter((line) => line.startsWith('{"did"'))
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

const invited = async (founder: Holder): Promise<string> =>
  String((await founder.ask('invite'))['invite']);

test(
  'three processes: the holder that slept through its lease is refused, and the sink remembers it over kill -9',
  { timeout: 120_000 },
  async () => {
    const ann = await start('ann');
    const bob = await start('bob', await invited(ann));
    let sink = await start('sink', await invited(ann));
    try {
      for (const one of [ann, bob, sink]) {
        await expect
          .poll(async () => (await one.ask('members'))['alive'], { timeout: 20_000 })
          .toBe(3);
      }
      // A majority must be left when one of them stands still.
      await expect
        .poll(async () => (await ann.ask('voters'))['voters'], { timeout: 40_000 })
        .toBe(3);
      const first = await ann.ask('lock wall 2000');
      expect(await ann.ask(`apply ${sink.id} wall brick-1`)).toMatchObject({ answer: 'done' });
      // Stopped with the lock in its hands; it will not know that it has lost it.
      ann.program.child.kill('SIGSTOP');
      const second = await bob.ask('lock wall 20000');
      expect(second).toMatchObject({ token: expect.any(Number) as number });
      expect(second['token']).toBeGreaterThan(first['token'] as number);
      expect(await bob.ask(`apply ${sink.id} wall brick-2`)).toMatchObject({ answer: 'done' });
      ann.program.child.kill('SIGCONT');
      expect(await ann.ask(`apply ${sink.id} wall late`)).toMatchObject({ code: 'MYCEL_FENCED' });
      expect(sink.did().map((one) => one['did'])).toEqual(['brick-1', 'brick-2']);
      expect((await sink.ask('drops'))['drops']).toMatchObject({ 'effects: fenced': 1 });

      sink.program.child.kill('SIGKILL');
      await sink.program.ended;
      sink = await start('sink');
      await expect
        .poll(async () => (await ann.ask(`apply ${sink.id} wall later`))['code'], {
          timeout: 30_000,
        })
        .toBe('MYCEL_FENCED');
      await expect
        .poll(async () => (await bob.ask(`apply ${sink.id} wall brick-3`))['answer'], {
          timeout: 30_000,
        })
        .toBe('done');
      expect(sink.did().map((one) => one['did'])).toEqual(['brick-3']);
    } finally {
      for (const { program } of [ann, bob, sink]) program.child.kill('SIGKILL');
    }
  },
);

describe('a sink', () => {
  test('tells the running holder that a later one waits, and lets it end first', async () => {
    const [ann, bob] = await startMesh('ann', 'bob');
    if (ann === undefined || bob === undefined) throw new Error('two nodes');
    const order: string[] = [];
    const close = ann.effects.sink('pump', async ({ payload, signal }) => {
      const who = new TextDecoder().decode(payload);
      order.push(`${who} begins`);
      if (who === 'early') {
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        expect(signal.reason).toMatchObject({ code: 'MYCEL_FENCED' });
      }
      order.push(`${who} ends`);
    });
    const early = bob.effects.apply(ann.id, 'pump', { name: 'valve', token: 3 }, 'early');
    await until(() => order.length === 1);
    const late = ann.effects.apply(ann.id, 'pump', { name: 'valve', token: 4 }, 'late');
    await Promise.all([early, late]);
    expect(order).toEqual(['early begins', 'early ends', 'late begins', 'late ends']);
    await expect(
      bob.effects.apply(ann.id, 'pump', { name: 'valve', token: 3 }, 'early'),
    ).rejects.toMatchObject({
      code: 'MYCEL_FENCED',
      message: expect.stringContaining("'valve' is late: the sink 'pump' has seen 4") as string,
    });
    close();
    await expect(
      bob.effects.apply(ann.id, 'pump', { name: 'valve', token: 5 }, 'x'),
    ).rejects.toMatchObject({ code: 'MYCEL_UNKNOWN_METHOD' });
  });

  test('tells what its handler threw, and is opened once', async () => {
    const node = await startNode('alone');
    node.effects.sink('oven', async () => {
      throw new Error('no gas');
    });
    const under = { name: 'oven', token: 1 };
    await expect(node.effects.apply(node.id, 'oven', under, '')).rejects.toMatchObject({
      code: 'MYCEL_HANDLER_FAILED',
    });
    for (const name of ['oven', 'Oven', '', 'a/b']) {
      expect(() => node.effects.sink(name, async () => undefined)).toThrow(
        expect.objectContaining({ code: 'MYCEL_BAD_OPTION' }) as Error,
      );
    }
  });

  test('of another mesh starts anew: tokens of the last one say nothing there', async () => {
    await using loopback = await createLoopback();
    const ann = await loopback.up('ann');
    const bob = await loopback.up('bob');
    bob.effects.sink('pump', async () => 'done');
    const apply = (token: number): Promise<Uint8Array> =>
      bob.effects.apply(bob.id, 'pump', { name: 'valve', token }, '');
    await apply(900);
    await expect(apply(7)).rejects.toMatchObject({ code: 'MYCEL_FENCED' });
    await bob.join((await ann.invite()).invite);
    await apply(7);
    await expect(apply(6)).rejects.toMatchObject({ code: 'MYCEL_FENCED' });
  });
});
