/** `mycel explain`: what would happen to a message, or what happened to one, hop by hop. */

import type { ExplainedNode, MessageExplanation, TopicExplanation } from 'mycel';

import { print, type Context } from '../context.ts';
import { callNode } from '../control-client.ts';
import { usageFailure } from '../failure.ts';
import type { ExplainFlags } from '../program-routes.ts';
import { formatTable } from '../table.ts';
import { harmless } from '../terminal.ts';

/** Explains one of the two. @throws {Failure} MYCEL_USAGE for none or both */
export async function explain(
  context: Context,
  topic: string | undefined,
  { message }: ExplainFlags,
): Promise<void> {
  if ((topic === undefined) === (message === undefined)) {
    throw usageFailure(
      'Explain either a topic or a message.',
      'Write "mycel explain TOPIC" or "mycel explain --message ID".',
    );
  }
  if (message !== undefined) {
    const told = await callNode(context.dataDir, 'explain-message', { message });
    print(context, withNulls(told), () => messageLines(told));
  } else {
    const told = await callNode(context.dataDir, 'explain-topic', { topic: topic ?? '' });
    print(context, withNulls(told), () => topicLines(told));
  }
}

/** What is not known is null in JSON, as everywhere. */
function withNulls(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, one: unknown) => (one === undefined ? null : one)));
}

const nameOf = ({ node, name }: ExplainedNode): string =>
  harmless(name === '' ? node.slice(0, 12) : name);

const listOf = (nodes: readonly ExplainedNode[]): string => nodes.map(nameOf).join(', ');

const ways = {
  here: 'on this node',
  direct: 'over its link',
  relayed: 'through others',
  flooded: 'along every link',
  none: 'no way is known',
} as const;

const reasons = {
  filter: '',
  everything: 'it wants everything',
  unknown: 'it has not said yet what it wants',
  group: 'one member of the group',
} as const;

function topicLines(told: TopicExplanation): string[] {
  const { topic, from, channels, receivers, others, fates, silent } = told;
  const lines = [
    `${harmless(topic)}, published on ${nameOf(from)}: channel ${channels.signal} at qos 0, ${channels.event} at qos 1`,
    '',
  ];
  if (receivers.length === 0) lines.push('Nobody wants it: it would stay on this node.');
  else {
    const rows = receivers.map((one) => [
      nameOf(one),
      [...one.filters, reasons[one.why]].filter((text) => text !== '').join(' - '),
      ways[one.way],
      one.hops.map((hop) => nameOf(hop.to)).join(' > '),
      linkText(one.hops[0]),
    ]);
    lines.push(...formatTable(['TO', 'BECAUSE OF', 'WAY', 'HOPS', 'FIRST LINK'], rows));
  }
  for (const why of ['no-interest', 'dead', 'dormant'] as const) {
    const some = others.filter((one) => one.why === why);
    if (some.length > 0) lines.push(`not to (${why}): ${listOf(some)}`);
  }
  const rows = fates.flatMap((one) =>
    one.fates.map(({ fate, cause, detail, count, at }) => [
      nameOf(one),
      String(count),
      cause === undefined ? fate : `${fate}: ${cause}`,
      detail,
      clock(at),
    ]),
  );
  if (rows.length > 0) {
    lines.push('', ...formatTable(['NODE', 'LATELY', 'WHAT', 'MORE', 'LAST'], rows));
  }
  return silent.length > 0 ? [...lines, `no answer: ${listOf(silent)}`] : lines;
}

function linkText(hop: TopicExplanation['receivers'][number]['hops'][number] | undefined): string {
  if (hop === undefined) return '';
  const rtt = hop.rttMs === undefined ? '' : `${hop.rttMs.toFixed(1)} ms`;
  const queued = hop.queuedBytes === undefined ? '' : `${hop.queuedBytes} B wait`;
  return [rtt, queued].filter((text) => text !== '').join(', ');
}

function messageLines(told: MessageExplanation): string[] {
  const { origin, isKnown, topic, stations, owed, without, silent } = told;
  if (!isKnown) {
    return [
      'No node remembers this message: it is too old, or never was.',
      ...(silent.length > 0 ? [`no answer: ${listOf(silent)}`] : []),
    ];
  }
  const lines = [`${harmless(topic ?? '(topic unknown)')}, published on ${nameOf(origin)}`, ''];
  for (const station of stations) {
    const hop = station.hop === undefined ? '' : `, hop ${station.hop}`;
    lines.push(`${nameOf(station)}${hop}`);
    for (const { at, fate, cause, peer, detail } of station.steps) {
      const who =
        peer === undefined ? '' : ` ${fate === 'received' ? 'from' : 'to'} ${nameOf(peer)}`;
      const why = cause === undefined ? '' : ` (${cause})`;
      const more = detail === '' ? '' : `: ${harmless(detail)}`;
      lines.push(`  ${clock(at)}  ${fate}${fate === 'dropped' ? '' : who}${why}${more}`);
    }
  }
  if (owed.length > 0) lines.push(`not acknowledged yet: ${listOf(owed)}`);
  const unwanted = without.filter(({ why }) => why === 'no-interest');
  const others = without.filter(({ why }) => why === undefined);
  if (unwanted.length > 0) lines.push(`not to (no-interest): ${listOf(unwanted)}`);
  if (others.length > 0) lines.push(`never seen by: ${listOf(others)}`);
  if (silent.length > 0) lines.push(`no answer: ${listOf(silent)}`);
  return lines;
}

function clock(at: number): string {
  return new Date(at).toISOString().slice(11, 23);
}
