/** ChaCha20-Poly1305 (RFC 8439), one cipher call per message: the Raspberry Pi has no AES instructions up to model 4. */

import { createCipheriv, createDecipheriv } from 'node:crypto';

/** What sealing adds, in bytes. */
export const tagBytes = 16;

/** Length of a nonce, in bytes. */
export const nonceBytes = 12;

const algorithm = 'chacha20-poly1305';
const options = { authTagLength: tagBytes } as const;

/**
 * Seals `plain` behind a header of `headerBytes` that the caller fills in: gives header ‖ ciphertext ‖ tag in one array.
 * The same key must never meet the same nonce twice.
 */
export function sealAead(
  key: Uint8Array,
  nonce: Uint8Array,
  associated: Uint8Array | undefined,
  plain: Uint8Array,
  headerBytes: number = 0,
): Uint8Array {
  const cipher = createCipheriv(algorithm, key, nonce, options);
  if (associated !== undefined) cipher.setAAD(associated, { plaintextLength: plain.byteLength });
  const sealed = new Uint8Array(headerBytes + plain.byteLength + tagBytes);
  sealed.set(cipher.update(plain), headerBytes);
  cipher.final();
  sealed.set(cipher.getAuthTag(), headerBytes + plain.byteLength);
  return sealed;
}

/** The same without a header, as ciphertext and tag: what is large is not copied once more. */
export function sealAeadApart(
  key: Uint8Array,
  nonce: Uint8Array,
  plain: Uint8Array,
): readonly [ciphertext: Uint8Array, tag: Uint8Array] {
  const cipher = createCipheriv(algorithm, key, nonce, options);
  const ciphertext = cipher.update(plain);
  cipher.final();
  return [ciphertext, cipher.getAuthTag()];
}

/** Opens ciphertext ‖ tag. Undefined when anything was changed. */
export function openAead(
  key: Uint8Array,
  nonce: Uint8Array,
  associated: Uint8Array | undefined,
  sealed: Uint8Array,
): Uint8Array | undefined {
  const length = sealed.byteLength - tagBytes;
  if (length < 0) return undefined;
  const decipher = createDecipheriv(algorithm, key, nonce, options);
  decipher.setAuthTag(sealed.subarray(length));
  if (associated !== undefined) decipher.setAAD(associated, { plaintextLength: length });
  const plain = decipher.update(sealed.subarray(0, length));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return new Uint8Array(plain.buffer, plain.byteOffset, plain.byteLength);
}
