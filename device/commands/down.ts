/** `mycel down`: stops the node and returns when it has stopped. */

import { print, type Context } from '../context.ts';
import { connectControl } from '../control-client.ts';
import { Failure } from '../failure.ts';

/** How long a node may take to stop, in ms. */
const downMs = 20_000;

/** Asks, then waits for the node to close the connection: it does so last of all. */
export async function down(context: Context, sleepMs: number | undefined): Promise<void> {
  const client = await connectControl(context.dataDir);
  let timer: NodeJS.Timeout | undefined;
  try {
    await client.call('down', sleepMs === undefined ? {} : { sleepMs });
    await Promise.race([
      client.closed,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(stillRunning()), downMs);
      }),
    ]);
  } finally {
    clearTimeout(timer);
    client.close();
  }
  print(context, { stopped: true }, () => ['The node has stopped.']);
}

function stillRunning(): Failure {
  return new Failure(
    'MYCEL_NO_ANSWER',
    'The node has not stopped yet.',
    'Wait a little, or end its process with a signal.',
  );
}
