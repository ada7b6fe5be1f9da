/** A failure on its way to another node: code and details of a MycelError, or the bare reason of anything else. */

import * as z from 'zod/mini';
import { errorCatalogue, MycelError } from '../kernel/errors.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';

/** Longest failure, in bytes; details that would exceed it stay behind. */
export const failureBytesMax: number = 16 * 1024;

const reasonLengthMax = 1_000;

const failureSchema = z.object({
  code: z.string().check(z.maxLength(64)),
  details: z.record(z.string(), z.unknown()),
});

/** Encodes what a handler threw. Never throws. */
export function encodeFailure(error: unknown): Uint8Array {
  if (MycelError.is(error)) {
    const whole = tryEncode(error.code, error.details);
    if (whole !== undefined) return whole;
    return encodeCbor({ code: error.code, details: reasonOf(error.details['reason']) });
  }
  const words = error instanceof Error ? error.message : String(error);
  return encodeCbor({ code: 'MYCEL_HANDLER_FAILED', details: reasonOf(words) });
}

/** Reads a failure. Anything that is none, and a code of a newer version, still is a failure. */
export function decodeFailure(bytes: Uint8Array): MycelError {
  try {
    const read = failureSchema.parse(decodeCbor(bytes, { bytesMax: failureBytesMax }));
    if (isErrorCode(read.code)) return new MycelError(read.code, read.details);
    return new MycelError('MYCEL_HANDLER_FAILED', { ...read.details, unknownCode: read.code });
  } catch (error) {
    return new MycelError('MYCEL_BAD_BYTES', {}, { cause: error });
  }
}

function tryEncode(code: ErrorCode, details: MycelError['details']): Uint8Array | undefined {
  try {
    const bytes = encodeCbor({ code, details });
    if (bytes.byteLength > failureBytesMax) return undefined;
    // What cannot be read back (a Date, a Map) must not make the failure itself unreadable.
    decodeCbor(bytes, { bytesMax: failureBytesMax });
    return bytes;
  } catch {
    return undefined;
  }
}

function reasonOf(words: unknown): { reason?: string } {
  return typeof words === 'string' ? { reason: words.slice(0, reasonLengthMax) } : {};
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorCatalogue, code);
}
