/** A mesh of real nodes on the hosts of a lab, and how long its views take to be complete. */

import type { Host, JsonEvent, MycelProcess } from './lab-host.ts';
import type { Lab } from './lab.ts';

/** One node of the mesh. */
export interface MeshHost {
  readonly host: Host;
  readonly process: MycelProcess;
  readonly id: string;
  readonly name: string;
  readonly mqttPort: number;
  /** When its `ready` line came (`performance.now`). */
  readonly readyAt: number;
}

/** How to start a mesh. */
export interface MeshOptions {
  /** Flags of `up` for every node, or for each by its number and the founder's address. */
  readonly flags?: readonly string[] | ((at: number, founder: string) => readonly string[]);
  readonly env?: Readonly<Record<string, string>>;
  /** How long a node may take to be ready, in ms. @default 20_000 */
  readonly readyMs?: number;
}

/** A running mesh. */
export interface LabMesh {
  readonly nodes: readonly MeshHost[];
  node(at: number): MeshHost;
  /**
   * Waits until each of the first `count` nodes (all by default) last said `alive` of every other one of them.
   * Gives for each node the ms from the last `ready` of all to the last of these lines.
   */
  viewTimes(count?: number, ms?: number): Promise<readonly number[]>;
  /** The longest of `viewTimes`. */
  viewsComplete(count?: number, ms?: number): Promise<number>;
  /** Ends the nodes in an orderly way (SIGTERM) and gives their exit codes. */
  stop(): Promise<readonly (number | null)[]>;
}

/** Starts one node on a host and waits until its broker accepts clients. */
export async function startNode(
  host: Host,
  flags: readonly string[],
  options: Pick<MeshOptions, 'env' | 'readyMs'> = {},
): Promise<MeshHost> {
  const args = ['up', '--json', '--name', `node-${host.at}`, ...flags];
  const process = host.spawn(args, options.env === undefined ? {} : { env: options.env });
  const ready = await process.waitForEvent(isReady, options.readyMs ?? 20_000);
  const line = process.events().find(({ event }) => isReady(event));
  return {
    host,
    process,
    id: String(ready['node']),
    name: String(ready['name']),
    mqttPort: Number(ready['mqttPort']),
    readyAt: line?.at ?? performance.now(),
  };
}

/** Starts `count` nodes on the first hosts: host 0 founds the mesh, each other one joins with an invite of its own. */
export async function startMesh(
  lab: Lab,
  count: number,
  options: MeshOptions = {},
): Promise<LabMesh> {
  const { flags = [] } = options;
  const founderHost = lab.host(0);
  const flagsOf = (at: number, founder: string): readonly string[] =>
    typeof flags === 'function' ? flags(at, founder) : flags;
  const first = await startNode(founderHost, flagsOf(0, ''), options);
  const founder = `${founderHost.address}:${first.mqttPort}`;
  const invites: string[] = [];
  for (let at = 1; at < count; at += 1) invites.push(await mintInvite(founderHost));
  const others = invites.map((invite, index) => {
    const at = index + 1;
    return startNode(lab.host(at), ['--join', invite, ...flagsOf(at, founder)], options);
  });
  return createMesh([first, ...(await Promise.all(others))]);
}

/** Asks a node for an invite with `mycel invite --json`. */
export async function mintInvite(host: Host, ...flags: readonly string[]): Promise<string> {
  const result = await host.cli('invite', '--json', ...flags);
  const invite = (result.json as { invite?: unknown } | undefined)?.invite;
  if (result.code !== 0 || typeof invite !== 'string') {
    throw new Error(`mycel invite: exit ${result.code}\n${result.stdout}${result.stderr}`);
  }
  return invite;
}

/** Puts running nodes into a mesh handle. */
export function createMesh(nodes: readonly MeshHost[]): LabMesh {
  return {
    nodes,
    node(at) {
      const node = nodes[at];
      if (node === undefined) throw new Error(`the mesh has no node ${at}`);
      return node;
    },
    viewTimes: (count, ms) => viewTimes(nodes, count, ms),
    viewsComplete: async (count, ms) => Math.max(...(await viewTimes(nodes, count, ms))),
    async stop() {
      for (const { process } of nodes) process.child.kill('SIGTERM');
      return await Promise.all(nodes.map(({ process }) => process.ended));
    },
  };
}

async function viewTimes(
  nodes: readonly MeshHost[],
  count = nodes.length,
  ms = 30_000,
): Promise<readonly number[]> {
  const watched = nodes.slice(0, count);
  const ids = watched.map(({ id }) => id);
  const times = await Promise.all(
    watched.map(({ process, id }) => {
      const others = ids.filter((other) => other !== id);
      const look = (): number | undefined => completedAt(process, others);
      return process.until(`${others.length} members alive`, look, ms);
    }),
  );
  const lastReady = Math.max(...watched.map(({ readyAt }) => readyAt));
  return times.map((time) => Math.max(0, time - lastReady));
}

/** The last state that a node printed about each member. */
export function statesSeen(process: MycelProcess): ReadonlyMap<string, string> {
  const states = new Map<string, string>();
  for (const { event } of process.events()) {
    if (event['event'] === 'member') states.set(String(event['id']), String(event['state']));
  }
  return states;
}

/** When the last of the members that are all alive now came alive for good; undefined while one is not. */
function completedAt(process: MycelProcess, members: readonly string[]): number | undefined {
  const aliveSince = new Map<string, number>();
  for (const { at, event } of process.events()) {
    if (event['event'] !== 'member') continue;
    const id = String(event['id']);
    if (event['state'] !== 'alive') aliveSince.delete(id);
    else if (!aliveSince.has(id)) aliveSince.set(id, at);
  }
  let last = 0;
  for (const id of members) {
    const since = aliveSince.get(id);
    if (since === undefined) return undefined;
    last = Math.max(last, since);
  }
  return last;
}

function isReady(event: JsonEvent): boolean {
  return event['event'] === 'ready';
}
