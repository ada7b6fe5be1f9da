/** Which room a control message of a link is for. */

import type { Address } from '../kernel/address.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { SwitchInput } from '../protocol/overlay/switchboard-types.ts';
import type { ControlMessage } from '../wire/control.ts';
import { decodeInterest } from '../wire/interest-codec.ts';
import type { PeerBook } from './adapters.ts';
import type { LinkInfo } from './link-wires.ts';
import type { Membership } from './membership.ts';
import type { Messaging } from './messaging-world.ts';
import type { Trust } from './trust.ts';

/** Written into the goodbye of a device that does not come back as this member. */
export const leavingReason = 'leaving';

/** The rooms; one that is not open yet hears nothing. */
export interface ControlRooms {
  readonly book: PeerBook;
  overlay(input: SwitchInput): void;
  messaging(): Messaging | undefined;
  membership(): Membership | undefined;
  trust(): Trust | undefined;
  /** The peer hangs up, and why. */
  goodbye(peer: NodeId, reason: string): void;
}

/** Where a peer's datagrams come from, as far as its link tells. */
export function datagramAddress(link: LinkInfo): Address {
  const { remote } = link.session;
  return { host: remote.host, port: link.hello?.port ?? remote.port };
}

/** Hands a message on. Greetings, pings and what overlays say are the link table's own. */
export function dispatchControl(
  rooms: ControlRooms,
  link: LinkInfo,
  message: ControlMessage,
): void {
  const { peer } = link.session;
  switch (message.kind) {
    case 'neighbours':
      rooms.overlay({ type: 'neighboursHeard', node: peer, neighbours: message.ids });
      return rooms.messaging()?.step((router) => router.neighboursHeard(peer, message.ids));
    case 'letter':
      return rooms
        .messaging()
        ?.step((router, now) => router.letterReceived(now, peer, message.letter));
    case 'swim':
      return rooms.membership()?.receivedViaLink(peer, datagramAddress(link), message.bytes);
    case 'trust':
      return rooms.trust()?.received(peer, message.bytes);
    case 'retained-digest':
      return rooms.messaging()?.retainedAsked(peer, message.digest);
    case 'retained':
      return rooms
        .messaging()
        ?.step((router, now) => router.retainedReceived(now, message.entries));
    case 'peers':
      return rooms.book.told(peer, message.peers);
    case 'interest': {
      const said = decodeInterest(message.bytes);
      return (
        said && rooms.messaging()?.step((router, now) => router.interestReceived(now, peer, said))
      );
    }
    case 'bye':
      return rooms.goodbye(peer, message.reason);
    case 'broadcast':
      return rooms.messaging()?.broadcastReceived(peer, message.bytes);
    case 'topology':
      return rooms.overlay({ type: 'topologyHeard', topology: message.topology });
    case 'hello':
    case 'channel':
    case 'overlay':
    case 'ping':
    case 'pong':
      return undefined;
  }
}
