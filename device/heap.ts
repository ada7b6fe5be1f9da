/** A heap that stays small without becoming slow: V8 lets its own grow with what a browser has (docs/decisions/0055). */

import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** What the old generation may grow by between two collections, in percent of what lives in it. */
const growthPercent = 30;

/** From this size on the young generation does not grow, in bytes: V8 would make it several times as large. */
const youngBytesMax = 8 * 1024 * 1024;

/** Sets it for the whole process, from now on. Call it before much is loaded. */
export function keepHeapSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${growthPercent}`);
  // A collection of two megabytes is done before a helper thread is awake (docs/decisions/0066).
  setFlagsFromString('--no-parallel-scavenge');
  let mayGrow = true;
  const look = (): void => {
    const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
    const may = (young?.space_size ?? 0) < youngBytesMax;
    if (may === mayGrow) return;
    mayGrow = may;
    setFlagsFromString(`--semi-space-growth-factor=${may ? 2 : 1}`);
  };
  new PerformanceObserver(look).observe({ entryTypes: ['gc'] });
}
