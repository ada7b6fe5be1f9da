/** Payloads that begin with their number, so that whoever has one can tell whether it is whole. */

/** The payload of a number: odd ones are so many bytes when that is longer. */
export function payloadOf(number: number, bytes: number): string {
  return number % 2 === 0 || bytes === 0 ? String(number) : `${number} `.padEnd(bytes, `${number}`);
}
