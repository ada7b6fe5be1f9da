/** A stormy while for replicas with writes everywhere, then peace; every knob is drawn from the seed. */

import { createRandom } from '../../src/kernel/random.ts';
import { addressOf } from '../../src/protocol/replication/cell.ts';
import { addMember, increment, removeMember } from '../../src/protocol/replication/writes.ts';
import { StateMesh } from './state-mesh.ts';
import type { StateMutation } from './state-mesh.ts';

/** The knobs of a storm, all of them drawn from the seed. */
function drawKnobs(seed: number) {
  const random = createRandom(seed * 104_729);
  const oneOf = <Value>(...values: readonly Value[]): Value =>
    values[random.below(values.length)] as Value;
  return {
    count: oneOf(2, 3, 3, 4, 5, 7),
    loss: oneOf(0, 0, 0.1, 0.3),
    rounds: oneOf(20, 40, 60),
    writesMax: oneOf(3, 30, 60),
    keys: oneOf(4, 120, 600),
    /** One in so many rounds brings each kind of trouble. */
    calm: oneOf(8, 12, 30),
    /** Wall clocks are wrong by up to so much, in ms; less than what makes writes be refused. */
    skewMsMax: oneOf(0, 100, 25_000),
    fates: oneOf<readonly ('kept' | 'older' | 'lost')[]>(
      ['kept'],
      ['kept', 'kept', 'older', 'lost'],
      ['older', 'lost'],
    ),
  };
}

/** Runs one. Gives what is wrong in the end. */
export function storm(
  seed: number,
  mutation?: StateMutation,
): { wrong: string[]; mesh: StateMesh } {
  const { count, loss, rounds, writesMax, keys, calm, skewMsMax, fates } = drawKnobs(seed);
  const mesh = new StateMesh({
    seed,
    count,
    loss,
    ...(mutation === undefined ? {} : { mutation }),
  });
  const { random } = mesh;
  const tags = addressOf('set', ['tags']);
  for (let round = 0; round < rounds; round += 1) {
    const fate = random.below(calm);
    if (fate === 0) mesh.split((at) => (at + round) % 2);
    if (fate === 1) mesh.heal();
    if (fate === 2) {
      const victim = random.below(count);
      mesh.crash(victim, fates[random.below(fates.length)] ?? 'kept');
      mesh.run(random.below(2_000));
      mesh.restart(victim);
    }
    if (fate === 3) mesh.step(random.below(count), (2 * random.unit() - 1) * skewMsMax);
    for (let write = random.below(writesMax); write > 0; write -= 1) {
      const at = random.below(count);
      const key = `key ${random.below(keys)}`;
      const kind = random.below(10);
      if (kind < 5) mesh.set(at, key, round);
      else if (kind < 7) mesh.remove(at, key);
      else if (kind < 8) mesh.write(at, tags, addMember(random.below(20)));
      else if (kind < 9) mesh.write(at, tags, removeMember(random.below(20)));
      else {
        const node = mesh.nodes[at];
        const address = addressOf('counter', ['hits']);
        if (node === undefined) continue;
        mesh.write(at, address, increment(node.state.entries(address), node.replica, 1));
      }
    }
    mesh.run(random.below(1_500));
  }
  mesh.heal();
  mesh.calm();
  mesh.run(60_000);
  return { wrong: mesh.verdict(), mesh };
}
