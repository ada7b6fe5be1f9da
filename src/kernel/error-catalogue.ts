/** Every operational failure a caller can meet, with its stable code. docs/errors.md mirrors the table. */

/** `text` says what is wrong, `fix` what to do; `retryable` whether the same call may succeed later unchanged. */
export const errorCatalogue = {
  MYCEL_BAD_BYTES: {
    retryable: false,
    text: 'These bytes are not what mycel speaks.',
    fix: 'Run the same mycel version on both sides; if they are the same, the sender is faulty or hostile.',
  },
  MYCEL_BAD_NODE_ID: {
    retryable: false,
    text: 'This is not a node id.',
    fix: 'Copy the whole 28-character id from "mycel members".',
  },
  MYCEL_BAD_MESH_ID: {
    retryable: false,
    text: 'This is not a mesh id.',
    fix: 'Copy the 32 hex digits from "mycel status".',
  },
  MYCEL_ALREADY_MEMBER: {
    retryable: false,
    text: 'This node already belongs to a real mesh.',
    fix: 'Run "mycel leave" first if it should join another one.',
  },
  MYCEL_BAD_OPTION: {
    retryable: false,
    text: 'An option is not valid.',
    fix: 'Correct the option named in the message.',
  },
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
  MYCEL_UNKNOWN_METHOD: {
    retryable: false,
    text: 'The node does not answer this call.',
    fix: 'Check the name, and that the service runs on that node.',
  },
  MYCEL_LLM_FAILED: {
    retryable: true,
    text: 'The language model gave no answer.',
    fix: 'Read the reason; "mycel llm targets" shows what the gateways can reach.',
  },
  MYCEL_LLM_TARGET: {
    retryable: true,
    text: 'A target of the gateway cannot be used.',
    fix: 'Run "mycel gateway check"; it says what is wrong with each target.',
  },
  MYCEL_LINK_FAILED: {
    retryable: true,
    text: 'No link to the peer could be made.',
    fix: 'Look at the reason of each address; "mycel doctor" checks network, ports and clock.',
  },
  MYCEL_LISTEN_FAILED: {
    retryable: false,
    text: 'The node cannot listen on this address.',
    fix: 'Use an address of this computer, and a port above 1023 unless the node runs as root.',
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
  MYCEL_NO_QUORUM: {
    retryable: true,
    text: 'No majority of the voters could be reached, so nothing can be decided.',
    fix: 'See "mycel leader" for the voters and "mycel members" for who is up; it works again when most of them talk.',
  },
  MYCEL_NOT_ADMIN: {
    retryable: false,
    text: 'This node may not do that: it is not an admin of the mesh.',
    fix: 'Run the command on an admin node ("mycel members" shows the roles).',
  },
  MYCEL_NOT_RUNNING: {
    retryable: true,
    text: 'The node is not running.',
    fix: 'Start it first.',
  },
  MYCEL_OUTBOX_FULL: {
    retryable: true,
    text: 'The outbox is full: members do not take messages as fast as they come.',
    fix: 'Publish more slowly, or look at "mycel status" for the member that is behind.',
  },
  MYCEL_REVOKED: {
    retryable: false,
    text: 'This device was thrown out of the mesh.',
    fix: 'To let it in again, give it a new identity: stop it, delete its data directory, and invite it.',
  },
  MYCEL_TOO_LARGE: {
    retryable: false,
    text: 'The message is too large.',
    fix: 'Keep a payload below 128 KiB.',
  },
  MYCEL_UNREACHABLE: {
    retryable: true,
    text: 'The other node could not be reached.',
    fix: 'Check that it runs, is on the same network and that no firewall closes its port.',
  },
  MYCEL_TOPOLOGY_BUSY: {
    retryable: true,
    text: 'The topology of the mesh cannot be changed just now.',
    fix: 'Wait, and look at "mycel topology".',
  },
  MYCEL_UNKNOWN_MEMBER: {
    retryable: false,
    text: 'There is no such member.',
    fix: 'See "mycel members" and "mycel pending" for the ids.',
  },
  MYCEL_BOOT_COUNTER_LOST: {
    retryable: false,
    text: 'The boot counter is damaged beyond repair, so packets could repeat a nonce.',
    fix: 'Delete the data directory and join the mesh again with a fresh invite.',
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
  MYCEL_BAD_INPUT: {
    retryable: false,
    text: 'The input of the action is not what it takes.',
    fix: 'Correct the field named in the message; "mycel services" shows what there is.',
  },
  MYCEL_BAD_OUTPUT: {
    retryable: false,
    text: 'The action answered with something its own schema does not allow.',
    fix: 'Correct the service: its handler or its output schema.',
  },
  MYCEL_CALL_LOOP: {
    retryable: false,
    text: 'Calls are inside one another too deep.',
    fix: 'Look for services that call each other in a circle: the trace in the details names the request.',
  },
  MYCEL_SERVICE_BUSY: {
    retryable: true,
    text: 'The service takes no more requests now.',
    fix: 'Call again later, or run another instance of it.',
  },
  MYCEL_UNKNOWN_ACTION: {
    retryable: false,
    text: 'The service has no such action.',
    fix: 'See "mycel services".',
  },
  MYCEL_UNKNOWN_SERVICE: {
    retryable: true,
    text: 'No node offers this service.',
    fix: 'See "mycel services"; a service of a node that has just joined takes a moment to be known.',
  },
  MYCEL_BAD_AGENT: {
    retryable: false,
    text: 'The module is no agent that can be deployed.',
    fix: 'Correct the module: it must load and export "agent".',
  },
  MYCEL_BAD_BUNDLE: {
    retryable: false,
    text: 'The code of an agent could not be fetched, or is not what was deployed.',
    fix: 'Deploy it again; if it repeats, a member of the mesh is faulty or hostile.',
  },
  MYCEL_FENCED: {
    retryable: false,
    text: 'Another node holds this agent now.',
    fix: 'Nothing: this copy ends and the other one goes on.',
  },
  MYCEL_MAILBOX_FULL: {
    retryable: true,
    text: 'The agent does not take messages as fast as they come.',
    fix: 'Send more slowly, or deploy more replicas.',
  },
  MYCEL_NO_SITE: {
    retryable: false,
    text: 'No node can run this agent.',
    fix: 'Lower what it requires, or add a node that has it: "mycel members".',
  },
  MYCEL_UNKNOWN_AGENT: {
    retryable: false,
    text: 'There is no such agent.',
    fix: 'See "mycel agents".',
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
  MYCEL_HANDSHAKE_FAILED: {
    retryable: true,
    text: 'The handshake with the peer failed.',
    fix: 'Check that both nodes belong to the same mesh and run compatible versions; a stranger on the network gets this too.',
  },
  MYCEL_SEAL_BROKEN: {
    retryable: true,
    text: 'Sealed bytes were changed, replayed or made by someone else.',
    fix: 'Nothing: the link is closed and made anew. If it repeats, something on the network alters traffic.',
  },
  MYCEL_AMBIGUOUS: {
    retryable: false,
    text: 'More than one member fits.',
    fix: 'Give more characters of the id.',
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
  MYCEL_INTERNAL: {
    retryable: false,
    text: 'Something unexpected failed.',
    fix: 'Run it again; if it stays, report it together with the message.',
  },
  MYCEL_NOT_ALLOWED: {
    retryable: false,
    text: 'The node belongs to another user.',
    fix: 'Run the command as that user, for example with sudo.',
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
  MYCEL_INVITE_MALFORMED: {
    retryable: false,
    text: 'This is not a whole invite.',
    fix: 'Copy it again, from "mycel:1:" to the last character.',
  },
  MYCEL_INVITE_EXPIRED: {
    retryable: false,
    text: 'The invite has expired.',
    fix: 'Ask for a fresh one: "mycel invite" on an admin node.',
  },
  MYCEL_INVITE_USED: {
    retryable: false,
    text: 'The invite has been used by another device.',
    fix: 'Ask for a fresh one: "mycel invite" on an admin node; --uses N makes one for several devices.',
  },
  MYCEL_INVITE_VOID: {
    retryable: false,
    text: 'The invite was voided after too many failed attempts.',
    fix: 'Somebody tried to guess it. Ask for a fresh one: "mycel invite" on an admin node.',
  },
  MYCEL_INVITE_FOREIGN: {
    retryable: false,
    text: 'The node that answered is not the one that made the invite.',
    fix: 'Check the address; nodes of another mesh may be on the same network.',
  },
  MYCEL_INVITE_UNKNOWN: {
    retryable: true,
    text: 'The node that answered does not know this invite.',
    fix: 'Join at the node that made it. If it has restarted since, its invites are void: ask for a fresh one.',
  },
  MYCEL_TOO_MANY_ATTEMPTS: {
    retryable: true,
    text: 'Too many attempts from this address.',
    fix: 'Wait a second and try again.',
  },
  MYCEL_WINDOW_CLOSED: {
    retryable: true,
    text: 'The join window is closed, or as many newcomers wait as it can hold.',
    fix: 'Open it on an admin node: "mycel invite --open 10m", or join with an invite.',
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
  MYCEL_TOO_MANY_INVITES: {
    retryable: true,
    text: 'Too many invites are open.',
    fix: 'Wait until some are used or expire, or make one invite for several devices with --uses.',
  },
} as const;
