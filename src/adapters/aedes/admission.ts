/** Who may connect: client ids, session kinds, guests' logins and wills. */

import { topicProblem, isReservedTopic } from '../../kernel/topic.ts';
import type { Log } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import type { Connection } from './broker-client.ts';
import type { BrokerLimits } from './broker-limits.ts';
import type { AedesClient } from './aedes-types.ts';
import { createPasswordChecker } from './guest-passwords.ts';
import { guestPublishProblem, isGuestName } from './guest-rules.ts';
import type { GuestCredential } from './guest-rules.ts';

/** Longest client id we accept, in UTF-16 units. */
const clientIdLengthMax = 256;

/** Guests' client ids live under this prefix, so that no guest can take over a local client's id. */
const guestIdPrefix = 'guest:';

/** CONNACK return codes of MQTT 3.1.1 section 3.2.2.3. */
const refused = { identifier: 2, unavailable: 3, credentials: 4, notAuthorised: 5 } as const;

/** A refusal to let somebody in. */
export interface LoginRefusal {
  readonly returnCode: number;
  readonly reason: string;
}

/** The doorkeeper. */
export interface Admission {
  /** Looks at a CONNECT before anything is done with it; rewrites a guest's client id. */
  examine(connection: Connection, packet: ConnectLike): void;
  authenticate(
    connection: Connection,
    username: string | undefined,
    password: Uint8Array | undefined,
  ): Promise<LoginRefusal | undefined>;
  /** Returns the connections whose guest is gone or different. */
  setGuests(guests: readonly GuestCredential[]): Connection[];
}

/** The fields of a CONNECT that matter here; `clientId` and `clean` may be rewritten. */
export interface ConnectLike {
  clientId: string;
  clean?: boolean | undefined;
  username?: string | undefined;
  will?: { topic: string } | undefined;
}

/** Builds a doorkeeper with no guests. */
export function createAdmission(world: {
  readonly limits: BrokerLimits;
  readonly connections: ReadonlyMap<AedesClient, Connection>;
  readonly log: Log;
  readonly metrics: Metrics;
}): Admission {
  const { limits, connections, log, metrics } = world;
  const passwords = createPasswordChecker();
  let guests = new Map<string, GuestCredential>();

  function refusalOf(connection: Connection, packet: ConnectLike): LoginRefusal | undefined {
    const { clientId } = packet;
    const isClean = packet.clean !== false;
    if (clientId === '' && !isClean) {
      return { returnCode: refused.identifier, reason: 'an empty client id needs a clean session' };
    }
    const problem = clientId === '' ? undefined : clientIdProblem(clientId);
    if (problem !== undefined) return { returnCode: refused.identifier, reason: problem };
    if (connection.zone === 'local') {
      if (clientId.startsWith(guestIdPrefix)) {
        return {
          returnCode: refused.identifier,
          reason: `ids below ${guestIdPrefix} are for guests`,
        };
      }
      return willRefusal(packet);
    }
    if (!isClean && guests.get(packet.username ?? '')?.mayPersist !== true) {
      return { returnCode: refused.identifier, reason: 'guests have clean sessions only' };
    }
    return undefined;
  }

  function isCrowded(connection: Connection): boolean {
    let count = 0;
    for (const one of connections.values()) {
      if (one !== connection && one.zone === connection.zone && one.isReady) count += 1;
    }
    return count >= limits[connection.zone].clients;
  }

  async function loginGuest(
    connection: Connection,
    username: string | undefined,
    password: Uint8Array | undefined,
  ): Promise<LoginRefusal | undefined> {
    if (username === undefined || password === undefined || password.length === 0) {
      return {
        returnCode: refused.notAuthorised,
        reason: 'guests need a user name and a password',
      };
    }
    const guest = guests.get(username);
    const verdict = await passwords.check(guest, password, connection.host);
    if (verdict === 'busy') return { returnCode: refused.unavailable, reason: 'too many logins' };
    if (verdict === 'too-many-attempts') {
      return { returnCode: refused.notAuthorised, reason: 'too many failed logins from there' };
    }
    // The guests may have changed while scrypt ran.
    if (verdict === 'wrong' || guest === undefined || guests.get(username) !== guest) {
      return { returnCode: refused.credentials, reason: 'wrong guest name or password' };
    }
    const { willTopic } = connection;
    const problem = willTopic === undefined ? undefined : guestPublishProblem(guest, willTopic);
    if (problem !== undefined) {
      return { returnCode: refused.notAuthorised, reason: `the will's topic: ${problem}` };
    }
    connection.guest = guest;
    return undefined;
  }

  return {
    examine(connection, packet) {
      connection.refusal = refusalOf(connection, packet);
      connection.willTopic = packet.will?.topic;
      if (connection.zone !== 'guest') return;
      const own = packet.clientId === '' ? crypto.randomUUID() : packet.clientId;
      packet.clientId = `${guestIdPrefix}${packet.username ?? ''}:${own}`;
    },
    async authenticate(connection, username, password) {
      let refusal = connection.refusal;
      if (refusal === undefined && isCrowded(connection)) {
        refusal = { returnCode: refused.unavailable, reason: 'too many clients' };
      }
      if (refusal === undefined && connection.zone === 'guest') {
        refusal = await loginGuest(connection, username, password);
        // Logins run side by side: the last free place may be gone by now.
        if (refusal === undefined && isCrowded(connection)) {
          refusal = { returnCode: refused.unavailable, reason: 'too many clients' };
        }
      }
      if (refusal !== undefined) {
        metrics.drop('broker', `login-${connection.zone}`);
        log.info(
          { remote: connection.remote, zone: connection.zone, reason: refusal.reason },
          'refused an MQTT client',
        );
      }
      return refusal;
    },
    setGuests(list) {
      const next = new Map<string, GuestCredential>();
      for (const guest of list) {
        if (isGuestName(guest.name)) next.set(guest.name, guest);
        else log.warn({ name: guest.name.slice(0, 32) }, 'ignored a guest with an unusable name');
      }
      guests = next;
      return [...connections.values()].filter(({ guest }) => {
        const now = guest === undefined ? undefined : next.get(guest.name);
        return guest !== undefined && (now === undefined || !isSameGuest(guest, now));
      });
    },
  };
}

function willRefusal(packet: ConnectLike): LoginRefusal | undefined {
  const topic = packet.will?.topic;
  if (topic === undefined) return undefined;
  const problem = isReservedTopic(topic) ? 'it belongs to the mesh' : topicProblem(topic);
  return problem === undefined
    ? undefined
    : { returnCode: refused.notAuthorised, reason: `the will's topic: ${problem}` };
}

function clientIdProblem(clientId: string): string | undefined {
  if (clientId.length > clientIdLengthMax) return 'the client id is too long';
  // A client id is not a topic, but the same characters are dangerous in it (MQTT-1.5.3).
  const problem = topicProblem(clientId.replaceAll(/[+#/]/g, '-'));
  if (problem !== undefined) return `the client id: ${problem}`;
  return clientId.includes('\ufffd') ? 'the client id is not well-formed Unicode' : undefined;
}

function isSameGuest(left: GuestCredential, right: GuestCredential): boolean {
  return (
    left.mayPersist === right.mayPersist &&
    Buffer.compare(left.hash, right.hash) === 0 &&
    Buffer.compare(left.salt, right.salt) === 0 &&
    JSON.stringify([left.publish, left.subscribe]) ===
      JSON.stringify([right.publish, right.subscribe])
  );
}
