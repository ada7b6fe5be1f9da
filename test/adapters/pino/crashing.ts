/** Logs and dies at once, in the way the first argument says. */

import { createPinoLog } from '../../../src/adapters/pino/pino-log.ts';

const [how = '', path = ''] = process.argv.slice(2);
const log = createPinoLog({ level: 'warn', destination: path });
if (how === 'kill') {
  log.warn({}, 'loading');
  await log.flush();
  for (let at = 0; at < 1000; at += 1) log.warn({ at }, 'tail');
  process.kill(process.pid, 'SIGKILL');
} else {
  log.error({ why: 'test' }, 'last words');
  process.exitCode = 3;
  process.exit();
}
