import fc from 'fast-check';
import { expect, test } from 'vitest';
import { deflateRawSync } from 'node:zlib';
import { createFrameWriter, readFrame } from '../../src/wire/frame.ts';
import {
  barrierFrame,
  controlPrefix,
  deflateFrame,
  isSpecialFrame,
  readSpecialFrame,
} from '../../src/wire/special-frame.ts';

function frameOf(...records: readonly Uint8Array[]): Uint8Array {
  const writer = createFrameWriter();
  for (const record of records) writer.add(record);
  return writer.take() ?? new Uint8Array();
}

test('a deflated frame is the frame it was; what does not shrink is left alone', () => {
  const plain = frameOf(new Uint8Array(5_000).fill(7), Uint8Array.of(1, 2, 3));
  const packed = deflateFrame(plain) ?? new Uint8Array();
  expect(packed.length).toBeLessThan(200);
  expect([isSpecialFrame(packed), isSpecialFrame(plain)]).toEqual([true, false]);
  const read = readSpecialFrame(packed);
  if (read?.kind !== 'deflated') throw new Error('it was deflated');
  const records: number[] = [];
  expect(readFrame(read.frame, (record) => records.push(record.length))).toBe(true);
  expect(records).toEqual([5_000, 3]);
  const noise = Uint8Array.from({ length: 4_000 }, (_, at) => (at * 2_654_435_761) >>> 13);
  expect(
    deflateFrame(frameOf(noise.map((value, at) => value ^ ((at * 40_503) >> 4)))),
  ).toBeUndefined();
});

test('a frame that would inflate to more than a frame is refused', () => {
  const bomb = deflateRawSync(new Uint8Array(10_000_000));
  const bytes = new Uint8Array(bomb.length + 2);
  bytes.set([2, 1]);
  bytes.set(bomb, 2);
  expect(readSpecialFrame(bytes)).toBeUndefined();
});

test('control frames and barriers are read as they were written', () => {
  const large = new Uint8Array(500).fill(3);
  const writer = createFrameWriter({ prefix: controlPrefix, bytesMax: 100 });
  const frames = [Uint8Array.of(9), large, Uint8Array.of(8)].map((record) => writer.add(record));
  expect([...frames, writer.take()].map((frame) => frame && readSpecialFrame(frame))).toEqual([
    undefined,
    { kind: 'control', frame: frameOf(Uint8Array.of(9)) },
    { kind: 'control', frame: frameOf(large) },
    { kind: 'control', frame: frameOf(Uint8Array.of(8)) },
  ]);
  expect(readSpecialFrame(barrierFrame(-12))).toEqual({ kind: 'barrier', token: -12 });
  expect(readSpecialFrame(barrierFrame(Number.NaN))).toBeUndefined();
});

test('garbage is refused and never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      bytes[0] = 2;
      const read = readSpecialFrame(bytes);
      if (read !== undefined) expect(['deflated', 'control', 'barrier']).toContain(read.kind);
    }),
    { numRuns: 1_000 },
  );
});
