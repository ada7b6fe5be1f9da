/** What is under way to a member without a link stays within the window, also while floods bring it more than it acknowledges. */

import { expect, test } from 'vitest';
import { comeBack, cutOff, heardOf, line, quietMesh } from './routing-shapes.ts';
import { seedsFor } from './swarm.ts';

const outbox = { windowMax: 64, resendWindowMax: 16 };
const count = 400;

test('a receiver far away that starts anew hears nothing again that is older than the window', () => {
  for (const seed of seedsFor(2, [])) {
    // Its acknowledgements take three links, those of the neighbour that floods pass through one: its window is no bound.
    const mesh = quietMesh({
      seed,
      count: 4,
      edges: line(4),
      latencyMs: { min: 30, spread: 10 },
      linkRoom: 1_000,
      router: { outbox },
    });
    mesh.runUntil(2_000);
    for (let made = 0; made < count; made += 1) {
      mesh.at(mesh.now + made / 2, () => mesh.publishTo(0, 't', `${made}`));
    }
    const far = mesh.node(3).id;
    const until = mesh.now + 200 + mesh.random.below(400);
    let mostUnderWay = 0;
    while (mesh.now < until) {
      mesh.runUntil(mesh.now + 4);
      const { router } = mesh.node(0);
      const to = router.view().outbox.destinations.find(({ node }) => node === far);
      const known = router.lastSeq() - (to?.unacked ?? 0);
      mostUnderWay = Math.max(mostUnderWay, heardOf(mesh, 3, 0).length - known);
    }
    expect(mostUnderWay, `seed ${seed}`).toBeGreaterThan(outbox.windowMax / 2);
    expect(mostUnderWay, `seed ${seed}`).toBeLessThanOrEqual(outbox.windowMax);
    cutOff(mesh, 3);
    mesh.runUntil(mesh.now + 100);
    const before = heardOf(mesh, 3, 0);
    mesh.powerCut(3, 0);
    comeBack(mesh, 3);
    mesh.runUntil(mesh.now + 20_000);
    const after = heardOf(mesh, 3, 0);
    const again = after.filter((text) => before.includes(text));
    expect(again.length, `seed ${seed}`).toBeLessThanOrEqual(outbox.windowMax);
    const all = Array.from({ length: count }, (_, at) => `${at}`);
    expect([...before.slice(0, before.length - again.length), ...after], `seed ${seed}`).toEqual(
      all,
    );
  }
});
