/** Failures about stored state and about what a group decides once. */

export const stateErrors = {
  MYCEL_ABSENT: {
    retryable: false,
    text: 'Nothing has been set there.',
    fix: 'Check the name. With --json an absent value is printed as null, with exit code 0.',
  },
  MYCEL_CONFLICT: {
    retryable: false,
    text: 'The key does not hold what was expected.',
    fix: 'Read it again and decide anew.',
  },
  MYCEL_GROUP_FULL: {
    retryable: false,
    text: 'What the group decides about has reached its bound, or the key or value is too large.',
    fix: 'Keys and names have at most 256 characters, values 16 KiB; delete what is not needed (docs/limits.md).',
  },
  MYCEL_LOCK_BUSY: {
    retryable: true,
    text: 'Somebody else holds it.',
    fix: 'Wait longer with --wait, or look who holds it with "mycel leader NAME".',
  },
  MYCEL_LOCK_LOST: {
    retryable: true,
    text: 'It is not held any more.',
    fix: 'Take it again; whatever was done meanwhile must be checked against the fencing token.',
  },
  MYCEL_NOT_INSTALLED: {
    retryable: false,
    text: 'A package that this needs is not installed.',
    fix: 'Run the line in the message where the program is.',
  },
  MYCEL_NO_QUORUM: {
    retryable: true,
    text: 'No majority of the voters could be reached, so nothing can be decided.',
    fix: 'See "mycel leader" for the voters and "mycel members" for who is up; it works again when most of them talk.',
  },
  MYCEL_STATE_BOUND: {
    retryable: true,
    text: 'The budget does not allow it.',
    fix: 'Spend less, grant more, or try again when the nodes that hold the rest can be reached.',
  },
  MYCEL_STATE_INVALID: {
    retryable: false,
    text: 'The key or value is not valid.',
    fix: 'Correct what the message names; nothing was changed.',
  },
  MYCEL_STORE_FAILED: {
    retryable: true,
    text: 'The data directory could not be read or written.',
    fix: 'Check that the directory exists, belongs to this user and that the disk is healthy ("dmesg").',
  },
  MYCEL_STORE_FULL: {
    retryable: true,
    text: 'There is no room for the record in the data directory.',
    fix: 'Free some disk space ("df -h"); nothing that was stored before is lost.',
  },
  MYCEL_STORE_NEWER: {
    retryable: false,
    text: 'The record was written by a newer version of mycel.',
    fix: 'Install that version again, or use another --data-dir.',
  },
  MYCEL_STORE_READ_ONLY: {
    retryable: true,
    text: 'The data directory is on a read-only file system.',
    fix: 'Remount it writable, or put the data directory on a writable disk with --data-dir.',
  },
} as const;
