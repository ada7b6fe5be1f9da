/** A gateway without a configuration finds the model servers of its machine and of its LAN, or says in one message what to do. */

import { expect, test } from 'vitest';
import { buildProgram } from './build-program.ts';
import type { Host } from './lab-host.ts';
import type { Lab } from './lab.ts';
import { shareLab } from './share-lab.ts';

let lab: Lab;
let program: string;
shareLab({ hosts: 3 }, async (fresh) => {
  lab = fresh;
  program = await buildProgram('model-server.ts', `${lab.host(0).dataDir}-server.mjs`);
});

async function serve(host: Host, model: string, port: number): Promise<void> {
  const server = host.start([process.execPath, program, model, `${port}`]);
  await server.line((line) => line === 'ready', 20_000);
}

test('says in one message how to give it a provider when there is none', async () => {
  const { code, stderr } = await lab.host(2).cli('gateway', 'up');
  expect([code, stderr.trimEnd().split('\n').length]).toEqual([1, 1]);
  expect(stderr).toContain('No language model was found on this machine or network.');
  expect(stderr).toContain('gateway.yaml');
  expect(stderr).toContain('OPENAI_API_KEY');
});

test('finds llama.cpp on its own machine, Ollama and vLLM on a neighbour, and answers with them', async () => {
  const [here, there] = lab.hosts as [Host, Host, Host];
  await serve(here, 'own-model', 8080);
  await serve(there, 'lan-ollama', 11_434);
  await serve(there, 'lan-vllm', 8000);
  // They have spoken before.
  await here.exec(['ping', '-c', '1', there.address]);
  const gateway = here.spawn(['gateway', 'up', '--json', '--name', 'g', '--profile', 'fast']);
  const ready = await gateway.waitForEvent(({ event }) => event === 'ready', 20_000);
  // Its own port is taken by what it found.
  const { port } = ready['http'] as { port: number };
  expect(port).not.toBe(8080);
  const listed = await here.cli('llm', 'targets', '--json');
  const [told] = listed.json as readonly {
    readonly advert: { readonly models: readonly { readonly name: string }[] };
  }[];
  expect(
    told?.advert.models.map(({ name }) => name).toSorted((left, right) => (left < right ? -1 : 1)),
  ).toEqual(['lan-ollama', 'lan-vllm', 'own-model']);
  for (const model of ['own-model', 'lan-ollama', 'lan-vllm']) {
    const { stdout } = await here.cli('llm', 'ask', 'hello', 'there', '--model', model);
    expect(stdout).toContain('hello-0 there-1');
  }
});
