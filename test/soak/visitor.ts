/** One visit: a device comes, speaks, and parts in one of the ways that devices part. */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand, startCommand, type Program } from '../process.ts';
import { command, nodeFlags, type Resident } from './resident.ts';

/** How a visit may end, in turn. */
const partings = ['leave', 'power cut', 'stop'] as const;

/** What the mesh then says of the visitor. On an overloaded machine it may be taken for dead before it has said goodbye. */
const goneStates = ['left', 'dead'] as const;

/** A device nobody knows yet comes once in so many visits, and is revoked at their end; it never comes back. */
const strangerEvery = 10;

/** Boards of the house, which come and go. Coprime to the partings, so that each of them parts in every way. */
const boardCount = 7;

const joinMs = 180_000;

interface Visit {
  readonly resident: Resident;
  readonly visitor: Program;
  readonly node: string;
  readonly dataDir: string;
}

/** Gives the visits of a soak, one at a time: `visit(cycle)` lets a device in and out again. */
export function createVisits(resident: Resident, home: string): (cycle: number) => Promise<void> {
  const members = new Set<string>();

  return async (cycle) => {
    const isStranger = cycle % strangerEvery === 0;
    const name = isStranger ? `stranger-${cycle}` : `board-${cycle % boardCount}`;
    const dataDir = join(home, name);
    const isInvited = !members.has(name);
    const flags = isInvited ? ['--join', await mintInvite(resident)] : [];
    const argv = [command, 'up', '--name', name, '--data-dir', dataDir, ...nodeFlags, ...flags];
    const visitor = startCommand([process.execPath, ...argv]);
    try {
      const ready = await visitor.line((text) => text.includes('"ready"'), joinMs);
      const { node } = JSON.parse(ready) as { node: string };
      if (isInvited) await visitor.line((text) => text.includes('"joined"'), joinMs);
      await resident.says(node, 'alive');
      // A house has so many topics: caches of topics are bounded by more than the visits of a run.
      await mycel('pub', `soak/${cycle % boardCount}`, 'here', '--data-dir', dataDir);
      const visit = { resident, visitor, node, dataDir };
      if (isStranger) await revoke(visit);
      else if ((await part(visit, cycle)) === 'leave') members.delete(name);
      else members.add(name);
    } finally {
      visitor.child.kill('SIGKILL');
      await visitor.ended;
      if (isStranger) await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
    }
  };
}

async function part(visit: Visit, cycle: number): Promise<string> {
  const how = partings[cycle % partings.length] ?? partings[0];
  const { resident, visitor, node, dataDir } = visit;
  if (how === 'leave') await mycel('leave', '--data-dir', dataDir);
  else visitor.child.kill(how === 'stop' ? 'SIGTERM' : 'SIGKILL');
  await resident.says(node, ...goneStates);
  return how;
}

async function revoke({ resident, node }: Visit): Promise<void> {
  await resident.ask('revoke', node);
  await resident.says(node, ...goneStates);
}

async function mintInvite(resident: Resident): Promise<string> {
  return (JSON.parse(await resident.ask('invite')) as { invite: string }).invite;
}

async function mycel(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await runCommand([process.execPath, command, ...args]);
  if (code !== 0) throw new Error(`mycel ${args.join(' ')}: exit ${code} ${stderr}`);
}
