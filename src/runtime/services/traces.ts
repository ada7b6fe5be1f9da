/** Names of requests: 16 hex digits, different for each request that begins somewhere in the mesh. */

import type { Random } from '../../kernel/random.ts';

/** Builds what draws them: 48 bits are drawn for 65 536 requests, 16 are counted up. To draw all for each call costs. */
export function createTraces(random: Random): () => string {
  const draw = (): string => random.below(0x1_0000_0000).toString(16).padStart(8, '0');
  let stem = '';
  let count = 0;
  return () => {
    if (count === 0) stem = draw() + draw().slice(4);
    const digits = (0x1_0000 + count).toString(16).slice(1);
    count = (count + 1) % 0x1_0000;
    return stem + digits;
  };
}
