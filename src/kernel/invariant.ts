/** Bugs stop: an invariant that does not hold ends in the supervisor, not in a wrong answer. */

/** A broken promise of our own code; never thrown for bad input or a failing world. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/**
 * States what must be true here.
 * @throws {InvariantError} when it is not.
 */
export function invariant(condition: boolean, words: string): asserts condition {
  if (!condition) throw new InvariantError(words);
}

/** The default branch of an exhaustive switch: the compiler proves it is never reached. */
export function unreachable(value: never): never {
  throw new InvariantError(`unreachable: ${String(value)}`);
}
