/** Decides which frames of a lane are deflated: large ones, as long as it pays. */

import { deflateFrame } from '../../wire/special-frame.ts';

/** Frames left alone after one that did not shrink; doubled with each further one, up to this many. */
const restMax = 256;

/** The deflater of one lane. */
export interface Deflater {
  /** The deflated frame; undefined: send it as it is. */
  deflate(frame: Uint8Array): Uint8Array | undefined;
}

/** Builds one for frames of at least so many bytes. */
export function createDeflater(aboveBytes: number): Deflater {
  let rest = 0;
  let nextRest = 1;
  return {
    deflate(frame) {
      if (frame.length < aboveBytes) return undefined;
      if (rest > 0) {
        rest -= 1;
        return undefined;
      }
      const packed = deflateFrame(frame);
      if (packed === undefined) {
        rest = nextRest;
        nextRest = Math.min(restMax, nextRest * 2);
      } else nextRest = 1;
      return packed;
    },
  };
}
