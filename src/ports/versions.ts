/** Versions of the program on this computer, side by side, and which of them the next start takes. */

/** What a version consists of, checked by whoever puts it here. */
export interface VersionFiles {
  /** What Node.js runs, by path: `mycel.mjs`, and `parts/*.mjs` that it asks for. */
  readonly program: ReadonlyMap<string, Uint8Array>;
  /** A line for each of them, as `sha256sum -c` reads it: the launcher checks them at every start. */
  readonly sums: string;
}

/** What lies here. */
export interface VersionsView {
  /** The version that is started; undefined: the one that was installed by hand. */
  readonly current: string | undefined;
  /** The one before it; undefined: the one that was installed by hand. */
  readonly previous: string | undefined;
  /** The next start is a trial of this one. */
  readonly trial: string | undefined;
  /** A version whose trial was given up because it did not last. */
  readonly givenUp: string | undefined;
}

/**
 * The versions. What a call has changed survives a power cut once it has resolved, and a cut in the middle of one leaves
 * what was before or what was to be. Names are 1 to 95 of `a-z 0-9 . + -`, a letter or digit first.
 */
export interface Versions {
  view(): Promise<VersionsView>;
  has(name: string): Promise<boolean>;
  /** @throws {MycelError} MYCEL_STORE_FULL, MYCEL_STORE_READ_ONLY, MYCEL_STORE_FAILED; so do the others */
  install(name: string, files: VersionFiles): Promise<void>;
  /** The next starts, so many at most, are trials of this version. Forgets what was given up. */
  try(name: string, starts: number): Promise<void>;
  /** Makes it the current one, ends its trial, and removes what is neither it nor the one before. */
  keep(name: string): Promise<void>;
  /** Ends a trial; nothing happens when there is none. */
  drop(): Promise<void>;
  /** Makes the previous version current again if this one is current; ends a trial. */
  revert(name: string): Promise<void>;
}
