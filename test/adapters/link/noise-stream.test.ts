/** The sealed stream, whatever pieces its bytes come in. */

import { randomBytes } from 'node:crypto';
import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createNoiseStream } from '../../../src/adapters/link/noise-stream.ts';
import { createFrameGuard } from '../../../src/adapters/mqtt/frame-guard.ts';
import type { GatheringStream } from '../../../src/adapters/mqtt/gathering-stream.ts';
import { publishPacket } from '../../../src/adapters/mqtt/publish-packet.ts';
import { xPairOf } from '../../../src/wire/keys.ts';
import { createNoise } from '../../../src/wire/noise.ts';
import type { NoiseSession } from '../../../src/wire/noise.ts';

const packetBytesMax = 256 * 1024;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The sessions of both ends of a link. */
function sessions(): readonly [NoiseSession, NoiseSession] {
  const noise = [true, false].map((isInitiator) => {
    const xSeed = randomBytes(32);
    const { xPublic } = xPairOf(xSeed);
    const prologue = new Uint8Array(4);
    return createNoise({ pattern: 'XX', isInitiator, prologue, xSeed, xPublic });
  });
  const [one, two] = noise as [ReturnType<typeof createNoise>, ReturnType<typeof createNoise>];
  two.read(one.write());
  one.read(two.write());
  two.read(one.write());
  return [one.finish(), two.finish()];
}

/** A connection of which only one end is used: what is written to it is kept, what is put comes out. */
function wire(): { readonly end: Duplex; readonly written: () => Buffer } {
  const parts: Buffer[] = [];
  const end = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      // As a socket does: the bytes are on their way when the next ones are sealed.
      parts.push(Buffer.from(chunk));
      done();
    },
  });
  return { end, written: () => Buffer.concat(parts) };
}

function stream(end: Duplex, session: NoiseSession): GatheringStream {
  return createNoiseStream(
    end,
    session,
    createFrameGuard({ sender: 'client', packetBytesMax }),
    1024 * 1024,
  );
}

const connect = Buffer.from(
  '\u0010\u000c\u0000\u0004MQTT\u0004\u0002\u0000\u0000\u0000\u0000',
  'latin1',
);

/** Packets as a link writes them. */
async function sealed(session: NoiseSession, sizes: readonly number[]): Promise<[Buffer, Buffer]> {
  const { end, written } = wire();
  const sender = stream(end, session);
  const packets = sizes.map((size, at) =>
    publishPacket(
      '$mycel/d',
      new Uint8Array(size).map((_, index) => index * 7 + at),
    ),
  );
  const plain = [connect, ...packets];
  for (const packet of plain) sender.write(packet);
  sender.flush();
  while (sender.queuedBytes() > 0) await nextTurn();
  return [Buffer.concat(plain), written()];
}

const sizes = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 150_000 })),
  {
    minLength: 1,
    maxLength: 6,
  },
);
const cuts = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 70_000 })),
  {
    minLength: 1,
    maxLength: 8,
  },
);

test('two streams whose bytes come in any pieces, in turns, give what was written', async () => {
  await fc.assert(
    fc.asyncProperty(fc.tuple(sizes, sizes), cuts, async (written, pieces) => {
      const ends = await Promise.all(
        written.map(async (one) => {
          const [from, to] = sessions();
          const [plain, bytes] = await sealed(from, one);
          const { end } = wire();
          const receiver = stream(end, to);
          const came: Buffer[] = [];
          receiver.on('data', (chunk: Buffer) => came.push(chunk));
          return { end, came, plain, bytes, at: 0 };
        }),
      );
      for (let turn = 0; ends.some(({ at, bytes }) => at < bytes.length); turn += 1) {
        // One byte at a time would take long: once all cuts were made, the largest one is made again and again.
        const piece = pieces[turn] ?? Math.max(1_000, ...pieces);
        for (const one of ends) {
          if (one.at < one.bytes.length) one.end.push(one.bytes.subarray(one.at, one.at + piece));
          one.at += piece;
        }
        await nextTurn();
      }
      for (const { came, plain } of ends) {
        while (came.reduce((sum, { length }) => sum + length, 0) < plain.length) await nextTurn();
        expect(Buffer.concat(came).equals(plain)).toBe(true);
      }
    }),
    { numRuns: 60 },
  );
});
