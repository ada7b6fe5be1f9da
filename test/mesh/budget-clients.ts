/**
 * A stand-in provider and clients of the gateway on this host, in one process. Prints `provider URL`; each line of stdin
 * `PORT CLIENTS` lets so many clients ask twice each at once, and then `billed TOKENS REQUESTS STATUSES` is printed.
 */

import { createInterface } from 'node:readline';

import { startProvider } from '../gateway/provider.ts';

const provider = await startProvider();
provider.answerMs = 100;
console.log(`provider ${provider.url}`);

let round = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const [port, clients] = line.split(' ').map(Number);
  round += 1;
  const statuses = new Set<number>();
  const ask = async (client: number, turn: number): Promise<void> => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer bench-token' },
      body: JSON.stringify({
        model: 'small',
        temperature: 1,
        max_tokens: 10,
        messages: [{ role: 'user', content: `${round} ${client} ${turn} 5 words` }],
      }),
    });
    await response.text();
    statuses.add(response.status);
  };
  await Promise.all(
    Array.from({ length: clients ?? 0 }, async (_, client) => {
      for (let turn = 0; turn < 2; turn += 1) await ask(client, turn);
    }),
  );
  const tokens = provider.seen.reduce(
    (sum, { billed }) =>
      sum + (billed === undefined ? 0 : billed.prompt_tokens + billed.completion_tokens),
    0,
  );
  console.log(
    `billed ${tokens} ${provider.seen.length} ${[...statuses].toSorted((left, right) => left - right).join(',')}`,
  );
}
await provider.close();
