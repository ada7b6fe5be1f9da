/** The options of a node: checked by schema, with messages that name the field and the fix. */

import * as z from 'zod/mini';

import { parseAddress } from '../kernel/address.ts';
import { MycelError } from '../kernel/errors.ts';
import { channelsOf } from './channels/channel-options.ts';
import { overlayNames } from '../protocol/overlay/overlay.ts';
import type { NodeOptions } from './mesh-node.ts';
import { parseBackboneUrl } from '../wire/backbone-url.ts';

/** MQTT's registered port: the default for TCP links and plain clients, and for UDP membership. */
export const portDefault = 1883;

/** Port of the page for Prometheus when only a host is given. */
export const metricsPortDefault = 9464;

/** Longest name of a node, a mesh, a label key or a label value, in characters. */
export const nameLengthMax = 64;

const name = z
  .string('must be text')
  .check(
    z.regex(
      /^[^\p{Cc}\p{Cs}]{1,64}$/u,
      `must be 1 to ${nameLengthMax} characters without control characters`,
    ),
  );
const port = z
  .number('must be a number')
  .check(
    z.int('must be a whole number'),
    z.gte(0, 'must be 0 to 65535'),
    z.lte(65_535, 'must be 0 to 65535'),
  );
const versionText = z.string('must be text').check(z.minLength(1), z.maxLength(96));
const flag = z.boolean('must be true or false');

const mebibyte = 1024 * 1024;

function bytesWithin(least: number, most: number): z.ZodMiniNumber {
  const text = `must be a whole number of bytes, ${least} to ${most} MiB`;
  return z
    .number(text)
    .check(z.int(text), z.gte(least * mebibyte, text), z.lte(most * mebibyte, text));
}

/** What may be stated of what has fields of its own. */
const fieldsOf: Readonly<Record<string, string>> = {
  outbox: 'an outbox has memoryBytes, diskBytes and whenFull',
};
const channelFields =
  'a channel has class, overflow, priority, queueBytes, compressAbove, topics, bytesMin, bytesMax and urgent';

