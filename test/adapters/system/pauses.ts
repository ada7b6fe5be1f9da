/** Reports what its watches see, and blocks its own loop when told to. */

import { createInterface } from 'node:readline';
import { createSystemClock } from '../../../src/adapters/system/clock.ts';
import { startLoopMonitor } from '../../../src/adapters/system/loop.ts';
import { startSuspendWatch } from '../../../src/adapters/system/suspend.ts';

function say(what: string, ms = 0): void {
  process.stdout.write(`${what} ${Math.round(ms)}\n`);
}

const monitor = startLoopMonitor({ spike: (lag) => say('spike', lag) });
startSuspendWatch((gap, kind) => say(kind, gap));

const clock = createSystemClock();
let lastRing = clock.now();
function watchAlarm(): void {
  clock.alarm(clock.now() + 200, () => {
    const late = clock.now() - lastRing - 200;
    lastRing = clock.now();
    if (late > 1500) say('alarm', late);
    watchAlarm();
  });
}
watchAlarm();

createInterface({ input: process.stdin }).on('line', (line) => {
  const until = performance.now() + Number(line);
  while (performance.now() < until);
  setTimeout(() => say('lag', monitor.lagMs()), 300);
});
say('ready');
