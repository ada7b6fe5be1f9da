/** Embeddings on the wire: lists of numbers, or base64 of little-endian 32-bit floats. */

/** Reads either form; undefined when it is neither. */
export function decodeFloats(value: unknown): readonly number[] | undefined {
  if (Array.isArray(value)) {
    return value.every((number) => typeof number === 'number' && Number.isFinite(number))
      ? (value as number[])
      : undefined;
  }
  if (typeof value !== 'string') return undefined;
  const bytes = Buffer.from(value, 'base64');
  if (bytes.length === 0 || bytes.length % 4 !== 0) return undefined;
  const floats: number[] = [];
  for (let at = 0; at < bytes.length; at += 4) floats.push(bytes.readFloatLE(at));
  return floats;
}

/** Writes base64. */
export function encodeFloats(vector: readonly number[]): string {
  const bytes = Buffer.allocUnsafe(vector.length * 4);
  for (const [at, number] of vector.entries()) bytes.writeFloatLE(number, at * 4);
  return bytes.toString('base64');
}
