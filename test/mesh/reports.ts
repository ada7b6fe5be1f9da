/** What a node tells about itself and the others, by its own command. */

import type { MeshHost } from './lab-mesh.ts';

/** The parts of `mycel status --json` that tests of trust look at. */
export interface StatusReport {
  readonly mesh: { readonly epoch: number; readonly isAdmin: boolean };
  readonly links: readonly { readonly peer: string }[];
  readonly metrics: { readonly drops: Readonly<Record<string, number>> };
  readonly warnings: readonly string[];
}

/** `mycel status --json`. @throws with the command's words when it fails */
export async function statusOf(node: MeshHost): Promise<StatusReport> {
  return (await reportOf(node, 'status')) as StatusReport;
}

/** `mycel members --json`, by id. @throws with the command's words when it fails */
export async function memberListOf(
  node: MeshHost,
): Promise<ReadonlyMap<string, Readonly<Record<string, unknown>>>> {
  const list = (await reportOf(node, 'members')) as readonly Readonly<Record<string, unknown>>[];
  return new Map(list.map((member) => [String(member['id']), member]));
}

async function reportOf(node: MeshHost, command: string): Promise<unknown> {
  const { code, json, stderr } = await node.host.cli(command, '--json');
  if (code !== 0) throw new Error(`mycel ${command}: exit ${code} ${stderr}`);
  return json;
}
