/** Opens a target of any kind; the libraries of a provider are loaded only when one of its targets is configured. */

import type { TargetConfig } from '../config/load.ts';
import { createOpenAiTarget } from './openai.ts';
import type { Target } from './target.ts';

/** @throws {MycelError} MYCEL_BAD_OPTION when the provider's library is not installed. */
export async function openTarget(config: TargetConfig): Promise<Target> {
  if (config.kind === 'openai' || config.kind === 'ollama') return createOpenAiTarget(config);
  const { openNativeTarget } = await import('./native.ts');
  return openNativeTarget(config);
}
