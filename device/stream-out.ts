/** Prints what a stream of the node gives until a signal, or until nobody reads any more. */

import type { Context } from './context.ts';
import { connectControl } from './control-client.ts';
import type { ControlStreams, StreamName } from './control-protocol.ts';
import { Failure } from './failure.ts';

/** Output waiting for our reader before we stop reading from the node, in bytes; below the terminal's own limit. */
const backlogBytesMax: number = 256 * 1024;

/** Streams until SIGINT or SIGTERM. @throws {Failure} when the node ends it. */
export async function streamOut<Op extends StreamName>(
  { dataDir, terminal }: Context,
  op: Op,
  args: ControlStreams[Op]['args'],
  show: (event: ControlStreams[Op]['event']) => void,
): Promise<void> {
  const client = await connectControl(dataDir);
  const interrupt = { now: (): void => undefined };
  const onSignal = (): void => interrupt.now();
  try {
    await new Promise<void>((resolve, reject) => {
      interrupt.now = resolve;
      process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
      terminal.onClosed(resolve);
      client
        .stream(op, args, {
          event(event) {
            show(event);
            if (terminal.backlogBytes <= backlogBytesMax) return;
            client.pause();
            terminal.whenDrained(() => client.resume());
          },
          ended: (failure) =>
            reject(
              failure ??
                new Failure(
                  'MYCEL_CONTROL_LOST',
                  'The node has stopped.',
                  'Start it with "mycel up".',
                ),
            ),
        })
        .catch(reject);
    });
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    client.close();
  }
}
