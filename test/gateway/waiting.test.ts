/** A gateway that is killed while requests wait for a target: they wait on, are asked for once, and whoever comes back is answered. */

import { execFileSync } from 'node:child_process';
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';

import { plainPrincipal } from '../../gateway/config/load.ts';
import type { Ask } from '../../gateway/policy/ask.ts';
import { openWaitingLog, waitingBytesMax } from '../../gateway/policy/waiting-log.ts';
import { startGateways } from './gateway-processes.ts';
import type { GatewayProcess, GatewayProcesses } from './gateway-processes.ts';
import { chatOf } from './live-gateway.ts';
import { startProvider } from './provider.ts';
import type { Provider } from './provider.ts';

let stage: GatewayProcesses;
let gateway: GatewayProcess;
let provider: Provider;
beforeAll(async () => {
  stage = await startGateways(1, 'offline: [queue]');
  [gateway = gateway] = stage.gateways;
  ({ provider } = stage);
}, 90_000);
afterAll(async () => {
  await stage?.stop();
  await provider?.close();
});

async function waitingCount(): Promise<number> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  return Number(/^mycel_llm_waiting_offline (\d+)$/m.exec(text)?.[1]);
}

function ask(text: string, key: string): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'idempotency-key': key },
    body: JSON.stringify(chatOf(text)),
  });
}

test('what waits outlives a kill: it is asked for once, and kept for who asks again', async () => {
  await provider.close();
  // A program of this computer, and a device; the one loses its connection, the other does not notice.
  const lost = ask('over http', 'key-1').catch(() => undefined);
  const waits = stage.device.llm.chat(
    { ...chatOf('over the mesh') },
    { ttlMs: 100_000, id: 'key-2' },
  );
  await vi.waitFor(async () => expect(await waitingCount()).toBe(2), 15_000);
  const file = join(gateway.dataDir, 'gateway', 'waiting');
  await vi.waitFor(async () => {
    const text = await readFile(file, 'utf8');
    expect([text.includes('key-1'), text.includes('key-2')]).toEqual([true, true]);
  }, 15_000);
  await gateway.kill();
  await lost;
  await gateway.start();
  await vi.waitFor(async () => expect(await waitingCount()).toBeGreaterThanOrEqual(2), 20_000);
  provider = await startProvider(['small'], Number(new URL(provider.url).port));
  expect((await waits).text).toContain('over-0 the-1 mesh-2');
  // Nobody asked again for the other one, and it was answered all the same.
  await vi.waitFor(
    () => expect(provider.seen.map(({ isComplete }) => isComplete)).toEqual([true, true]),
    20_000,
  );
  const again = await ask('over http', 'key-1');
  expect(await again.json()).toMatchObject({
    choices: [{ message: { content: expect.stringContaining('over-0 http-1') } }],
  });
  expect(provider.seen).toHaveLength(2);
}, 120_000);

const askOf = (id: string, more: Partial<Ask> = {}): Ask => ({
  id,
  isIdGiven: true,
  kind: 'chat',
  body: chatOf(id),
  principal: plainPrincipal('p'),
  agent: 'a',
  class: 1,
  ttlMs: 60_000,
  isStream: true,
  cacheMs: undefined,
  ...more,
});

test('what is written down has a bound, an end, and no use for half a line', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'mycel-waiting-'));
  const file = join(dir, 'gateway', 'waiting');
  let wall = 1_000_000;
  const open = (): ReturnType<typeof openWaitingLog> => openWaitingLog(file, () => wall);
  const log = await open();
  log.put(askOf('stays'), 60_000);
  log.put(askOf('asked'), 60_000);
  log.put(askOf('short'), 5_000);
  log.asked(askOf('stays'));
  log.put(askOf('stays'), 60_000);
  log.put(askOf('doubtful'), 60_000);
  log.asked(askOf('doubtful'));
  log.put(askOf('nameless', { isIdGiven: false }), 60_000);
  log.put(askOf('huge', { body: chatOf('x'.repeat(waitingBytesMax)) }), 60_000);
  log.asked(askOf('asked'));
  log.drop(askOf('asked'));
  log.freeze();
  // Whoever ends it with the gateway has not given up.
  log.drop(askOf('stays'));
  await log.close();
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  await appendFile(file, '["in","p/torn",1060000,60');
  wall += 10_000;
  const next = await open();
  expect(next.before.map(({ id, isDoubtful }) => [id, isDoubtful])).toEqual([
    ['stays', false],
    ['doubtful', true],
  ]);
  expect(next.before.slice(0, 1)).toEqual([
    { ...askOf('stays'), principal: 'p', ttlMs: 50_000, isDoubtful: false, isIdGiven: undefined },
  ]);
  await next.close();
  // A clock that was set back gives nobody more time than there was.
  wall -= 900_000;
  const back = await open();
  expect(back.before.map(({ ttlMs, isDoubtful }) => [ttlMs, isDoubtful])).toEqual([
    [60_000, false],
    [60_000, true],
  ]);
  await back.close();
  await rm(dir, { recursive: true });
});

test('what a full disk did not take is written down once there is room', async () => {
  const mount = await mkdtemp(join(tmpdir(), 'mycel-waiting-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', mount]);
  onTestFinished(async () => {
    execFileSync('umount', ['--lazy', mount]);
    await rm(mount, { recursive: true });
  });
  const file = join(mount, 'gateway', 'waiting');
  const filler = join(mount, 'filler');
  const large = (id: string): Ask => askOf(id, { body: chatOf('x'.repeat(30_000)) });
  const told: unknown[] = [];
  const open = (): ReturnType<typeof openWaitingLog> =>
    openWaitingLog(
      file,
      () => 1_000_000,
      (trouble) => told.push(trouble),
    );
  const log = await open();
  await writeFile(filler, Buffer.alloc(88 * 1024));
  log.put(large('there'), 60_000);
  log.put(large('half there'), 60_000);
  await vi.waitFor(() => expect(told).toEqual([{ reason: 'ENOSPC', waiting: 2 }]));
  expect((await stat(file)).size).toBeGreaterThan(35_000);
  expect(await readFile(file, 'utf8')).not.toMatch(/half there.*\n/);
  log.put(askOf('later'), 60_000);
  log.put(askOf('gone'), 60_000);
  log.drop(askOf('gone'));
  expect(log.trouble()).toEqual({ reason: 'ENOSPC', waiting: 3 });
  await rm(filler);
  await vi.waitFor(() => expect(told).toHaveLength(2), 10_000);
  expect([told[1], log.trouble()]).toEqual([undefined, undefined]);
  expect(await readFile(file, 'utf8')).toMatch(/later".*\n$/);
  log.put(askOf('after'), 60_000);
  await log.close();
  const next = await open();
  expect(next.before.map(({ id }) => id)).toEqual(['there', 'half there', 'later', 'after']);
  await next.close();
});
