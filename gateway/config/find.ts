/** Looks for language models on this machine and its network, so that a gateway can run without a configuration. */

import { readFile } from 'node:fs/promises';

import { LlmFailure } from '../failure.ts';
import { createOpenAiTarget } from '../targets/openai.ts';
import { plainModel } from './load.ts';
import type { TargetConfig } from './load.ts';

/** Where servers listen by default. */
const places = [
  { kind: 'ollama', name: 'ollama', port: 11_434, path: '' },
  { kind: 'openai', name: 'llama-cpp', port: 8080, path: '/v1' },
  { kind: 'openai', name: 'lm-studio', port: 1234, path: '/v1' },
  { kind: 'openai', name: 'vllm', port: 8000, path: '/v1' },
] as const;

/** Neighbours that are asked. */
const neighboursMax = 64;

/** How long a server may take to say what it has, in ms. */
const answerMs = 1_500;

/** How long all of the search may take, in ms. */
const searchMs = 4_000;

/**
 * Asks the usual ports of this machine, of the hosts given, and of those it has lately talked to.
 * @param ownPort not to be asked: it is the gateway's own.
 */
export async function findTargets(
  hosts: readonly string[],
  ownPort: number,
): Promise<readonly TargetConfig[]> {
  const near = [...new Set([...hosts, ...(await arpHosts())])].slice(0, neighboursMax);
  const asked = ['127.0.0.1', ...near].flatMap((host) =>
    places
      .filter(({ port }) => !(host === '127.0.0.1' && port === ownPort))
      .map((place) => ask(host, place)),
  );
  const deadline = new Promise<undefined>((resolve) => {
    setTimeout(() => resolve(undefined), searchMs).unref();
  });
  const found = await Promise.all(asked.map((one) => Promise.race([one, deadline])));
  return found.filter((target) => target !== undefined);
}

async function ask(
  host: string,
  { kind, name, port, path }: (typeof places)[number],
): Promise<TargetConfig | undefined> {
  const isHere = host === '127.0.0.1';
  const config: TargetConfig = {
    name: isHere ? name : `${name}-${host.replaceAll(/[^A-Za-z0-9.-]/g, '-')}`,
    kind,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}${path}`,
    key: undefined,
    models: undefined,
    // These servers work on one request at a time, or say otherwise in their own configuration.
    maxInflight: name === 'vllm' ? 64 : 1,
    firstByteMs: 60_000,
    stallMs: 20_000,
    answerMs: 300_000,
    rate: {},
    isLocal: true,
  };
  const target = createOpenAiTarget({ ...config, firstByteMs: answerMs });
  try {
    const models = await target.listModels(AbortSignal.timeout(answerMs));
    return { ...config, models: models.map(plainModel) };
  } catch (error) {
    if (error instanceof LlmFailure) return undefined;
    throw error;
  } finally {
    target.close();
  }
}

/** Hosts of the local network that this machine has talked to lately (Linux). */
async function arpHosts(): Promise<readonly string[]> {
  const table = await readFile('/proc/net/arp', 'utf8').catch(() => '');
  return table
    .split('\n')
    .slice(1)
    .flatMap(
      (line) => /^(\d+\.\d+\.\d+\.\d+)\s+\S+\s+0x[0-9a-f]*[2-9a-f]\s/i.exec(line)?.[1] ?? [],
    );
}
