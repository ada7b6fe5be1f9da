/** How a process was started that can be started as another version: `firmware-scripts/launch.sh`. */

/** What a launcher started. */
export interface Launch {
  /** The version: `installed` is the one that was installed by hand. */
  readonly running: string;
  readonly isTrial: boolean;
  /** The Node.js it runs on, as `20.19.1`. */
  readonly nodeVersion: string;
}
