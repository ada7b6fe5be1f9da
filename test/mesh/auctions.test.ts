/** Every kind of auction among three hosts, asked for on the command line: who wins, at what price, and why. */

import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { startMesh, type MeshHost } from './lab-mesh.ts';
import { createLab } from './lab.ts';

const source = fileURLToPath(new URL('./bidding-agent.mjs', import.meta.url));

interface Auction {
  readonly task: string;
  readonly winner: string;
  readonly price: number;
  readonly reason: string;
  readonly bids: readonly { readonly bidder: string; readonly cost: number }[];
}

async function json(node: MeshHost, ...args: readonly string[]): Promise<unknown> {
  const { code, json: value, stderr } = await node.host.cli(...args, '--json');
  if (code !== 0) throw new Error(`mycel ${args.join(' ')}: exit ${code} ${stderr}`);
  return value;
}

test('each kind gives the task to the cheapest host, and mycel auctions tells bids, price and reason', async () => {
  await using lab = await createLab({ hosts: 3 });
  const mesh = await startMesh(lab, 3, { flags: ['--profile', 'fast'] });
  await mesh.viewsComplete();
  const [first, second, third] = mesh.nodes as [MeshHost, MeshHost, MeshHost];
  await json(first, 'deploy', source, '--replicas', '3');
  await expect
    .poll(
      async () => {
        const rows = (await json(first, 'agents')) as { state: string; node: string }[];
        const running = rows.filter(({ state }) => state === 'running');
        return new Set(running.map(({ node }) => node)).size;
      },
      { timeout: 20_000 },
    )
    .toBe(3);

  const input = (...costs: number[]) => ({
    costs: Object.fromEntries(mesh.nodes.map(({ id }, at) => [id, costs[at]])),
  });
  const task = (...costs: number[]) => ({
    kind: 'job',
    effect: 'idempotent',
    input: input(...costs),
    biddingMs: 1_000,
  });
  async function auction(node: MeshHost, kind: string, what: unknown): Promise<Auction[]> {
    const submit = ['task', 'submit', JSON.stringify(what), '--auction', kind, '--wait'];
    const done = await json(node, ...submit);
    const rows = (Array.isArray(done) ? done : [done]) as { id: string; winner: string }[];
    const seen = await Promise.all(rows.map(({ id }) => json(node, 'auctions', id)));
    const auctions = seen.flat() as Auction[];
    expect(auctions.map(({ winner }) => winner)).toEqual(rows.map(({ winner }) => winner));
    console.info(auctions.map(({ price, reason }) => `${kind}: ${price}, ${reason}`).join('\n'));
    return auctions;
  }

  const one = task(90, 50, 20);
  const open = { ...one, costMax: 120, priceStep: 10, priceStepMs: 500 };
  // The first host is best at both; at the least total it gets one of them.
  const pair = [task(10, 40, 90), task(20, 90, 35)];
  const [sealed, vickrey, english, dutch, ...batches] = await Promise.all([
    auction(first, 'first-price', one),
    auction(second, 'vickrey', one),
    auction(third, 'english', open),
    auction(first, 'dutch', open),
    auction(second, 'assignment', pair),
    auction(third, 'single-item', pair),
    auction(first, 'combinatorial', pair),
  ]);
  expect(sealed[0]).toMatchObject({ winner: third.id, price: 20 });
  expect(sealed[0]?.bids.map(({ cost }) => cost)).toEqual([20, 50, 90]);
  expect(vickrey[0]).toMatchObject({ winner: third.id, price: 50 });
  expect(english[0]?.winner).toBe(third.id);
  expect([40, 50]).toContain(english[0]?.price);
  expect(dutch[0]).toMatchObject({ winner: third.id, price: 20 });
  for (const batch of batches) {
    expect(batch.map(({ winner }) => winner)).toEqual([first.id, third.id]);
  }

  const { code, stderr } = await first.host.cli('task', 'submit', '[]', '--auction', 'raffle');
  expect(code).toBe(2);
  expect(stderr).toContain('single-item, assignment, combinatorial');
  await mesh.stop();
}, 120_000);
