/** Reads the channels of a node's options: what contradicts itself is refused with what is allowed. */

import { MycelError } from '../../kernel/errors.ts';
import { filterProblem } from '../../kernel/topic.ts';
import { builtInChannels, ownChannelsMax } from '../../protocol/channels/channel.ts';
import type { Channel, OverflowPolicy } from '../../protocol/channels/channel.ts';
import { createChannelTable } from '../../protocol/channels/channel-table.ts';
import type { ChannelTable } from '../../protocol/channels/channel-table.ts';
import { channelNamePattern } from '../../wire/envelope.ts';
import type { ChannelOptions } from '../mesh-node.ts';

const overflows: Readonly<Record<'signal' | 'event', readonly OverflowPolicy[]>> = {
  signal: ['latest-per-topic', 'drop-oldest', 'drop-newest'],
  event: ['block', 'reject'],
};

const queueBytes = { least: 64 * 1024, most: 64 * 1024 * 1024, usual: 1024 * 1024 };

/** Builds the table of a node. @throws as `channelsOf` */
export function channelTableOf(
  given: Readonly<Record<string, ChannelOptions>> | undefined,
): ChannelTable {
  return createChannelTable(channelsOf(given));
}

/** Reads them. @throws {MycelError} MYCEL_BAD_OPTION, naming the channel, what is wrong and what is allowed. */
export function channelsOf(
  given: Readonly<Record<string, ChannelOptions>> | undefined,
): readonly Channel[] {
  const entries = Object.entries(given ?? {});
  const added = entries.filter(([name]) => builtIn(name) === undefined);
  if (added.length > ownChannelsMax) {
    throw refusal('channels', `at most ${ownChannelsMax} channels besides the built-in ones`);
  }
  return entries.map(([name, options]) => channelOf(name, options));
}

function builtIn(name: string): Channel | undefined {
  return builtInChannels.find((one) => one.name === name);
}

function channelOf(name: string, options: ChannelOptions): Channel {
  const usual = builtIn(name);
  if (usual !== undefined) return changed(usual, options);
  if (!channelNamePattern.test(name)) {
    throw refusal(
      name,
      'a name of 1 to 32 characters: a letter, then letters, digits and "-", all lower case',
    );
  }
  const kind = options.class;
  if (kind !== 'signal' && kind !== 'event') {
    throw refusal(name, "a 'class': 'signal' (qos 0) or 'event' (qos 1)");
  }
  const allowed = overflows[kind];
  const overflow = options.overflow ?? allowed[0] ?? 'block';
  if (!allowed.includes(overflow)) {
    const why =
      kind === 'event' ? 'an event is never dropped' : 'nobody waits for a signal to be taken';
    throw refusal(
      name,
      `for ${kind}s an 'overflow' of ${quoted(allowed)}, not '${overflow}': ${why}`,
    );
  }
  const topics = options.topics ?? [];
  for (const filter of topics) {
    const problem = filterProblem(filter);
    if (problem !== undefined)
      throw refusal(name, `MQTT filters in 'topics'; '${filter}': ${problem}`);
  }
  const { bytesMin = 0, bytesMax = Infinity, urgent = false } = options;
  if (bytesMin > bytesMax) {
    throw refusal(name, `a 'bytesMin' (${bytesMin}) that is not above 'bytesMax' (${bytesMax})`);
  }
  if (topics.length === 0 && (bytesMin > 0 || bytesMax < Infinity)) {
    throw refusal(name, "'topics' besides 'bytesMin' and 'bytesMax': [\"#\"] for all");
  }
  if (topics.length === 0 && urgent) {
    throw refusal(name, "'topics' besides 'urgent': [\"#\"] for all");
  }
  return {
    name,
    class: kind,
    overflow,
    topics,
    bytesMin,
    bytesMax,
    isUrgent: urgent,
    ...figures(name, options, {
      priority: 5,
      queueBytesMax: queueBytes.usual,
      compressAboveBytes: undefined,
    }),
  };
}

/** A built-in channel keeps what others rely on: its class, its rule and how it overflows. */
function changed(usual: Channel, options: ChannelOptions): Channel {
  const { name } = usual;
  for (const key of ['class', 'overflow', 'topics', 'bytesMin', 'bytesMax', 'urgent'] as const) {
    if (options[key] === undefined) continue;
    throw refusal(
      name,
      `no '${key}': it is built in; 'priority', 'queueBytes' and 'compressAbove' may be set`,
    );
  }
  if (name === 'coordination' && options.priority !== undefined) {
    throw refusal(name, "no 'priority': it is always served first");
  }
  return { ...usual, ...figures(name, options, usual) };
}

function figures(
  name: string,
  { priority, queueBytes: bytes, compressAbove }: ChannelOptions,
  usual: Pick<Channel, 'priority' | 'queueBytesMax' | 'compressAboveBytes'>,
): Pick<Channel, 'priority' | 'queueBytesMax' | 'compressAboveBytes'> {
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= 1 && priority <= 9)) {
    throw refusal(name, "a whole 'priority' from 1, first served, to 9");
  }
  const { least, most } = queueBytes;
  if (bytes !== undefined && !(Number.isInteger(bytes) && bytes >= least && bytes <= most)) {
    throw refusal(name, `a whole 'queueBytes' from ${least} to ${most}`);
  }
  if (compressAbove !== undefined && !(Number.isInteger(compressAbove) && compressAbove >= 64)) {
    throw refusal(name, "a whole 'compressAbove' of at least 64");
  }
  return {
    priority: priority ?? usual.priority,
    queueBytesMax: bytes ?? usual.queueBytesMax,
    compressAboveBytes: compressAbove ?? usual.compressAboveBytes,
  };
}

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(' or ');
}

function refusal(channel: string, wanted: string): MycelError {
  const field = channel === 'channels' ? 'channels' : `channels.${channel}`;
  return new MycelError('MYCEL_BAD_OPTION', { field, reason: `'${field}' needs ${wanted}.` });
}
