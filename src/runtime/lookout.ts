/** The discovery ladder at work: every rung at once, one table of who was seen last, one beacon for all. */

import { BoundedMap } from '../kernel/bounded-map.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Beacon, Rung, RungName, Sighting } from '../ports/discovery.ts';
import type { Log } from '../ports/log.ts';
import type { DiscoveryReport } from './mesh-node.ts';

/** Nodes whose last sighting is remembered, for a join that starts later; the oldest makes room. */
const seenMax = 256;

/** The ladder. */
export interface Lookout {
  /** Starts every rung; one that fails reports its trouble and leaves the others alone. */
  start(seen: (sighting: Sighting) => void): Promise<void>;
  announce(beacon: Beacon): void;
  burst(): void;
  /** The last sighting of every node, for whoever starts listening late. */
  recent(): readonly Sighting[];
  report(): Pick<DiscoveryReport, 'rungs'>;
  stop(): Promise<void>;
}

type Trouble = { readonly reason: string; readonly fix: string };

/** Builds the ladder from its rungs. */
export function createLookout(rungs: readonly Rung[], log: Log): Lookout {
  const troubles = new Map<RungName, Trouble>();
  const seen = new BoundedMap<string, Sighting>(seenMax);

  return {
    async start(listener) {
      await Promise.all(
        rungs.map((rung) =>
          rung
            .start({
              seen(sighting) {
                seen.set(sighting.node ?? JSON.stringify(sighting.addresses), sighting);
                listener(sighting);
              },
              lost(node: NodeId) {
                seen.delete(node);
              },
              trouble(problem) {
                if (problem === undefined) troubles.delete(rung.name);
                else {
                  if (!troubles.has(rung.name))
                    log.warn({ rung: rung.name, ...problem }, 'discovery');
                  troubles.set(rung.name, problem);
                }
              },
            })
            .catch((error: unknown) => {
              log.error({ rung: rung.name, error }, 'a rung of discovery did not start');
              troubles.set(rung.name, {
                reason: `It did not start: ${error instanceof Error ? error.message : String(error)}.`,
                fix: 'Run "mycel doctor".',
              });
            }),
        ),
      );
    },
    announce(beacon) {
      for (const rung of rungs) rung.announce(beacon);
    },
    burst() {
      for (const rung of rungs) rung.burst();
    },
    recent: () => [...seen.values()],
    report: () => ({
      rungs: rungs.map((rung) => ({
        rung: rung.name,
        trouble: troubles.get(rung.name),
        records: rung.records(),
      })),
    }),
    async stop() {
      await Promise.all(rungs.map((rung) => rung.stop()));
    },
  };
}
