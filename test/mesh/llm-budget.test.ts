/** Two gateways on two hosts hold one budget; the LAN between them is cut in the middle, and heals: never is more spent. */

import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Program } from '../process.ts';
import { buildProgram } from './build-program.ts';
import type { Host, MycelProcess } from './lab-host.ts';
import { mintInvite } from './lab-mesh.ts';
import type { Lab } from './lab.ts';
import { shareLab } from './share-lab.ts';

const budget = 1000;

interface Site {
  readonly host: Host;
  readonly process: MycelProcess;
  readonly clients: Program;
  readonly port: number;
}

let lab: Lab;
let sites: readonly Site[];
shareLab({ hosts: 2 }, async (fresh) => {
  lab = fresh;
  const first = await openSite(lab.host(0));
  const second = await openSite(lab.host(1), '--join', await mintInvite(lab.host(0)));
  sites = [first, second];
  await first.process.waitForEvent(
    ({ event, state }) => event === 'member' && state === 'alive',
    20_000,
  );
});

async function openSite(host: Host, ...join: readonly string[]): Promise<Site> {
  const program = await buildProgram('budget-clients.ts', `${host.dataDir}-clients.mjs`);
  const clients = host.start([process.execPath, program]);
  const line = await clients.line((text) => text.startsWith('provider '), 20_000);
  const config = `${host.dataDir}-gateway.yaml`;
  writeFileSync(
    config,
    `http: { port: 0 }
gateways: 2
targets: [{ name: lab, kind: openai, url: "${line.slice(9)}", models: [small] }]
principals: [{ name: bench, tokenEnv: BENCH_TOKEN, budget: { tokens: { day: ${budget} } } }]
`,
  );
  const args = ['gateway', 'up', '--json', '--name', `g${host.at}`, '--config', config];
  const running = host.spawn([...args, '--profile', 'fast', ...join], {
    env: { BENCH_TOKEN: 'bench-token' },
  });
  const ready = await running.waitForEvent(({ event }) => event === 'ready', 20_000);
  const { port } = ready['http'] as { port: number };
  return { host, process: running, clients, port };
}

/** Lets clients ask; gives what each site has been billed so far, and which statuses were seen. */
async function round(...counts: readonly number[]): Promise<{ billed: number; statuses: string }> {
  const told = await Promise.all(
    sites.map(async ({ clients, port }, at) => {
      const known = clients.lines.filter((text) => text.startsWith('billed')).length;
      clients.child.stdin?.write(`${port} ${counts[at] ?? 0}\n`);
      return clients.until(
        'a bill',
        () => clients.lines.filter((text) => text.startsWith('billed'))[known],
        40_000,
      );
    }),
  );
  const fields = told.map((text) => text.split(' '));
  return {
    billed: fields.reduce((sum, [, tokens]) => sum + Number(tokens), 0),
    statuses: fields.map(([, , , statuses]) => statuses).join(' '),
  };
}

test('a budget of 1000 tokens, 50 clients, two gateways, a cut in the middle', async () => {
  // Nearly all ask at one of them: more than its half is used there.
  const before = await round(24, 1);
  lab.partition([lab.host(0)], [lab.host(1)]);
  const cut = await round(49, 1);
  lab.heal();
  // The line is back: what lies at the other one is fetched.
  let after = cut;
  const until = performance.now() + 20_000;
  while (after.billed < budget * 0.97 && performance.now() < until) after = await round(10, 0);
  console.info(JSON.stringify({ before, cut, after }));
  expect(before.statuses).toBe('200 200');
  // More than its half went over one gateway before the cut; during it, what the other holds is out of its reach.
  expect(before.billed).toBeGreaterThan(budget * 0.55);
  expect(cut.statuses).toBe('200,402 200');
  for (const { billed } of [before, cut, after]) expect(billed).toBeLessThanOrEqual(budget);
  expect(after.billed).toBeGreaterThan(budget * 0.97);
}, 90_000);
