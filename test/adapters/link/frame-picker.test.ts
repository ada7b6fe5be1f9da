import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createFramePicker } from '../../../src/adapters/link/frame-picker.ts';
import { laneTopics } from '../../../src/adapters/link/link-session.ts';
import { publishPacket } from '../../../src/adapters/mqtt/publish-packet.ts';

/** The same bytes under a fixed header of another kind. */
function headed(first: number, packet: Buffer): Buffer {
  const copy = Buffer.from(packet);
  copy[0] = first;
  return copy;
}

const payload = fc
  .oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 100, max: 300 }), fc.constant(20_000))
  .map((length) => new Uint8Array(length).map((_, at) => at * 7 + length));
const frame = fc
  .tuple(fc.constantFrom('control', 'data'), payload)
  .map(([lane, bytes]) => ({ packet: publishPacket(laneTopics[lane], bytes), lane, bytes }));
const other = fc
  .oneof(
    fc
      .constantFrom('d000', '20020000', 'e000', '820800010003612f6200')
      .map((hex) => Buffer.from(hex, 'hex')),
    fc
      .tuple(fc.constantFrom('$mycel/e', '$mycel/', '$mycel/cc', 'a/b', '$mycel/C', 'x'), payload)
      .map(([topic, bytes]) => publishPacket(topic, bytes)),
    fc
      .tuple(fc.constantFrom(0x31, 0x32, 0x38), payload)
      .map(([first, bytes]) => headed(first, publishPacket(laneTopics.data, bytes))),
  )
  .map((packet) => ({ packet, lane: undefined, bytes: packet }));

test('of packets that come in any pieces the frames are taken, whole and in order, and the rest is left as it was', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(frame, other), { maxLength: 12 }),
      fc.array(fc.oneof(fc.integer({ min: 1, max: 17 }), fc.integer({ min: 1, max: 30_000 }))),
      (packets, cuts) => {
        const taken: { lane: string; bytes: string }[] = [];
        const picker = createFramePicker((lane, bytes) => {
          taken.push({ lane, bytes: Buffer.from(bytes).toString('base64') });
        });
        const all = Buffer.concat(packets.map(({ packet }) => packet));
        const left: Buffer[] = [];
        for (let at = 0, turn = 0; at < all.length; turn += 1) {
          const end = at + (cuts[turn] ?? all.length);
          left.push(...picker.pick(all.subarray(at, end)).map((one) => Buffer.from(one)));
          at = end;
        }
        const wanted = packets.flatMap(({ lane, bytes }) =>
          lane === undefined ? [] : [{ lane, bytes: Buffer.from(bytes).toString('base64') }],
        );
        expect(taken).toEqual(wanted);
        const rest = packets.flatMap(({ lane, packet }) => (lane === undefined ? [packet] : []));
        expect(Buffer.concat(left).equals(Buffer.concat(rest))).toBe(true);
      },
    ),
  );
});

test('a frame that comes in one piece is a view of it', () => {
  const bytes = publishPacket(laneTopics.control, Uint8Array.of(1, 2, 3));
  const frames: Uint8Array[] = [];
  createFramePicker((_, taken) => frames.push(taken)).pick(bytes);
  expect(frames.map((one) => one.buffer)).toEqual([bytes.buffer]);
});
