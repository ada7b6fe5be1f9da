/** Sender, relay and receiver in a line, each of which can be killed and started again. */

import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Program } from '../process.ts';
import { buildProgram } from './build-program.ts';
import type { Host } from './lab-host.ts';
import { mintInvite, startMesh, startNode } from './lab-mesh.ts';
import type { Lab } from './lab.ts';

/** One of the three, which can be killed and started again. */
export interface Role {
  readonly name: string;
  process: Program;
  start(): Promise<Program>;
}

/** Starts them, sender and relay with these options. `file`: where the receiver writes what it hears, a line each. */
export async function stageRoles(
  lab: Lab,
  options: object = {},
): Promise<{ roles: Role[]; relay: Host; sender: Host; file: string }> {
  const [relay, sender, receiver] = lab.hosts as [Host, Host, Host];
  // Before they have met: no link between them is ever made.
  lab.block(sender, receiver);
  lab.block(receiver, sender);
  const config = `${sender.dataDir}-options.json`;
  await writeFile(config, JSON.stringify(options));
  const flags = ['--profile', 'fast', '--config', config];
  const mesh = await startMesh(lab, 2, { flags });
  const program = await buildProgram('recording-node.ts', `${receiver.dataDir}-program.mjs`);
  const file = `${receiver.dataDir}-heard`;
  const startReceiver = async (...invite: string[]): Promise<Program> => {
    const argv = [process.execPath, program, receiver.dataDir, 'receiver', file, ...invite];
    const started = receiver.start(argv);
    await started.line((line) => line.includes('"ready"'), 20_000);
    return started;
  };
  const again = async (host: Host): Promise<Program> => (await startNode(host, flags)).process;
  const roles: Role[] = [
    { name: 'relay', process: mesh.node(0).process, start: () => again(relay) },
    { name: 'sender', process: mesh.node(1).process, start: () => again(sender) },
    {
      name: 'receiver',
      process: await startReceiver(await mintInvite(relay)),
      start: () => startReceiver(),
    },
  ];
  // What is published before its sender has heard of the receiver is owed to nobody.
  const seen = async (): Promise<number> =>
    ((await sender.cli('members', '--json')).json as unknown[]).length;
  for (let waited = 0; (await seen()) < roles.length; waited += 100) {
    if (waited > 20_000) throw new Error('the sender does not hear of the receiver');
    await sleep(100);
  }
  return { roles, relay, sender, file };
}

/** The numbers of the messages whose acknowledgement `acked-publisher.ts` has told. */
export const ackedBy = (publisher: Program): number[] =>
  publisher.lines.flatMap((line) => (line.startsWith('acked ') ? [Number(line.slice(6))] : []));
