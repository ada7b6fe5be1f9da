/** The pipe between a client's socket and aedes: guarded on the way in, gathered on the way out. */

import type { Duplex } from 'node:stream';
import type { FrameGuard } from '../mqtt/frame-guard.ts';
import { GatheringStream } from '../mqtt/gathering-stream.ts';

/** Wraps a client's socket. A packet that the guard refuses destroys the stream with `malformed MQTT: …`. */
export function createClientStream(
  socket: Duplex,
  guard: FrameGuard,
  congestedBytes: number,
): GatheringStream {
  const stream = new GatheringStream(socket, congestedBytes, {
    outbound: (plain) => [plain],
    inbound(chunk) {
      const problem = guard.check(chunk);
      if (problem !== undefined) throw new Error(`malformed MQTT: ${problem}`);
      return [chunk];
    },
  });
  stream.once('close', () => guard.end());
  return stream;
}
