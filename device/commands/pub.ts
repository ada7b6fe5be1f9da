/** `mycel pub`: publishes one message. */

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { controlPayloadBytesMax } from '../control-protocol.ts';
import { Failure } from '../failure.ts';
import type { PubFlags } from '../program-node.ts';
import { readStdin } from '../stdin.ts';

/** Publishes the payload, or what stdin holds. Resolves when the message is in the node's outbox. */
export async function pub(
  context: Context,
  topic: string,
  payload: string | undefined,
  flags: PubFlags,
): Promise<void> {
  const bytes =
    payload === undefined
      ? await readStdin(context.terminal, 'the payload', controlPayloadBytesMax)
      : Buffer.from(payload, 'utf8');
  if (bytes.length > controlPayloadBytesMax) {
    throw new Failure(
      'MYCEL_TOO_LARGE',
      `The payload has ${bytes.length} bytes.`,
      'Keep a payload below 16 MiB, or put it as a blob.',
    );
  }
  const retain = flags.retain === true;
  const { id } = await callNode(context.dataDir, 'publish', {
    topic,
    payloadBase64: bytes.toString('base64'),
    qos: flags.qos,
    retain,
    ...(flags.channel === undefined ? {} : { channel: flags.channel }),
    ...(flags.urgent === true ? { urgent: true } : {}),
  });
  print(context, { topic, bytes: bytes.length, qos: flags.qos, retain, id }, () => []);
}
