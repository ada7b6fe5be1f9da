/** Failures about messages, blobs and calls between members. */

export const messageErrors = {
  MYCEL_BAD_TOPIC: {
    retryable: false,
    text: 'This topic or filter cannot be used.',
    fix: 'Use 1 to 1024 printable characters, no wildcard in a topic, and nothing below "$mycel".',
  },
  MYCEL_BLOB_DAMAGED: {
    retryable: true,
    text: 'The content is not what its name says.',
    fix: 'Get it again: a damaged copy is not used.',
  },
  MYCEL_BLOB_UNKNOWN: {
    retryable: true,
    text: 'No member that can be reached has this content.',
    fix: 'Check the hash, and that a node that has it is up ("mycel members").',
  },
  MYCEL_CALL_BUSY: {
    retryable: true,
    text: 'More calls are open than the node takes.',
    fix: 'Wait for some of them, then call again.',
  },
  MYCEL_CALL_LOST: {
    retryable: false,
    text: 'The other node has restarted, or keeps the answer no more: whether the call was carried out is not known.',
    fix: 'Look whether it was, then call again; a call with a key of its own is kept longer.',
  },
  MYCEL_DEADLINE: {
    retryable: true,
    text: 'The answer did not come before the deadline.',
    fix: 'Call again with the same key and a longer deadline, or look at the other node: "mycel members".',
  },
  MYCEL_HANDLER_FAILED: {
    retryable: false,
    text: 'What answers the call failed.',
    fix: 'Read the reason, and the log of the node that was called.',
  },
  MYCEL_OUTBOX_FULL: {
    retryable: true,
    text: 'The outbox is full: members do not take messages as fast as they come.',
    fix: 'Publish more slowly, or look at "mycel status" for the member that is behind.',
  },
  MYCEL_TOO_LARGE: {
    retryable: false,
    text: 'The message is too large.',
    fix: 'Keep a payload below 16 MiB, a retained one below 128 KiB; put what is larger as a blob.',
  },
  MYCEL_UNKNOWN_METHOD: {
    retryable: false,
    text: 'The node does not answer this call.',
    fix: 'Check the name, and that the service runs on that node.',
  },
} as const;
