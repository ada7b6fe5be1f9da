/** Failures about updates of the program itself. */

export const updateErrors = {
  MYCEL_BAD_PACKAGE: {
    retryable: false,
    text: 'This is not a package of mycel, or it was changed.',
    fix: 'Give the tarball that "npm pack" of mycel makes, whole; nothing was installed.',
  },
  MYCEL_NOT_UPDATABLE: {
    retryable: false,
    text: 'This node cannot change its own version.',
    fix: 'Run it as a service ("mycel service install"): its launcher can go back when an update fails.',
  },
  MYCEL_ROLLOUT_BUSY: {
    retryable: true,
    text: 'An update is under way.',
    fix: 'Wait for it ("mycel update status"), or end it with "mycel update cancel".',
  },
  MYCEL_ROLLOUT_FAILED: {
    retryable: true,
    text: 'The update was taken back.',
    fix: 'Mend what the reason names, then start it again; "mycel update status" shows every node.',
  },
  MYCEL_UPDATE_REFUSED: {
    retryable: false,
    text: 'The node refuses this update.',
    fix: 'Start it with "mycel update" on an admin node of the mesh.',
  },
} as const;
