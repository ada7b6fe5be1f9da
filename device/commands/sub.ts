/** `mycel sub`: prints messages as they come. */

import { print, type Context } from '../context.ts';
import { connectControl } from '../control-client.ts';
import type { ControlMessage } from '../control-protocol.ts';
import { formatDuration } from '../duration.ts';
import { Failure } from '../failure.ts';
import type { SubFlags } from '../program-node.ts';
import { harmless } from '../terminal.ts';

/** Output waiting for our reader before we stop reading from the node, in bytes; below the terminal's own limit. */
const backlogBytesMax: number = 256 * 1024;

/**
 * Prints messages until the count, the timeout or a signal.
 * @throws {Failure} MYCEL_TIMEOUT when the timeout passes before the count is reached.
 */
export async function sub(context: Context, filter: string, flags: SubFlags): Promise<void> {
  const client = await connectControl(context.dataDir);
  const { terminal } = context;
  let seen = 0;
  let timer: NodeJS.Timeout | undefined;
  const interrupt = { now: (): void => undefined };
  const onSignal = (): void => interrupt.now();
  try {
    await new Promise<void>((resolve, reject) => {
      interrupt.now = resolve;
      process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
      terminal.onClosed(resolve);
      if (flags.timeout !== undefined) {
        const { timeout, count } = flags;
        timer = setTimeout(() => {
          if (count === undefined) resolve();
          else reject(timedOut(seen, count, timeout));
        }, timeout);
      }
      client
        .stream(
          'subscribe',
          { filter },
          {
            event(message) {
              if (flags.count !== undefined && seen >= flags.count) return;
              seen += 1;
              print(context, toJson(message), () => [toText(message, terminal.isTty)]);
              if (terminal.backlogBytes > backlogBytesMax) {
                client.pause();
                terminal.whenDrained(() => client.resume());
              }
              if (seen === flags.count) resolve();
            },
            ended: (failure) => reject(failure ?? nodeStopped()),
          },
        )
        .catch(reject);
    });
  } finally {
    clearTimeout(timer);
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    client.close();
  }
}

/** The payload as text, or as `{base64}` when it is not valid UTF-8. */
export function toJson(message: ControlMessage): Record<string, unknown> {
  const { topic, payloadBase64, origin, qos, retain, at, id } = message;
  const text = asUtf8(payloadBase64);
  return { topic, payload: text ?? { base64: payloadBase64 }, origin, qos, retain, at, id };
}

function toText({ topic, payloadBase64 }: ControlMessage, isTty: boolean): string {
  const payload = asUtf8(payloadBase64) ?? `base64:${payloadBase64}`;
  return isTty ? `${harmless(topic)} ${harmless(payload)}` : `${topic} ${payload}`;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function asUtf8(base64: string): string | undefined {
  try {
    return strict.decode(Buffer.from(base64, 'base64'));
  } catch {
    return undefined;
  }
}

function timedOut(seen: number, count: number, timeoutMs: number): Failure {
  return new Failure(
    'MYCEL_TIMEOUT',
    `${seen} of ${count} messages came in ${formatDuration(timeoutMs)}.`,
    'Check the filter and whether anyone publishes, or wait longer with --timeout.',
  );
}

function nodeStopped(): Failure {
  return new Failure('MYCEL_CONTROL_LOST', 'The node has stopped.', 'Start it with "mycel up".');
}