const schema = z.strictObject({
  name: z.optional(name),
  dataDir: z.optional(z.string('must be a path').check(z.minLength(1, 'must not be empty'))),
  port: z.optional(port),
  mesh: z.optional(name),
  join: z.optional(z.string('must be an invite text (mycel:1:…)')),
  seeds: z.optional(
    z
      .array(
        z
          .string('must be host:port')
          .check(
            z.refine((text) => parseAddress(text, portDefault) !== undefined, 'must be host:port'),
          ),
      )
      .check(z.maxLength(32, 'may hold 32 seeds at most')),
  ),
  interfaces: z.optional(z.array(z.string().check(z.minLength(1, 'must name an interface')))),
  labels: z.optional(z.record(name, name)),
  capabilities: z.optional(
    z.array(name).check(z.maxLength(16, 'may hold 16 capabilities at most')),
  ),
  backbone: z.optional(
    z
      .string('must be the URL of a broker')
      .check(
        z.refine(
          (text) => parseBackboneUrl(text) !== undefined,
          'must be like mqtt://user:password@host:1883, or mqtts:// for TLS',
        ),
      ),
  ),
  profile: z.optional(
    z.enum(['wired', 'wifi', 'fast', 'loopback'], 'must be wired, wifi, fast or loopback'),
  ),
  overlay: z.optional(
    z.enum(overlayNames, 'must be full-mesh, hyparview, client-server or pub-sub'),
  ),
  dev: z.optional(flag),
  metrics: z.optional(
    z
      .string('must be host:port')
      .check(
        z.refine(
          (text) => parseAddress(text, metricsPortDefault) !== undefined,
          'must be host:port, like 0.0.0.0:9464',
        ),
      ),
  ),
  homeAssistant: z.optional(
    z
      .string('must be a topic prefix')
      .check(z.regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be a topic prefix, like homeassistant')),
  ),
  mdns: z.optional(flag),
  multicast: z.optional(flag),
  logLevel: z.optional(
    z.enum(
      ['debug', 'info', 'warn', 'error', 'silent'],
      'must be debug, info, warn, error or silent',
    ),
  ),
  channels: z.optional(
    z.record(
      z.string(),
      z.strictObject({
        class: z.optional(z.enum(['signal', 'event'], "must be 'signal' or 'event'")),
        overflow: z.optional(
          z.enum(
            ['drop-oldest', 'drop-newest', 'latest-per-topic', 'block', 'reject'],
            "must be 'drop-oldest', 'drop-newest', 'latest-per-topic', 'block' or 'reject'",
          ),
        ),
        priority: z.optional(z.number('must be a number')),
        queueBytes: z.optional(z.number('must be a number')),
        compressAbove: z.optional(z.number('must be a number')),
        topics: z.optional(
          z
            .array(z.string('must be a list of filters'))
            .check(z.maxLength(64, 'may hold 64 filters at most')),
        ),
        bytesMin: z.optional(z.number('must be a number')),
        bytesMax: z.optional(z.number('must be a number')),
        urgent: z.optional(flag),
      }),
    ),
  ),
  outbox: z.optional(
    z.strictObject({
      memoryBytes: z.optional(bytesWithin(1, 256)),
      diskBytes: z.optional(bytesWithin(0, 128)),
      whenFull: z.optional(z.enum(['give-up', 'hold'], "must be 'give-up' or 'hold'")),
    }),
  ),
  guestPort: z.optional(port),
  launch: z.optional(
    z.strictObject({ running: versionText, isTrial: flag, nodeVersion: z.string('must be text') }),
  ),
  peripherals: z.optional(
    z.custom<NonNullable<NodeOptions['peripherals']>>(
      (value) => typeof value === 'object' && value !== null && 'readPin' in value,
      'must be a board',
    ),
  ),
  toolPolicy: z.optional(
    z.union(
      [
        z.custom<Extract<NodeOptions['toolPolicy'], (...given: never[]) => unknown>>(
          (value) => typeof value === 'function',
        ),
        z.record(
          z.string().check(z.regex(/^[A-Za-z][A-Za-z0-9_$/-]*\.([A-Za-z][A-Za-z0-9_$/-]*|\*)$/)),
          z.array(z.string().check(z.maxLength(nameLengthMax))).check(z.maxLength(64)),
        ),
      ],
      'must be a function, or a table like { "lamp.set": ["keeper"] } of actions and agents',
    ),
  ),
  probe: z.optional(
    z.custom<NonNullable<NodeOptions['probe']>>(
      (value) => typeof value === 'function',
      'must be a function',
    ),
  ),
});

/** Labels a node may carry. */
const labelsMax = 32;

/**
 * Checks what a caller gave.
 * @throws {MycelError} MYCEL_BAD_OPTION naming the field, what is wrong with it and the nearest valid one.
 */
export function checkOptions(given: unknown): NodeOptions {
  const result = schema.safeParse(given ?? {});
  if (!result.success) {
    const issue = result.error.issues[0];
    const field = issue === undefined ? '' : issue.path.join('.');
    if (issue?.code === 'unrecognized_keys' && field !== '') {
      const reason = `'${field}' has no '${issue.keys[0] ?? ''}'; ${fieldsOf[field] ?? channelFields}.`;
      throw new MycelError('MYCEL_BAD_OPTION', { field, reason });
    }
    if (issue?.code === 'unrecognized_keys') {
      throw new MycelError('MYCEL_BAD_OPTION', {
        field: issue.keys[0] ?? '',
        reason: `There is no option '${issue.keys[0] ?? ''}'. ${nearest(issue.keys[0] ?? '')}`,
      });
    }
    throw new MycelError('MYCEL_BAD_OPTION', {
      field,
      reason: `'${field}' ${issue?.message ?? 'is not valid'}.`,
    });
  }
  const options = result.data as NodeOptions;
  channelsOf(options.channels);
  if (Object.keys(options.labels ?? {}).length > labelsMax) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      field: 'labels',
      reason: `'labels' may hold ${labelsMax} labels at most.`,
    });
  }
  if (options.dev === true && options.join !== undefined) {
    throw new MycelError('MYCEL_BAD_OPTION', {
      field: 'dev',
      reason: "'dev' and 'join' exclude each other: an open mesh takes no invites.",
    });
  }
  return options;
}

/** Names the option that the caller probably meant. */
function nearest(given: string): string {
  const known = Object.keys(schema.shape);
  const best = known
    .map((option) => ({
      option,
      distance: editDistance(given.toLowerCase(), option.toLowerCase()),
    }))
    .toSorted((left, right) => left.distance - right.distance)[0];
  return best !== undefined && best.distance <= 3
    ? `Did you mean '${best.option}'?`
    : `Known options: ${known.join(', ')}.`;
}

/** Levenshtein distance; inputs are option names, so quadratic time is fine. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, at) => at);
  for (let i = 1; i <= left.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const cost = left[i - 1] === right[j - 1] ? 0 : 1;
      next[j] = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost);
    }
    row = next;
  }
  return row[right.length] ?? 0;
}
