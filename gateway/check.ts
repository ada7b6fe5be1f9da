/** Tries every target once, as a request would, and says what is wrong with each. */

import type { TargetConfig } from './config/load.ts';
import { toLlmFailure } from './failure.ts';
import { Halt } from './halt.ts';
import { openTarget } from './targets/open.ts';

/** How long one target may take, in ms. */
const checkMs = 30_000;

/** What a target had to say. */
export interface TargetCheck {
  readonly target: string;
  readonly isOk: boolean;
  /** What it has, or what is wrong. */
  readonly text: string;
  readonly models: readonly string[];
  /** Until it had answered a short question, in ms. */
  readonly ms: number | undefined;
}

/** Lists the models of every target, then asks the first one for a few tokens. */
export function checkTargets(targets: readonly TargetConfig[]): Promise<readonly TargetCheck[]> {
  return Promise.all(targets.map(checkTarget));
}

async function checkTarget(config: TargetConfig): Promise<TargetCheck> {
  const signal = AbortSignal.timeout(checkMs);
  const failed = (error: unknown, models: readonly string[]): TargetCheck => ({
    target: config.name,
    isOk: false,
    text: toLlmFailure(error).message,
    models,
    ms: undefined,
  });
  let target;
  try {
    target = await openTarget(config);
  } catch (error) {
    return { ...failed(error, []), text: (error as Error).message };
  }
  const configured = config.models?.map(({ as }) => as) ?? [];
  try {
    // Some servers do not list; what they are asked for then is what counts.
    const listed = await target.listModels(signal).catch((error: unknown) => {
      if (configured.length === 0) throw error;
      return configured;
    });
    const models = configured.length > 0 ? configured : listed;
    const missing = models.filter((model) => !listed.includes(model));
    const [first] =
      config.models?.filter(({ isEmbeddings }) => !isEmbeddings).map(({ as }) => as) ?? listed;
    if (first === undefined) {
      return { target: config.name, isOk: false, text: 'It has no model.', models, ms: undefined };
    }
    const at = performance.now();
    const body = { model: first, messages: [{ role: 'user', content: 'Say ok.' }], max_tokens: 16 };
    for await (const _ of target.ask({
      kind: 'chat',
      body,
      isStream: true,
      halt: Halt.of(signal),
      ttlMs: checkMs,
    })) {
      // Only that it comes to its end counts.
    }
    const text =
      missing.length === 0
        ? `${models.length} models`
        : `it does not list ${missing.join(', ')}, but '${first}' answers`;
    return {
      target: config.name,
      isOk: true,
      text,
      models,
      ms: Math.round(performance.now() - at),
    };
  } catch (error) {
    return failed(error, configured);
  } finally {
    target.close();
  }
}
