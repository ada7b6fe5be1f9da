/** Authority-log news at work: each fresh entry is a rumour among linked members; comparing logs catches what it misses. */

import type { NodeId } from '../kernel/ids.ts';
import type { Random } from '../kernel/random.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import { createRumours } from '../protocol/broadcast/rumour.ts';
import type { RumourEffect } from '../protocol/broadcast/rumour.ts';
import type { AuthorityEntry } from '../protocol/trust/messages.ts';
import type { TrustMessage } from '../wire/trust-message.ts';
import { drive } from './drive.ts';

/** What the trust around it provides. */
export interface NewsWorld {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  send(to: NodeId, message: TrustMessage): void;
  /** An entry came as news from this member for the first time. */
  heard(from: NodeId, entry: AuthorityEntry): void;
}

/** The rumour mill of one node. */
export interface News {
  /** This node wrote an entry. */
  tell(entry: AuthorityEntry): void;
  /** A linked member told an entry, its signature already checked. */
  received(from: NodeId, entry: AuthorityEntry): void;
  /** A member said whether an entry was new to it. */
  answered(from: NodeId, hash: string, wasNew: boolean): void;
  /** The linked members changed. */
  linked(peers: readonly NodeId[]): void;
  stop(): void;
}

/** Starts the mill; it costs nothing while there is nothing to tell. */
export function startNews(world: NewsWorld): News {
  const { clock, log, metrics } = world;
  const core = createRumours<AuthorityEntry>({}, world.random);
  let teller: NodeId | undefined;

  function run(effect: RumourEffect<AuthorityEntry>): void {
    switch (effect.type) {
      case 'push':
        metrics.count('trust.rumours.out');
        return world.send(effect.to, { kind: 'rumour', entry: effect.item.bytes });
      case 'answer':
        return world.send(effect.to, { kind: 'heard', hash: effect.id, wasNew: effect.wasNew });
      case 'deliver':
        // Own news is delivered too; the log has it already.
        return teller === undefined ? undefined : world.heard(teller, effect.item);
      case 'ask':
        return undefined;
    }
  }

  const driver = drive(core, {
    clock,
    tick: { type: 'tick' },
    run,
    failed: (effect, error) => log.error({ effect: effect.type, error }, 'a rumour effect failed'),
    overflowed: () => metrics.drop('trust', 'rumour inbox full'),
  });

  return {
    tell: (item) => driver.feed({ type: 'learned', id: item.hash, item }),
    received(from, item) {
      teller = from;
      driver.feed({ type: 'received', from, id: item.hash, item });
      teller = undefined;
    },
    answered: (from, id, wasNew) => driver.feed({ type: 'answered', from, id, wasNew }),
    linked: (ids) => driver.feed({ type: 'peers', ids }),
    stop: () => driver.stop(),
  };
}
