/** Signed records: a CBOR body followed by an Ed25519 signature over a label and the body, kept as received. */

import { concatBytes, plainBytes } from './bytes.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { signatureBytes, signBytes, verifyBytes } from './keys.ts';

/** Signs a body under a label that no other kind of record uses. */
export function signRecord(label: Uint8Array, edSeed: Uint8Array, body: unknown): Uint8Array {
  const bytes = encodeCbor(body);
  return concatBytes(bytes, signBytes(edSeed, concatBytes(label, bytes)));
}

/** The body bytes of a signed record. */
export function recordBody(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, Math.max(0, bytes.byteLength - signatureBytes));
}

/** Decodes the body without a look at the signature; undefined when it is not CBOR or longer than the limit. */
export function decodeRecord(bytes: Uint8Array, bytesMax: number): unknown {
  if (bytes.byteLength > bytesMax) return undefined;
  try {
    return decodeCbor(recordBody(bytes), { bytesMax, depthMax: 4 });
  } catch {
    return undefined;
  }
}

/** Whether the record's signature is that of `edPublic`. */
export function isRecordSignedBy(
  label: Uint8Array,
  edPublic: Uint8Array,
  bytes: Uint8Array,
): boolean {
  const body = recordBody(bytes);
  const signature = plainBytes(bytes).subarray(body.byteLength);
  return verifyBytes(edPublic, concatBytes(label, body), signature);
}
