/** A budget held in parts: parts move to where they are needed, and no cut, kill or restart lets more be spent in all. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, expect, test } from 'vitest';

import { plantedKey } from './live-gateway.ts';
import { createMeshStage } from './mesh-stage.ts';
import type { MeshStage } from './mesh-stage.ts';

let stage: MeshStage;
let home: string | undefined;
afterEach(async () => {
  await stage.close();
  if (home !== undefined) await rm(home, { recursive: true });
  home = undefined;
});

const config = {
  gateways: 2,
  principals: [{ name: 'bench', tokenEnv: 'PLANTED_KEY', budget: { tokens: { day: 1000 } } }],
};

async function ask(at: number, text: string): Promise<number> {
  const port = stage.gateways[at]?.gateway.http.port;
  const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${plantedKey}` },
    body: JSON.stringify({
      model: 'small',
      temperature: 1,
      messages: [{ role: 'user', content: text }],
    }),
  });
  await response.text();
  return response.status;
}

const billed = (): number =>
  stage.provider.seen.reduce(
    (sum, { billed: cost }) =>
      sum + (cost === undefined ? 0 : cost.prompt_tokens + cost.completion_tokens),
    0,
  );

test('one gateway alone may spend nearly all of it, as long as it hears the other', async () => {
  stage = await createMeshStage(2, 0, () => config);
  const statuses: number[] = [];
  for (let turn = 0; turn < 60; turn += 1) statuses.push(await ask(0, `${turn} 20 words`));
  expect(new Set(statuses)).toEqual(new Set([200, 402]));
  expect(billed()).toBeGreaterThan(900);
  expect(billed()).toBeLessThanOrEqual(1000);
  // Nothing is left there, either.
  expect(await ask(1, 'the other one 20 words')).toBe(402);
});

test('50 clients of two gateways, which are cut from each other in the middle, never spend more', async () => {
  stage = await createMeshStage(2, 0, () => config);
  stage.provider.answerMs = 15;
  const [one, other] = stage.gateways;
  const statuses = new Set<number>();
  let asked = 0;
  await Promise.all(
    Array.from({ length: 50 }, async (_, client) => {
      for (let turn = 0; turn < 4; turn += 1) {
        asked += 1;
        // Nine of ten ask the same one: parts have to move. The line goes after twenty, and comes back.
        if (asked === 20) stage.mesh.cut(one?.id as never, other?.id as never);
        if (asked === 150) stage.mesh.mend(one?.id as never, other?.id as never);
        statuses.add(await ask(client % 10 === 0 ? 1 : 0, `${client} ${turn} 20 words`));
      }
    }),
  );
  expect(billed()).toBeLessThanOrEqual(1000);
  expect(billed()).toBeGreaterThan(600);
  expect(statuses).toEqual(new Set([200, 402]));
}, 60_000);

test('what was given away before a restart is not spent after it', async () => {
  home = await mkdtemp(join(tmpdir(), 'mycel-escrow-'));
  const dataDir = (at: number): string => join(home as string, `g${at}`);
  stage = await createMeshStage(2, 0, () => config, dataDir);
  for (let turn = 0; turn < 15; turn += 1) await ask(0, `${turn} 20 words`);
  for (let turn = 15; turn < 60; turn += 1) await ask(0, `${turn} 20 words`);
  const before = billed();
  expect(before).toBeGreaterThan(900);
  await stage.close();
  // Both forget all but what is on disk, and do not hear of each other.
  stage = await createMeshStage(2, 0, () => config, dataDir);
  stage.mesh.cut(stage.gateways[0]?.id as never, stage.gateways[1]?.id as never);
  for (let turn = 0; turn < 10; turn += 1) {
    await ask(0, `again ${turn} 20 words`);
    await ask(1, `again ${turn} 20 words`);
  }
  expect(before + billed()).toBeLessThanOrEqual(1000);
});

test('a gateway with another budget gives nothing', async () => {
  stage = await createMeshStage(2, 0, (_, at) => ({
    ...config,
    principals: [
      {
        name: 'bench',
        tokenEnv: 'PLANTED_KEY',
        budget: { tokens: { day: at === 0 ? 1000 : 5000 } },
      },
    ],
  }));
  for (let turn = 0; turn < 40; turn += 1) await ask(0, `${turn} 20 words`);
  expect(billed()).toBeLessThanOrEqual(500);
});
