/** Values that are there, and values that come later: what is there at once is not made to wait a turn. */

/** Whether somebody has to wait for it. */
export function isLater(value: unknown): value is PromiseLike<unknown> {
  if (value instanceof Promise) return true;
  if (typeof value !== 'object' || value === null) return false;
  return typeof (value as { then?: unknown }).then === 'function';
}
