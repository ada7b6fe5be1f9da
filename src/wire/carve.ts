/** Fresh memory for small byte arrays, which are ten times dearer to make one by one. */

/** Memory that they are cut from; it lives as long as one of them does. */
const chunkBytes: number = 32 * 1024;
let chunk = new ArrayBuffer(chunkBytes);
let chunkUsed = 0;

/** A byte array of its own; only a small one shares its buffer with others. */
export function carve(size: number): Uint8Array {
  if (size > chunkBytes / 8) return new Uint8Array(size);
  if (chunkUsed + size > chunkBytes) {
    chunk = new ArrayBuffer(chunkBytes);
    chunkUsed = 0;
  }
  const bytes = new Uint8Array(chunk, chunkUsed, size);
  chunkUsed += size;
  return bytes;
}

/** A copy of its own: what is kept of a frame must not keep the frame. */
export function copied(bytes: Uint8Array): Uint8Array {
  const copy = carve(bytes.byteLength);
  copy.set(bytes);
  return copy;
}
