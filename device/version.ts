/** The version of this command, written in by the bundler. */

declare const MYCEL_VERSION: string | undefined;

/** `0.1.0`, or `source` when it runs unbundled. */
export const version: string = typeof MYCEL_VERSION === 'string' ? MYCEL_VERSION : 'source';
