/** Schemas of actions: checked values with messages a person can use, and a hash that two versions can compare. */

import * as z from 'zod/mini';
import { MycelError } from '../../kernel/errors.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import { hashText } from '../../kernel/hash.ts';

/** Any zod schema, of `zod` or `zod/mini`. */
export type Schema = z.core.$ZodType;

/**
 * Checks a value.
 * @throws {MycelError} the code given, with the path of the first wrong field and what belongs there.
 */
export function checkValue(schema: Schema, value: unknown, code: ErrorCode, of: string): unknown {
  const result = z.safeParse(schema, value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path.map(String).join('.') ?? '';
  const expected =
    'expected' in (issue ?? {}) ? String((issue as { expected: unknown }).expected) : undefined;
  const what = expected === undefined ? (issue?.message ?? 'not valid') : `must be ${expected}`;
  throw new MycelError(code, {
    reason: `${of}: ${path === '' ? 'the value' : `'${path}'`} ${what}.`,
    path,
    ...(expected === undefined ? {} : { expected }),
  });
}

/** The shape of an action as 8 hex digits; '-' when a schema cannot be written down (a transform, a custom check). */
export function schemaHash(input: Schema, output: Schema): string {
  try {
    const text = [input, output].map((one) => canonical(z.toJSONSchema(one))).join('>');
    return hashText(text).toString(16).padStart(8, '0');
  } catch {
    return '-';
  }
}

/**
 * The JSON schema of what goes in or what comes out; undefined when it cannot be written down. A field with a default may
 * be left out of what goes in. Objects are closed, although a further field would be ignored: whoever reads the schema is
 * to know that there is none.
 */
export function jsonSchema(schema: Schema, io: 'input' | 'output'): unknown {
  try {
    return z.toJSONSchema(schema, {
      io,
      override({ jsonSchema: one }) {
        if (one.type === 'object' && one.properties !== undefined)
          one.additionalProperties ??= false;
      },
    });
  } catch {
    return undefined;
  }
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  const part = ([key, one]: [string, unknown]): string =>
    // The order in which fields are required says nothing.
    `${JSON.stringify(key)}:${canonical(key === 'required' ? sorted(one) : one)}`;
  return `{${entries.map(part).join(',')}}`;
}

function sorted(value: unknown): unknown {
  return Array.isArray(value) ? value.map(String).sort() : value;
}
