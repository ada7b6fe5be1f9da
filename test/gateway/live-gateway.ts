/** A gateway over stand-in providers, in this process, for tests. */

import { resolveConfig } from '../../gateway/config/load.ts';
import type { ConfigFile } from '../../gateway/config/schema.ts';
import { openGateway } from '../../gateway/gateway.ts';
import type { Gateway } from '../../gateway/gateway.ts';
import { startProvider } from './provider.ts';
import type { Provider } from './provider.ts';

/** What a test works with. */
export interface LiveGateway {
  readonly gateway: Gateway;
  readonly providers: readonly Provider[];
  /** `http://127.0.0.1:…` */
  readonly url: string;
  readonly reports: string[];
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  close(): Promise<void>;
}

/** The key that the stand-ins are given; nothing may ever show it. */
export const plantedKey = 'sk-planted-4f9a1c77e2';

/** Short limits, so that a stall is seen quickly; long enough for a loaded machine. */
const limits = { firstByteMs: 20_000, stallMs: 1_500, answerMs: 20_000 };

/** Starts one provider for each count, and a gateway with a target for each. */
export async function startGateway(
  count = 1,
  config: Partial<ConfigFile> = {},
  target: Partial<ConfigFile['targets'][number]> = {},
  environment: NodeJS.ProcessEnv = {},
  others: ConfigFile['targets'] = [],
  more: { readonly dataDir?: string } = {},
): Promise<LiveGateway> {
  const providers = await Promise.all(Array.from({ length: count }, () => startProvider()));
  const reports: string[] = [];
  const gateway = await openGateway({
    config: resolveConfig(
      {
        http: { port: 0 },
        targets: [
          ...others,
          ...providers.map(({ url }, at) => ({
            name: `stand-in-${at}`,
            kind: 'openai' as const,
            url,
            apiKeyEnv: 'PLANTED_KEY',
            models: ['small', 'large'],
            ...limits,
            ...target,
          })),
        ],
        ...config,
      },
      { PLANTED_KEY: plantedKey, ...environment },
    ),
    report: (text) => void reports.push(text),
    ...more,
  });
  const url = `http://127.0.0.1:${gateway.http.port}`;
  return {
    gateway,
    providers,
    url,
    reports,
    post: (path, body, headers = {}) =>
      fetch(url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    async close() {
      await gateway.close();
      await Promise.all(providers.map((provider) => provider.close()));
    },
  };
}

/** A chat request with one message. */
export function chatOf(text: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return { model: 'small', messages: [{ role: 'user', content: text }], ...more };
}
