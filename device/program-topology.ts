/** The commands about the topology of the mesh: who is linked with whom, and how to change it. */

import type { Command } from 'commander';

import type { WithContext } from './context.ts';
import { collect } from './options.ts';

/** Flags of `topology set`. */
export interface TopologySetFlags {
  readonly hub?: readonly string[];
  readonly reason?: string;
}

/** Adds them. */
export function addTopologyCommands(program: Command, withContext: WithContext): void {
  const load = () => import('./commands/topology.ts');
  const topology = program
    .command('topology')
    .description('which nodes are linked, and why')
    .action(withContext(async (context) => (await load()).topology(context)));
  topology
    .command('set')
    .description('change it for the whole mesh, while it runs')
    .argument('<kind>', 'full-mesh, hyparview, client-server or pub-sub')
    .option('--hub <member>', 'a member that relays for others (repeatable)', collect)
    .option('--reason <text>', 'for the history')
    .action(
      withContext(async (context, kind: string, flags: TopologySetFlags) =>
        (await load()).topologySet(context, kind, flags),
      ),
    );
  topology
    .command('auto')
    .description('let the mesh choose by its size')
    .option(
      '--for <workload>',
      'balanced, low-latency, high-throughput, massive-scale or event-driven',
    )
    .action(
      withContext(async (context, flags: { readonly for?: string }) =>
        (await load()).topologyAuto(context, flags.for),
      ),
    );
}
