/** The commands about services and agents. */

import type { Command } from 'commander';

import type { WithContext } from './context.ts';
import { parseDuration } from './duration.ts';
import { collect, parseWhole } from './options.ts';

/** Flags of `call`; times in ms. */
export interface CallFlags {
  readonly timeout?: number;
  readonly select?: string;
}

/** Flags of `deploy`. */
export interface DeployFlags {
  readonly name?: string;
  readonly replicas?: number | 'auto';
  readonly society?: 'mesh' | 'ring' | 'tree' | 'adaptive';
  readonly require?: readonly string[];
  readonly label?: readonly string[];
  readonly spread?: string;
  readonly select?: string;
  readonly place?: string;
}

/** Adds them. */
export function addAgentCommands(program: Command, withContext: WithContext): void {
  const services = () => import('./commands/services.ts');
  program
    .command('services')
    .description('what the nodes of the mesh offer')
    .action(withContext(async (context) => (await services()).services(context)));
  program
    .command('call')
    .description('call an action of a service')
    .argument('<service.action>')
    .argument('[json]', 'its input')
    .option('--timeout <time>', 'how long to wait, like 5s (the default)', (text) =>
      parseDuration('--timeout', text, 's'),
    )
    .option(
      '--select <selector>',
      'only instances that fit, like "category:camera, location:lab/*"',
    )
    .action(
      withContext(async (context, target: string, input: string | undefined, flags: CallFlags) =>
        (await services()).call(context, target, input, flags),
      ),
    );
  addAgents(program, withContext);
}

function addAgents(program: Command, withContext: WithContext): void {
  const agents = () => import('./commands/agents.ts');
  const name = '--name <name>';
  program
    .command('run')
    .description('run an agent on this node')
    .argument('<file>', 'a .js or .ts module that exports an agent')
    .option(name, 'another name than the one in the module')
    .action(
      withContext(async (context, file: string, flags: DeployFlags) =>
        (await agents()).deploy(context, file, flags, true),
      ),
    );
  program
    .command('deploy')
    .description('run an agent on the mesh, where it fits')
    .argument('<file>', 'a .js or .ts module that exports an agent')
    .option(name, 'another name than the one in the module')
    .option('--replicas <n>', 'how many instances, or "auto": one a node (default: 1)', (text) =>
      text === 'auto' ? text : parseWhole('--replicas', 1, 256)(text),
    )
    .option('--society <shape>', 'who is whose neighbour: mesh, ring, tree or adaptive')
    .option('--require <capability>', 'only nodes that have it (repeatable)', collect)
    .option('--spread <label>', 'replicas on nodes with different values of this label')
    .option('--place <how>', 'hash: evenly, by name (default); auction: by what it costs each node')
    .option('--label <k=v>', 'only nodes with this label (repeatable)', collect)
    .option('--select <selector>', 'only nodes that fit, like "location:lab/*, !battery"')
    .action(
      withContext(async (context, file: string, flags: DeployFlags) =>
        (await agents()).deploy(context, file, flags, false),
      ),
    );
  program
    .command('undeploy')
    .description('end an agent everywhere')
    .argument('<name>')
    .action(
      withContext(async (context, agent: string) => (await agents()).undeploy(context, agent)),
    );
  program
    .command('agents')
    .description('the agents that run on the mesh')
    .option('--health', 'all instances of each agent taken together')
    .action(
      withContext(async (context, flags: { readonly health?: boolean }) =>
        flags.health === true ? (await agents()).health(context) : (await agents()).agents(context),
      ),
    );
  program
    .command('drain')
    .description('move all agents off a node, with their state, and keep it empty')
    .argument('<node>', 'its id, a part of it, or its name')
    .option('--undo', 'let it take agents again')
    .action(
      withContext(async (context, who: string, flags: { readonly undo?: boolean }) =>
        (await agents()).drain(context, who, flags.undo === true),
      ),
    );
  program
    .command('migrate')
    .description('move one instance to another node, with its state')
    .argument('<instance>', 'as "mycel agents" shows it, like beat#0')
    .argument('<node>', 'its id, a part of it, or its name')
    .action(
      withContext(async (context, instance: string, who: string) =>
        (await agents()).migrate(context, instance, who),
      ),
    );
}
