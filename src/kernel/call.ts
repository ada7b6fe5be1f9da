/** What both ends of a call agree on before a byte is read: how large its parts are. */

/** Largest body of a request, a reply or one item of a stream, in bytes. */
export const callBodyBytesMax: number = 8 * 1024 * 1024;

/** Body bytes that one message carries: with the longest head it is a parcel. */
export const pieceBytesMax = 30_000;

/** Pieces a receiver lets the other end send before it hears how far they came. */
export const pieceWindow = 64;

/** Longest name of a method and longest key, in characters. */
export const callNameMax = 256;

/** Ids that one message confirms. */
export const confirmsMax = 64;
