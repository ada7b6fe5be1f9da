import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createFrameWriter, readFrame, recordBytesMax } from '../../src/wire/frame.ts';

const records = fc.array(fc.uint8Array({ minLength: 1, maxLength: 90 }), { maxLength: 60 });

function recordsOf(frame: Uint8Array): Uint8Array[] | undefined {
  const found: Uint8Array[] = [];
  return readFrame(frame, (record) => found.push(record)) ? found : undefined;
}

describe('frames', () => {
  test('carry every record in order, in frames no larger than asked for', () => {
    fc.assert(
      fc.property(records, fc.integer({ min: 100, max: 1_000 }), (all, bytesMax) => {
        const writer = createFrameWriter({ bytesMax });
        const frames: Uint8Array[] = [];
        for (const record of all) {
          const full = writer.add(record);
          if (full !== undefined) frames.push(full);
        }
        const last = writer.take();
        if (last !== undefined) frames.push(last);
        for (const frame of frames) expect(frame.byteLength).toBeLessThanOrEqual(bytesMax);
        expect(frames.flatMap((frame) => recordsOf(frame) ?? [])).toEqual(all);
      }),
    );
  });

  test('give a large record a frame of its own, between its neighbours', () => {
    const writer = createFrameWriter({ bytesMax: 100 });
    expect(writer.add(Uint8Array.of(1))).toBeUndefined();
    expect(recordsOf(writer.add(new Uint8Array(5_000)) ?? new Uint8Array())).toHaveLength(1);
    expect(recordsOf(writer.add(Uint8Array.of(2)) ?? new Uint8Array())?.[0]).toHaveLength(5_000);
    expect(recordsOf(writer.take() ?? new Uint8Array())).toEqual([Uint8Array.of(2)]);
    expect(writer.take()).toBeUndefined();
    expect(writer.pendingBytes()).toBe(0);
  });

  test('stay as they are while later ones are written, until they are given back', () => {
    const writer = createFrameWriter({ bytesMax: 100 });
    const taken: Uint8Array[] = [];
    for (let value = 1; value <= 20; value += 1) {
      writer.add(new Uint8Array(value * 3).fill(value));
      taken.push(writer.take() ?? new Uint8Array());
    }
    for (const [at, frame] of taken.entries()) {
      expect(recordsOf(frame)?.[0]?.every((byte) => byte === at + 1)).toBe(true);
    }
  });

  test('reuse the memory of a frame that was given back', () => {
    const writer = createFrameWriter({ bytesMax: 100 });
    writer.add(new Uint8Array(90));
    const frame = writer.take() ?? new Uint8Array();
    writer.recycle(frame);
    writer.add(new Uint8Array(80));
    expect(writer.take()?.buffer).toBe(frame.buffer);
  });

  test('are refused whole when anything is wrong with them', () => {
    const writer = createFrameWriter();
    writer.add(Uint8Array.of(1, 2, 3));
    writer.add(Uint8Array.of(4));
    const good = writer.take() ?? new Uint8Array();
    expect(recordsOf(good)).toHaveLength(2);
    for (let size = 0; size < good.byteLength; size += 1) {
      // The cut right after the first record leaves a whole frame of one record.
      const wanted = size === 7 ? 1 : undefined;
      expect(recordsOf(good.subarray(0, size))?.length, `${size}`).toBe(wanted);
    }
    for (const [at, value] of [
      [0, 2],
      [1, 1],
      [3, 0],
      [9, 200],
    ] as const) {
      const bad = good.slice();
      bad[at] = value;
      expect(recordsOf(bad)).toBeUndefined();
    }
  });

  test('never hold a record of an illegal size', () => {
    const writer = createFrameWriter();
    expect(() => writer.add(new Uint8Array())).toThrow(RangeError);
    expect(() => writer.add(new Uint8Array(recordBytesMax + 1))).toThrow(RangeError);
    expect(writer.add(new Uint8Array(recordBytesMax))).toBeUndefined();
    expect(writer.take()?.byteLength).toBe(256 * 1024);
  });
});
