/** Word from one gateway to the others about who answers a request, so that a repeat elsewhere is not paid for twice. */

import { encodeLlmFacts } from '../../wire/llm-codec.ts';
import type { PartWorld } from '../parts.ts';
import { claimMethod, gatewayCapability } from './methods.ts';

/** How long the word is sent again, in ms. */
const claimMs = 2_000;

/** Tells every other gateway; does not wait for them. */
export function createClaimer({
  node,
  calls,
  metrics,
}: PartWorld): (id: string, state: 'dispatched' | 'done') => void {
  return (id, state) => {
    for (const { id: gateway, isSelf, state: health, capabilities } of node.members()) {
      if (
        isSelf ||
        health === 'dead' ||
        health === 'left' ||
        !capabilities.includes(gatewayCapability)
      )
        continue;
      calls
        .call(gateway, claimMethod, encodeLlmFacts({ id, state }), { deadlineMs: claimMs })
        .catch(() => metrics.count('llm.claimLost'));
    }
  };
}
