import { describe, expect, test } from 'vitest';

import { MycelError } from '../../src/kernel/errors.ts';
import { checkOptions } from '../../src/runtime/options.ts';

const messageOf = (given: unknown): string => {
  try {
    checkOptions(given);
  } catch (error) {
    if (MycelError.is(error)) return `${error.code} ${error.message}`;
    throw error;
  }
  return 'accepted';
};

describe('node options', () => {
  test('nothing is required', () => {
    expect(checkOptions(undefined)).toEqual({});
    expect(checkOptions({ name: 'küche 1', port: 0, labels: { room: 'lab' } })).toMatchObject({
      port: 0,
    });
  });

  test.each([
    [{ nmae: 'x' }, /There is no option 'nmae'\. Did you mean 'name'\?/],
    [{ zzzzzzzz: 1 }, /Known options: name, dataDir/],
    [{ port: 70_000 }, /'port' must be 0 to 65535/],
    [{ port: '1883' }, /'port' must be a number/],
    [{ port: 1.5 }, /'port' must be a whole number/],
    [{ name: '' }, /'name' must be 1 to 64 characters/],
    [{ name: 'a\u0000b' }, /'name' must be 1 to 64 characters without control/],
    [{ profile: 'lan' }, /'profile' must be wired, wifi, fast or loopback/],
    [{ seeds: ['no port:x'] }, /'seeds\.0' must be host:port/],
    [{ seeds: Array.from({ length: 33 }, () => 'h:1') }, /32 seeds at most/],
    [{ labels: { a: '' } }, /'labels\.a' must be 1 to 64/],
    [
      { labels: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, 'v'])) },
      /32 labels/,
    ],
    [{ backbone: 'http://broker' }, /'backbone' must be like mqtt:\/\/user:password@host/],
    [{ dev: true, join: 'mycel:1:x' }, /exclude each other/],
    [{ mdns: 'no' }, /'mdns' must be true or false/],
    [{ toolPolicy: 'yes' }, /'toolPolicy' must be a function, or a table like/],
    [{ toolPolicy: { lamp: ['keeper'] } }, /'toolPolicy[^']*' /],
    [{ toolPolicy: { 'lamp.set': ['keeper'], 'radio.*': ['*'] } }, /accepted/],
    ['text', /MYCEL_BAD_OPTION/],
    [null, /accepted/],
  ])('%j is answered with the field and the fix', (given, expected) => {
    expect(messageOf(given)).toMatch(expected);
  });
});
