/** Failures about who belongs to the mesh and how its members reach each other. */

export const meshErrors = {
  MYCEL_BAD_MESH_ID: {
    retryable: false,
    text: 'This is not a mesh id.',
    fix: 'Copy the 32 hex digits from "mycel status".',
  },
  MYCEL_BAD_NODE_ID: {
    retryable: false,
    text: 'This is not a node id.',
    fix: 'Copy the whole 28-character id from "mycel members".',
  },
  MYCEL_HANDSHAKE_FAILED: {
    retryable: true,
    text: 'The handshake with the peer failed.',
    fix: 'Check that both nodes belong to the same mesh and run compatible versions; a stranger on the network gets this too.',
  },
  MYCEL_INVITE_EXPIRED: {
    retryable: false,
    text: 'The invite has expired.',
    fix: 'Ask for a fresh one: "mycel invite" on an admin node.',
  },
  MYCEL_INVITE_FOREIGN: {
    retryable: false,
    text: 'The node that answered is not the one that made the invite.',
    fix: 'Check the address; nodes of another mesh may be on the same network.',
  },
  MYCEL_INVITE_MALFORMED: {
    retryable: false,
    text: 'This is not a whole invite.',
    fix: 'Copy it again, from "mycel:1:" to the last character.',
  },
  MYCEL_INVITE_UNKNOWN: {
    retryable: true,
    text: 'The node that answered does not know this invite.',
    fix: 'Join at the node that made it. If it has restarted since, its invites are void: ask for a fresh one.',
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
  MYCEL_LINK_FAILED: {
    retryable: true,
    text: 'No link to the peer could be made.',
    fix: 'Look at the reason of each address; "mycel doctor" checks network, ports and clock.',
  },
  MYCEL_NOT_ADMIN: {
    retryable: false,
    text: 'This node may not do that: it is not an admin of the mesh.',
    fix: 'Run the command on an admin node ("mycel members" shows the roles).',
  },
  MYCEL_NOT_ALLOWED: {
    retryable: false,
    text: 'The node belongs to another user.',
    fix: 'Run the command as that user, for example with sudo.',
  },
  MYCEL_REVOKED: {
    retryable: false,
    text: 'This device was thrown out of the mesh.',
    fix: 'To let it in again, give it a new identity: stop it, delete its data directory, and invite it.',
  },
  MYCEL_SEAL_BROKEN: {
    retryable: true,
    text: 'Sealed bytes were changed, replayed or made by someone else.',
    fix: 'Nothing: the link is closed and made anew. If it repeats, something on the network alters traffic.',
  },
  MYCEL_TOO_MANY_ATTEMPTS: {
    retryable: true,
    text: 'Too many attempts from this address.',
    fix: 'Wait a second and try again.',
  },
  MYCEL_TOO_MANY_INVITES: {
    retryable: true,
    text: 'Too many invites are open.',
    fix: 'Wait until some are used or expire, or make one invite for several devices with --uses.',
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
  MYCEL_UNREACHABLE: {
    retryable: true,
    text: 'The other node could not be reached.',
    fix: 'Check that it runs, is on the same network and that no firewall closes its port.',
  },
  MYCEL_WINDOW_CLOSED: {
    retryable: true,
    text: 'The join window is closed, or as many newcomers wait as it can hold.',
    fix: 'Open it on an admin node: "mycel invite --open 10m", or join with an invite.',
  },
} as const;
