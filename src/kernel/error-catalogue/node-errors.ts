/** Failures about a node itself: its options, its data directory, its command and control socket. */

export const nodeErrors = {
  MYCEL_ALREADY_MEMBER: {
    retryable: false,
    text: 'This node already belongs to a real mesh.',
    fix: 'Run "mycel leave" first if it should join another one.',
  },
  MYCEL_AMBIGUOUS: {
    retryable: false,
    text: 'More than one member fits.',
    fix: 'Give more characters of the id.',
  },
  MYCEL_BAD_BYTES: {
    retryable: false,
    text: 'These bytes are not what mycel speaks.',
    fix: 'Run the same mycel version on both sides; if they are the same, the sender is faulty or hostile.',
  },
  MYCEL_BAD_OPTION: {
    retryable: false,
    text: 'An option is not valid.',
    fix: 'Correct the option named in the message.',
  },
  MYCEL_BOOT_COUNTER_LOST: {
    retryable: false,
    text: 'The boot counter is damaged beyond repair, so packets could repeat a nonce.',
    fix: 'Delete the data directory and join the mesh again with a fresh invite.',
  },
  MYCEL_CONTROL_BUSY: {
    retryable: true,
    text: 'The node serves as many commands as it can.',
    fix: 'End some of them, then try again.',
  },
  MYCEL_CONTROL_LOST: {
    retryable: true,
    text: 'The connection to the node ended before it had answered.',
    fix: 'See whether the node still runs: mycel status.',
  },
  MYCEL_CONTROL_REQUEST: {
    retryable: false,
    text: 'The request to the node is not valid.',
    fix: 'Check that the command and the running node are of the same version.',
  },
  MYCEL_CONTROL_SLOW_READER: {
    retryable: true,
    text: 'The reader was cut off because it did not keep up.',
    fix: 'Read faster, or subscribe to fewer topics.',
  },
  MYCEL_CONTROL_SOCKET: {
    retryable: false,
    text: 'Something that is not a socket is in the place of the control socket.',
    fix: 'Move it away, or choose another --data-dir.',
  },
  MYCEL_DATA_DIR_BUSY: {
    retryable: true,
    text: 'Another running node uses this data directory.',
    fix: 'Stop that process ("mycel down"), or give this node its own --data-dir.',
  },
  MYCEL_DATA_DIR_OPEN: {
    retryable: false,
    text: 'Other users of this computer could read or replace the secrets of the data directory.',
    fix: 'Run: chmod -R go= on the data directory.',
  },
  MYCEL_DEMO: {
    retryable: true,
    text: 'The demo could not go on.',
    fix: 'Read the reason in the message; "mycel doctor" checks this machine.',
  },
  MYCEL_DOCTOR: {
    retryable: false,
    text: 'Checks of this machine failed.',
    fix: 'Each line marked ✗ names its fix.',
  },
  MYCEL_INTERNAL: {
    retryable: false,
    text: 'Something unexpected failed.',
    fix: 'Run it again; if it stays, report it together with the message.',
  },
  MYCEL_LISTEN_FAILED: {
    retryable: false,
    text: 'The node cannot listen on this address.',
    fix: 'Use an address of this computer, and a port above 1023 unless the node runs as root.',
  },
  MYCEL_NOT_RUNNING: {
    retryable: true,
    text: 'The node is not running.',
    fix: 'Start it first.',
  },
  MYCEL_NO_ANSWER: {
    retryable: true,
    text: 'The node does not answer.',
    fix: 'It may be frozen or very busy: try again, or stop it with a signal.',
  },
  MYCEL_NO_NODE: {
    retryable: true,
    text: 'No node is running on this machine.',
    fix: 'Start one with "mycel up".',
  },
  MYCEL_PORT_TAKEN: {
    retryable: true,
    text: 'The port is in use by another program.',
    fix: 'Choose another one with --port, or stop the program that has it ("ss -lptun" shows it).',
  },
  MYCEL_SETUP: {
    retryable: false,
    text: 'The board, its service or its card could not be set up.',
    fix: 'Take the next step named in the message.',
  },
  MYCEL_SYSTEM: {
    retryable: false,
    text: 'The operating system refused.',
    fix: 'Follow the fix in the message.',
  },
  MYCEL_TIMEOUT: {
    retryable: true,
    text: 'What was waited for did not come in time.',
    fix: 'Wait longer with --timeout, or check that somebody publishes.',
  },
  MYCEL_USAGE: {
    retryable: false,
    text: 'The command line is not valid.',
    fix: 'See "mycel --help".',
  },
} as const;
