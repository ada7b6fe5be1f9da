/** The ground floor of a node as its household opens it: what comes in there goes to the life of the moment. */

import type { Ground, NodeAdapters } from './adapters.ts';
import type { Evictions } from './evictions.ts';
import type { Identity } from './identity.ts';
import type { Life } from './life-world.ts';
import { MycelError } from '../kernel/errors.ts';
import type { NodeOptions } from './mesh-node.ts';
import type { Store } from '../ports/store.ts';
import { portDefault } from './options.ts';
import { isLoopbackOnly, loopbackHost } from './reach.ts';
import type { Groups } from './routing/groups.ts';
import type { LocalInterest } from './routing/local-interest.ts';

/** Why a broker refuses what keeps the rules. */
const tooFast = 'too-fast';

/** What it belongs to. */
export interface GroundFloorWorld {
  readonly options: NodeOptions;
  readonly adapters: NodeAdapters;
  readonly store: Store;
  readonly identity: Identity;
  readonly interest: LocalInterest;
  readonly groups: Groups;
  readonly evictions: Evictions;
  /** Undefined while the node starts. */
  life(): Life | undefined;
}

/** The port that a node had when any free one would do, as text. */
const portRecord = 'port';

async function keptPort(store: Store): Promise<number | undefined> {
  const bytes = await store.read(portRecord);
  const port = bytes === undefined ? 0 : Number(new TextDecoder().decode(bytes));
  return Number.isInteger(port) && port > 0 && port <= 65_535 ? port : undefined;
}

/** Opens it; a port that was found is taken again after a restart. @throws {MycelError} MYCEL_PORT_TAKEN */
export async function openGroundFloor(world: GroundFloorWorld): Promise<Ground> {
  const { options, adapters, store } = world;
  const kept = await keptPort(store);
  const ground = await openAt(world, kept);
  if (ground.port !== (options.port ?? portDefault) && ground.port !== kept) {
    try {
      await store.write(portRecord, new TextEncoder().encode(String(ground.port)));
    } catch (error) {
      // Without it the node takes any port the next time: no reason not to run.
      const { code } = MycelError.is(error) ? error : { code: String(error) };
      adapters.log.warn({ port: ground.port, reason: code }, 'the port is not remembered');
    }
  }
  return ground;
}

function openAt(world: GroundFloorWorld, kept: number | undefined): Promise<Ground> {
  const { options, adapters, identity, life } = world;
  return adapters.openGround({
    host: isLoopbackOnly(options) ? loopbackHost : '0.0.0.0',
    port: options.port ?? portDefault,
    mayMove: options.port === undefined,
    keptPort: kept,
    // Unique per start: aedes numbers what it holds per broker id, from 1 each time.
    brokerId: `${identity.node}:${identity.instance}`,
    credentials: {
      node: identity.node,
      keys: identity.keys,
      prologue() {
        const current = life();
        if (current === undefined) throw new MycelError('MYCEL_NOT_RUNNING');
        return current.prologue();
      },
      certificate: () => life()?.trust.certificate().bytes,
      admit: (certificate, xPublic) =>
        life()?.admit(certificate, xPublic) ?? { refusal: 'the node is starting' },
      refused: (node, proof) => life()?.refusedBy(node, proof),
    },
    handlers: {
      published(message, _client, taken) {
        const current = life();
        if (current === undefined) taken('the node is starting');
        else current.messaging.fromClient(message, taken);
      },
      interest: (filter, isWanted) => world.interest.say('broker', filter, isWanted),
      groups: world.groups,
      refused(topic, { clientId, guest }, reason) {
        const cause = reason === tooFast ? 'overflow' : 'acl';
        const who = guest === undefined ? `client ${clientId}` : `guest ${guest}`;
        life()?.messaging.trace.own('dropped', topic, undefined, cause, `${who}: ${reason}`);
      },
      opened: (session) => void life()?.peering.links.opened(session),
      frame: (session, lane, bytes) => life()?.peering.links.frame(session, lane, bytes),
      drained: (session) => life()?.peering.links.drained(session),
      closed(session, reason) {
        world.evictions.link(session, reason);
        life()?.peering.links.closed(session, reason);
      },
      evicted: (client, reason) => world.evictions.client(client, reason),
      knocked: (kind, remote) => life()?.door.knocked(kind, remote),
    },
    log: adapters.log,
    metrics: adapters.metrics,
  });
}
