/** What keys and values of replicated state must be: checked before anything changes. */

import { MycelError } from '../kernel/errors.ts';
import { isPlain, weighValue } from '../runtime/state/state-cells.ts';
import type { Plain } from '../runtime/state/state-cells.ts';
import type { StateSchema } from './state-types.ts';

/** Longest key or field, in UTF-16 units. */
export const stateKeyLengthMax = 128;

/** Most bytes of one value. */
export const stateValueBytesMax: number = 16 * 1024;

/** @throws {MycelError} MYCEL_STATE_INVALID */
export function checkKey(key: string): string {
  const isShort = key.length > 0 && key.length <= stateKeyLengthMax;
  if (isShort && !/\p{Cc}|\p{Cs}/u.test(key)) return key;
  throw new MycelError('MYCEL_STATE_INVALID', {
    reason: isShort
      ? 'It holds a control character.'
      : `It has ${key.length} characters; 1 to ${stateKeyLengthMax} are allowed.`,
  });
}

/**
 * Checks a value against its schema and gives what the schema makes of it.
 * @throws {MycelError} MYCEL_STATE_INVALID, MYCEL_TOO_LARGE
 */
export function checkValue<Value>(
  path: readonly string[],
  value: Value,
  schema: StateSchema<Value> | undefined,
): Plain {
  const key = path.join('/');
  let content: unknown = value;
  if (schema !== undefined) {
    const result = schema.safeParse(value);
    if (!result.success) {
      const [issue] = result.error.issues;
      const at = issue?.path.map(String).join('.') ?? '';
      const where = at === '' ? '' : ` (at ${at})`;
      throw new MycelError('MYCEL_STATE_INVALID', {
        key,
        reason: `'${key}'${where}: ${issue?.message ?? 'the schema refuses it'}. Its value stays as it was.`,
      });
    }
    content = result.data;
  }
  if (!isPlain(content)) {
    throw new MycelError('MYCEL_STATE_INVALID', {
      key,
      reason: `'${key}': it is not plain JSON data of at most 8 levels. Its value stays as it was.`,
    });
  }
  const bytes = weighValue(content);
  if (bytes > stateValueBytesMax) {
    throw new MycelError('MYCEL_TOO_LARGE', {
      key,
      reason: `The value of '${key}' takes ${bytes} bytes; ${stateValueBytesMax} are allowed. Its value stays as it was.`,
      fix: 'Split it over the fields of a map.',
    });
  }
  return content;
}
