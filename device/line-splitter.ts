/** Cuts a byte stream into lines without ever holding more than one line of the longest allowed size. */

/** Pieces of an unfinished line before they are joined: a line that drips in byte by byte must not cost an object a byte. */
const partsMax = 256;

/** What a chunk brought: its whole lines, and whether the line now building is too long to go on. */
export interface SplitLines {
  readonly lines: readonly string[];
  readonly isTooLong: boolean;
}

/** Makes a splitter at `\n`. Empty lines are left out. After `isTooLong` it gives nothing more. */
export function createLineSplitter(lineBytesMax: number): { push(chunk: Uint8Array): SplitLines } {
  let parts: Uint8Array[] = [];
  let partBytes = 0;
  let isTooLong = false;
  return {
    push(chunk) {
      const lines: string[] = [];
      let from = 0;
      while (!isTooLong && from < chunk.length) {
        const newline = chunk.indexOf(10, from);
        const until = newline === -1 ? chunk.length : newline;
        partBytes += until - from;
        if (partBytes > lineBytesMax) {
          isTooLong = true;
          parts = [];
          break;
        }
        if (until > from) parts.push(chunk.subarray(from, until));
        from = until + 1;
        if (newline === -1) {
          if (parts.length > partsMax) parts = [Buffer.concat(parts)];
          break;
        }
        if (partBytes > 0) lines.push(Buffer.concat(parts).toString('utf8'));
        parts = [];
        partBytes = 0;
      }
      return { lines, isTooLong };
    },
  };
}
