/** Gateways tell each other before they ask: a repeat through another one finds the answer that is under way. */

import { afterEach, expect, test, vi } from 'vitest';

import { plantedKey } from './live-gateway.ts';
import { createMeshStage } from './mesh-stage.ts';
import type { GatewaySeat, MeshStage } from './mesh-stage.ts';

let stage: MeshStage;
afterEach(() => stage.close());

const seat = (at: number): GatewaySeat => stage.gateways[at] as GatewaySeat;
const whole = (prompt: string, words: number): string => {
  const source = prompt.split(' ');
  return Array.from({ length: words }, (_, at) => `${source[at % source.length]}-${at}`).join(' ');
};

/** Asks a gateway by HTTP with an id of the client's own. */
function post(at: number, text: string, id: string, isStream = false): Promise<Response> {
  return fetch(`http://127.0.0.1:${seat(at).gateway.http.port}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${plantedKey}`, 'idempotency-key': id },
    body: JSON.stringify({
      model: 'small',
      temperature: 1,
      stream: isStream,
      messages: [{ role: 'user', content: text }],
    }),
  });
}

async function saidIn(response: Response): Promise<string | undefined> {
  const body = (await response.json()) as { choices?: { message: { content: string } }[] };
  return body.choices?.[0]?.message.content;
}

/** The words of a stream; undefined unless it says that it is finished. */
async function streamedIn(response: Response): Promise<string | undefined> {
  const lines = (await response.text())
    .split('\n')
    .flatMap((line) => line.split('data: ')[1] ?? []);
  if (lines.at(-1) !== '[DONE]') return undefined;
  return lines
    .slice(0, -1)
    .map((line) => {
      const chunk = JSON.parse(line) as { choices: { delta: { content?: string } }[] };
      return chunk.choices[0]?.delta.content ?? '';
    })
    .join('');
}

const bench = { principals: [{ name: 'bench', tokenEnv: 'PLANTED_KEY' }] };

test('a repeat through another gateway gets the answer under way, as a whole and as a stream', async () => {
  stage = await createMeshStage(2, 0, () => bench);
  stage.provider.pieceMs = 10;
  const first = post(0, 'ask 40 words', 'one', true);
  await vi.waitFor(() => expect(stage.provider.seen).toHaveLength(1), 10_000);
  const [again, streamed] = await Promise.all([
    post(1, 'ask 40 words', 'one'),
    post(1, 'ask 40 words', 'one', true),
  ]);
  expect(again.headers.get('x-mycel-cache')).toBe('coalesced');
  const text = whole('ask 40 words', 40);
  expect(await streamedIn(await first)).toBe(text);
  expect(await saidIn(again)).toBe(text);
  expect(await streamedIn(streamed)).toBe(text);
  // What is over is kept.
  expect(await saidIn(await post(1, 'ask 40 words', 'one'))).toBe(text);
  expect(stage.provider.seen).toHaveLength(1);
  expect(stage.gateways.map(({ gateway }) => gateway.possibleDoubleBills())).toEqual([0, 0]);
});

test('of two that begin the same at once, one asks the target', async () => {
  stage = await createMeshStage(3, 0, () => bench);
  for (let round = 0; round < 10; round += 1) {
    const answers = await Promise.all(
      [0, 1, 2].map(async (at) => saidIn(await post(at, `round ${round}`, `id ${round}`))),
    );
    expect(new Set(answers)).toEqual(new Set([whole(`round ${round}`, 12)]));
  }
  expect(stage.provider.seen).toHaveLength(10);
});

test('ids belong to their principals, and another request under the same id is refused', async () => {
  stage = await createMeshStage(2, 1, () => bench);
  const release = stage.provider.hold();
  const first = post(0, 'mine', 'one');
  await vi.waitFor(() => expect(stage.provider.seen).toHaveLength(1), 10_000);
  const conflict = await post(1, 'another', 'one');
  expect([
    conflict.status,
    ((await conflict.json()) as { error: { code: string } }).error.code,
  ]).toEqual([422, 'idempotency_conflict']);
  const foreign = stage.devices[0]?.llm.chat('mine', { id: 'one' });
  await vi.waitFor(() => expect(stage.provider.seen).toHaveLength(2), 10_000);
  release();
  expect((await first).status).toBe(200);
  expect((await foreign)?.text).toBe(whole('mine', 12));
});

test('the others know before the target is asked: what died is counted, never billed twice in silence', async () => {
  stage = await createMeshStage(2, 0, () => bench);
  const release = stage.provider.hold();
  const lost = post(0, 'ask', 'one').catch(() => undefined);
  await vi.waitFor(() => expect(stage.provider.seen).toHaveLength(1), { interval: 1 });
  await seat(0).kill();
  release();
  expect(await saidIn(await post(1, 'ask', 'one'))).toBe(whole('ask', 12));
  await lost;
  expect(stage.provider.seen).toHaveLength(2);
  expect(seat(1).gateway.possibleDoubleBills()).toBe(1);
});

test.each([false, true])(
  'when the gateway that answers dies under a repeat, it begins anew unless a stream was told (stream: %s)',
  async (isStream) => {
    stage = await createMeshStage(2, 0, () => bench);
    stage.provider.pieceMs = 10;
    const lost = post(0, 'ask 60 words', 'one', true).catch(() => undefined);
    await vi.waitFor(() => expect(stage.provider.seen).toHaveLength(1), 10_000);
    const again = post(1, 'ask 60 words', 'one', isStream);
    await vi.waitFor(() => expect(stage.provider.seen[0]?.sent).toBeGreaterThan(10), 10_000);
    await seat(0).kill();
    const response = await again;
    if (isStream) expect(await streamedIn(response)).toBeUndefined();
    else expect(await saidIn(response)).toBe(whole('ask 60 words', 60));
    await (await lost)?.text().catch(() => undefined);
    expect(stage.provider.seen).toHaveLength(isStream ? 1 : 2);
    expect(seat(1).gateway.possibleDoubleBills()).toBe(1);
  },
);

test('a gateway that cannot hear the others goes on after a moment', async () => {
  stage = await createMeshStage(2, 0, () => bench);
  stage.mesh.cut(seat(0).id, seat(1).id);
  expect(await saidIn(await post(0, 'ask', 'one'))).toBe(whole('ask', 12));
});

test('a gateway with more than its share of the load is passed over', async () => {
  stage = await createMeshStage(2, 1, () => bench);
  const release = stage.provider.hold();
  const device = stage.devices[0]?.llm;
  const before = Array.from({ length: 12 }, (_, at) => post(0, `load ${at}`, `load ${at}`));
  await vi.waitFor(() => expect(seat(0).gateway.engine.inflight()).toBe(12), 10_000);
  await device?.targets();
  const asked = Array.from({ length: 20 }, (_, at) => device?.chat(`question ${at}`));
  await vi.waitFor(() => expect(seat(1).gateway.engine.inflight()).toBe(20), 10_000);
  expect(seat(0).gateway.engine.inflight()).toBe(12);
  release();
  await Promise.all([...before, ...asked]);
});
