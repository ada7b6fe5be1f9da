/** A cable between two network namespaces: one for the board, one for a node outside it. */

import { runCommand } from '../process.ts';

/** The two ends; both have their card as `eth0`. */
export interface Lan {
  readonly inside: string;
  readonly outside: string;
  remove(): Promise<void>;
}

/** Makes the namespaces and the cable. @throws without root */
export async function createLan(): Promise<Lan> {
  const inside = `mycel-fw-in-${process.pid}`;
  const outside = `mycel-fw-out-${process.pid}`;
  const ip = async (line: string): Promise<void> => {
    const { code, stderr } = await runCommand(['ip', ...line.split(' ')]);
    if (code !== 0) throw new Error(`ip ${line}: ${stderr}`);
  };
  await ip(`netns add ${inside}`);
  await ip(`netns add ${outside}`);
  await ip(`link add eth0 netns ${inside} type veth peer name eth0 netns ${outside}`);
  for (const [netns, address] of [
    [inside, '10.98.0.1/24'],
    [outside, '10.98.0.2/24'],
  ]) {
    await ip(`-n ${netns} addr add ${address} dev eth0`);
    await ip(`-n ${netns} link set lo up`);
    await ip(`-n ${netns} link set eth0 up`);
  }
  return {
    inside,
    outside,
    async remove() {
      await ip(`netns del ${inside}`);
      await ip(`netns del ${outside}`);
    },
  };
}
