/** The MQTT login of a link: a token bound to this very connection and to the node that is dialled. */

import type { NodeId } from '../../kernel/ids.ts';
import { signBytes, verifyBytes } from '../../wire/keys.ts';
import type { LinkCredentials, ProvedPeer } from './noise-stream.ts';

/** User name of version 1 of the login. */
export const loginUser = 'm1';

/**
 * The MQTT client id of a node on one connection. It names the node, so nobody can take over another node's, and the
 * handshake, so that a second connection of the node does not end the first: which one stays is the overlay's choice.
 */
export function linkClientId(node: NodeId, handshakeHash: Uint8Array): string {
  return `m.${node}.${Buffer.from(handshakeHash.subarray(0, 8)).toString('hex')}`;
}

/** The password that logs this node in at the peer, on this connection only. */
export function makeLogin(credentials: LinkCredentials, peer: ProvedPeer): string {
  const { handshakeHash } = peer.session;
  const clientId = linkClientId(credentials.node, handshakeHash);
  const signed = loginBytes(handshakeHash, peer.node, clientId);
  return Buffer.from(signBytes(credentials.keys.edSeed, signed)).toString('base64url');
}

/** Whether the login is the peer's own, made for this connection and this node. */
export function isRightLogin(
  credentials: LinkCredentials,
  peer: ProvedPeer,
  login: {
    readonly clientId: string;
    readonly username: string | undefined;
    readonly password: Uint8Array | undefined;
  },
): boolean {
  const { clientId, username, password } = login;
  if (username !== loginUser || password === undefined) return false;
  if (clientId !== linkClientId(peer.node, peer.session.handshakeHash)) return false;
  const signature = Buffer.from(Buffer.from(password).toString('latin1'), 'base64url');
  const signed = loginBytes(peer.session.handshakeHash, credentials.node, clientId);
  return verifyBytes(peer.edPublic, signed, signature);
}

function loginBytes(handshakeHash: Uint8Array, target: NodeId, clientId: string): Uint8Array {
  return Buffer.concat([
    Buffer.from('mycel/connect/1'),
    handshakeHash,
    Buffer.from(target),
    Buffer.from(clientId),
  ]);
}
