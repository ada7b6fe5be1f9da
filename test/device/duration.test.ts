/** Durations as people write them. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { durationMaxMs, formatDuration, parseDuration } from '../../device/duration.ts';

describe('parseDuration', () => {
  it.each([
    ['15m', 900_000],
    ['90s', 90_000],
    ['2h', 7_200_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['250ms', 250],
    ['30d', durationMaxMs],
  ])('reads %s as %d ms', (text, ms) => {
    expect(parseDuration('--ttl', text, undefined)).toBe(ms);
  });

  it.each(['', '15', 'm', '15 m', '-5m', '15x', '1e3s', '0s', '31d', '5mm', '٣m', '9'.repeat(400)])(
    'refuses %j, naming the flag and a good value',
    (text) => {
      expect(() => parseDuration('--ttl', text, undefined)).toThrow(
        expect.objectContaining({
          code: 'MYCEL_USAGE',
          exitCode: 2,
          message: expect.stringContaining('--ttl') as string,
          fix: 'Write --ttl like 90s, 15m or 2h.',
        }),
      );
    },
  );

  it('reads a bare number in the stated unit only', () => {
    expect(parseDuration('--timeout', '2.5', 's')).toBe(2500);
    expect(parseDuration('--timeout', '10', 's')).toBe(10_000);
  });

  it('gives a whole number of ms within the bounds, or a usage failure, for any text', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[0-9.]{1,8}(ms|s|m|h|d)?([0-9]{1,3}[smh])?$/),
    );
    fc.assert(
      fc.property(texts, (text) => {
        try {
          const ms = parseDuration('--x', text, 's');
          expect(Number.isSafeInteger(ms) && ms >= 1 && ms <= durationMaxMs).toBe(true);
        } catch (error) {
          expect(error).toMatchObject({ code: 'MYCEL_USAGE' });
        }
      }),
    );
  });
});

describe('formatDuration', () => {
  it.each([
    [0, '0ms'],
    [120, '120ms'],
    [45_000, '45s'],
    [5_400_000, '1h 30m'],
    [3_600_000, '1h'],
    [90_061_000, '1d 1h'],
    [3_601_000, '1h'],
    [999.7, '1000ms'],
  ])('says %d ms as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});
