/** The backbone as a rung of discovery: members that say hello in the room of everybody. */

import type { Address } from '../../kernel/address.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Rung, RungHandlers } from '../../ports/discovery.ts';
import { createSightingTable } from '../discovery/sighting-table.ts';
import type { SightingTable } from '../discovery/sighting-table.ts';

/** How often a node says that it is there, in ms: a hundred nodes cost a broker ten small messages a second each way. */
export const helloMs = 60_000;

/** A node stays sighted for so long without being heard, in ms. */
const holdMs = 3 * helloMs;

/** Bursts ask who is there no more often than this, in ms. */
const askMsMin = 5_000;

/** The rung, with its source. */
export interface BackboneRung extends Rung {
  heard(member: {
    readonly node: NodeId;
    readonly meshTag: string;
    readonly addresses: readonly Address[];
  }): void;
  troubled(problem: { readonly reason: string; readonly fix: string } | undefined): void;
  /** This node is in the rooms of another mesh, or of none. */
  forgetAll(): void;
}

/** Builds it. `hello` says that this node is there; `asks`: and that others shall answer. */
export function createBackboneRung(options: {
  readonly clock: Clock;
  hello(asks: boolean): void;
}): BackboneRung {
  const { clock, hello } = options;
  let handlers: RungHandlers | undefined;
  let table: SightingTable | undefined;
  let trouble: { readonly reason: string; readonly fix: string } | undefined;
  let askedAt = -Infinity;
  let cancel = (): void => {};
  let isStopped = false;

  const openTable = (to: RungHandlers): SightingTable =>
    createSightingTable({ rung: 'backbone', clock, handlers: to });

  function beat(): void {
    cancel = clock.alarm(clock.now() + helloMs, () => {
      hello(false);
      beat();
    });
  }

  return {
    name: 'backbone',
    start(given) {
      if (handlers !== undefined || isStopped) return Promise.resolve();
      handlers = given;
      table = openTable(given);
      if (trouble !== undefined) given.trouble(trouble);
      beat();
      return Promise.resolve();
    },
    heard({ node, meshTag, addresses }) {
      table?.hear({
        node,
        meshTag,
        state: 'member',
        addresses,
        holdMs,
        // Each is its own source: nobody else speaks for its inbox.
        source: node,
      });
    },
    troubled(problem) {
      trouble = problem;
      if (!isStopped) handlers?.trouble(problem);
    },
    forgetAll() {
      table?.close();
      table = handlers === undefined || isStopped ? undefined : openTable(handlers);
    },
    // Members are told in their own rooms, with each connection; strangers are told nothing.
    announce() {},
    burst() {
      if (isStopped || clock.now() - askedAt < askMsMin) return;
      askedAt = clock.now();
      table?.repeat();
      hello(true);
    },
    records: () => table?.records() ?? [],
    stop() {
      isStopped = true;
      cancel();
      table?.close();
      return Promise.resolve();
    },
  };
}
