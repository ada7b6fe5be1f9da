/** The first four bytes of a connection tell what it is for. */

/** Longest magic, in bytes. */
export const magicBytes = 4;

/** What opens each kind of conversation on the node's one TCP port. */
export const magic = {
  /** A sealed link between two members. */
  link: 'MYCL',
  /** Joining with an invite. */
  join: 'MYCJ',
  /** Asking for admission while the join window is open. */
  openJoin: 'MYCO',
} as const;

/** One of the magics. */
export type Magic = (typeof magic)[keyof typeof magic];
