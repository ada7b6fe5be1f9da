import { describe, expect, test } from 'vitest';
import type { ChannelOptions } from '../../../src/index.ts';
import { checkOptions } from '../../../src/runtime/options.ts';
import { channelTableOf, channelsOf } from '../../../src/runtime/channels/channel-options.ts';

const refused: readonly [string, Record<string, unknown>, string][] = [
  ['a class that is none', { a: { class: 'effect' } }, "'signal' or 'event'"],
  ['no class', { a: {} }, "'signal' (qos 0) or 'event' (qos 1)"],
  [
    'events that are dropped',
    { a: { class: 'event', overflow: 'drop-oldest' } },
    "'block' or 'reject'",
  ],
  [
    'signals that wait',
    { a: { class: 'signal', overflow: 'block' } },
    "'latest-per-topic' or 'drop-oldest' or 'drop-newest'",
  ],
  [
    'an overflow that is none',
    { a: { class: 'event', overflow: 'explode' } },
    "'block' or 'reject'",
  ],
  ['a filter that is none', { a: { class: 'signal', topics: ['a/#/b'] } }, "'a/#/b'"],
  [
    'sizes that exclude each other',
    { a: { class: 'signal', topics: ['#'], bytesMin: 9, bytesMax: 3 } },
    "'bytesMin'",
  ],
  ['sizes without topics', { a: { class: 'signal', bytesMin: 9 } }, "'topics'"],
  ['urgency without topics', { a: { class: 'signal', urgent: true } }, "'topics' besides 'urgent'"],
  ['an urgent built-in', { events: { urgent: true } }, "no 'urgent'"],
  ['a queue that holds nothing', { a: { class: 'signal', queueBytes: 1 } }, '65536 to 67108864'],
  [
    'a priority of coordination',
    { a: { class: 'signal', priority: 0 } },
    'from 1, first served, to 9',
  ],
  [
    'another class of a built-in one',
    { data: { class: 'event' } },
    "'priority', 'queueBytes' and 'compressAbove'",
  ],
  ['a later coordination', { coordination: { priority: 9 } }, 'always served first'],
  ['a name with a space', { 'my channel': { class: 'signal' } }, 'all lower case'],
  ['a field that is none', { a: { class: 'signal', speed: 3 } }, 'channels.a'],
  [
    'too many',
    Object.fromEntries(Array.from({ length: 9 }, (_, at) => [`c${at}`, { class: 'signal' }])),
    'at most 8',
  ],
];

describe('the channels of a node', () => {
  test.each(refused)(
    'are refused with %s, and the refusal says what is allowed',
    (_, channels, words) => {
      expect(() => checkOptions({ channels })).toThrow(
        expect.objectContaining({
          code: 'MYCEL_BAD_OPTION',
          message: expect.stringContaining(words),
        }) as Error,
      );
    },
  );

  test('take messages by topic, size and class', () => {
    const given: Record<string, ChannelOptions> = {
      video: { class: 'signal', topics: ['cam/#'], bytesMin: 1_000, overflow: 'drop-oldest' },
      audit: { class: 'event', topics: ['audit/+'] },
      gossip: { priority: 9 },
    };
    const table = channelTableOf(given);
    expect(table.choose('signal', 'cam/1', 5_000).name).toBe('video');
    expect(table.choose('signal', 'cam/1', 10).name).toBe('data');
    expect(table.choose('event', 'cam/1', 5_000).name).toBe('events');
    expect(table.choose('event', 'audit/door', 5).name).toBe('audit');
    expect(table.builtIn.gossip.priority).toBe(9);
    expect(table.all.map(({ name }) => name)).toEqual([
      'coordination',
      'gossip',
      'data',
      'events',
      'video',
      'audit',
    ]);
  });

  test('give urgent messages a channel of their own, where one fits', () => {
    const table = channelTableOf({
      alarms: { class: 'event', topics: ['alarm/#'], urgent: true, bytesMax: 9_000 },
    });
    const urgent = { urgent: true };
    expect(table.wished(urgent, 1, 'alarm/fire', 8_000)).toBe('alarms');
    expect(table.wished(urgent, 1, 'alarm/fire', 9_001)).toBe('coordination');
    expect(table.wished(urgent, 0, 'alarm/fire', 10)).toBe('coordination');
    expect(table.wished({ channel: 'events' }, 1, 'alarm/fire', 10)).toBe('events');
    expect(table.choose('event', 'alarm/fire', 8_000).name).toBe('events');
    expect(table.problemOf('alarms', 1, 8_000)).toBeUndefined();
  });

  test('say what a publisher may name', () => {
    const table = channelTableOf({ video: { class: 'signal' } });
    expect(table.problemOf('video', 0, 10)).toBeUndefined();
    expect(table.problemOf('video', 1, 10)).toContain("'events'");
    expect(table.problemOf('nonsense', 0, 10)).toContain("'data', 'video'");
    expect(table.problemOf('coordination', 1, 10)).toBeUndefined();
    expect(table.problemOf('coordination', 1, 5_000)).toContain('4096');
  });

  test('may be put in place of others, which stay the same object where they stay the same channel', () => {
    const table = channelTableOf({
      video: { class: 'signal', topics: ['cam/#'] },
      logs: { class: 'event', topics: ['log/#'] },
      gossip: { priority: 9 },
    });
    const { gossip } = table.builtIn;
    const [video, logs] = ['video', 'logs'].map((name) => table.byName(name));
    table.replace(
      channelsOf({
        video: { class: 'signal', topics: ['film/#'], queueBytes: 1 << 20, priority: 2 },
        logs: { class: 'signal', topics: ['log/#'] },
        extra: { class: 'event' },
      }),
    );
    expect(table.byName('video')).toBe(video);
    expect(video).toMatchObject({ priority: 2, queueBytesMax: 1 << 20, topics: ['film/#'] });
    // Another class is another channel: what waits in the old one is of the old class.
    expect(table.byName('logs')).not.toBe(logs);
    expect([table.builtIn.gossip, gossip.priority]).toEqual([gossip, 2]);
    expect(table.choose('signal', 'cam/1', 5).name).toBe('data');
    expect(table.choose('signal', 'log/1', 5).name).toBe('logs');
    expect(table.choose('event', 'log/1', 5).name).toBe('events');
    expect(table.all.map(({ name }) => name)).toContain('extra');
    table.replace([]);
    expect([table.hasRules, table.all.length]).toEqual([false, 4]);
    expect(channelTableOf(undefined).builtIn.gossip).toMatchObject({ priority: 2 });
  });
});
