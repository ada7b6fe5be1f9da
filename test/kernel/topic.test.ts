/** Topics and filters follow MQTT 3.1.1 section 4.7, compared with a second, different implementation. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  filterProblem,
  isReservedTopic,
  topicLengthMax,
  topicLevelsMax,
  topicMatches,
  topicProblem,
} from '../../src/kernel/topic.ts';

/** The oracle: a filter as a regular expression. */
function matchesByPattern(filter: string, topic: string): boolean {
  const pattern = filter
    .split('/')
    .map((level) => {
      if (level === '+') return '[^/]*';
      return level === '#' ? '#' : level.replace(/[.*?^${}()|[\]\\]/g, '\\$&');
    })
    .join('/')
    .replace(/^#$/, '.*')
    .replace(/\/#$/, '(/.*)?');
  const isHidden = topic.startsWith('$') && /^[+#]/.test(filter);
  return !isHidden && new RegExp(`^${pattern}$`, 's').test(topic);
}

const level = fc.constantFrom('a', 'b', '', 'sport', '$SYS', 'a.c', '(', '$');
const topics = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/'));
const filters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([levels, isOpen]) => [...levels.slice(isOpen ? 1 : 0), ...(isOpen ? ['#'] : [])].join('/'));

test('matching equals the oracle', () => {
  fc.assert(
    fc.property(filters, topics, (filter, topic) => {
      expect(topicMatches(filter, topic)).toBe(matchesByPattern(filter, topic));
    }),
    { numRuns: 5_000 },
  );
});

describe('the examples of the standard', () => {
  test.each([
    ['sport/tennis/player1/#', 'sport/tennis/player1', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
    ['sport/#', 'sport', true],
    ['#', 'sport/tennis', true],
    ['sport/tennis/+', 'sport/tennis/player1', true],
    ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
    ['#', '$SYS/uptime', false],
    ['+/monitor/Clients', '$SYS/monitor/Clients', false],
    ['$SYS/#', '$SYS/uptime', true],
    ['$SYS/monitor/+', '$SYS/monitor/Clients', true],
    ['ACCOUNTS', 'Accounts', false],
  ])('%s and %s: %s', (filter, topic, isMatch) => {
    expect(topicMatches(filter, topic)).toBe(isMatch);
  });

  test.each(['sport/tennis#', 'sport/tennis/#/ranking', 'sport+', '', '++', '#/a'])(
    'the filter %j is refused',
    (filter) => expect(filterProblem(filter)).toBeTypeOf('string'),
  );

  test.each(['#', '+', '+/tennis/#', 'sport/+/player1', '/', '/finance', 'Accounts payable'])(
    'the filter %j is fine',
    (filter) => expect(filterProblem(filter)).toBeUndefined(),
  );
});

test('a topic without a problem is a filter that matches itself', () => {
  fc.assert(
    fc.property(topics, (topic) => {
      if (topicProblem(topic) !== undefined) return;
      expect(filterProblem(topic)).toBeUndefined();
      expect(topicMatches(topic, topic)).toBe(true);
    }),
  );
});

test.each([
  ['', 'it is empty'],
  ['a/+', 'wildcard'],
  ['a#', 'wildcard'],
  ['a\u0000b', 'control'],
  ['a\u0085b', 'control'],
  ['a\ud800', 'Unicode'],
  ['\udc00a', 'Unicode'],
  ['x'.repeat(topicLengthMax + 1), 'longer'],
  ['/'.repeat(topicLevelsMax), 'levels'],
])('the topic %j is refused', (topic, reason) => {
  expect(topicProblem(topic)).toContain(reason);
});

test('a topic is refused for a control character or half a character, wherever it stands', () => {
  const units = fc.constantFrom(
    'a',
    '/',
    '\u0000',
    '\u001f',
    '\u007f',
    '\u009f',
    '\u00a0',
    '\ud800',
    '\udbff',
    '\udc00',
    '\udfff',
    '\ue000',
    '😀',
  );
  fc.assert(
    fc.property(fc.array(units, { minLength: 1, maxLength: 12 }), (parts) => {
      const topic = parts.join('');
      const isControl = /\p{Cc}/u.test(topic);
      const isHalf = /\p{Cs}/u.test(topic);
      expect(topicProblem(topic) !== undefined).toBe(isControl || isHalf);
    }),
    { numRuns: 5_000 },
  );
});

test.each(['a', '/', 'x'.repeat(topicLengthMax), '/'.repeat(topicLevelsMax - 1), 'emoji/😀'])(
  'the topic %j is fine',
  (topic) => expect(topicProblem(topic)).toBeUndefined(),
);

test('only the mesh root itself and what lies below it is reserved', () => {
  expect(['$mycel', '$mycel/x', '$mycel/#'].every(isReservedTopic)).toBe(true);
  expect(['$mycelium', 'mycel', '$SYS/mycel', '/$mycel'].some(isReservedTopic)).toBe(false);
});
