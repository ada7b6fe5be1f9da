/** CRC-32C (Castagnoli), the checksum of log records: it finds every burst up to 32 bits (RFC 3720, appendix B.4). */

let table: Uint32Array | undefined;

/** The checksum of bytes, or of more bytes after those that gave `seed`. */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  const rows = (table ??= makeTable());
  let crc = ~seed;
  for (let at = 0; at < bytes.length; at += 1) {
    crc = (rows[(crc ^ (bytes[at] as number)) & 0xff] as number) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

function makeTable(): Uint32Array {
  const rows = new Uint32Array(256);
  for (let row = 0; row < 256; row += 1) {
    let crc = row;
    for (let bit = 0; bit < 8; bit += 1)
      crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    rows[row] = crc >>> 0;
  }
  return rows;
}
