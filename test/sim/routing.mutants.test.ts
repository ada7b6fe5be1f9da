/** Planted mistakes in what large messages go through: the storms of the simulator catch each of them. */

import { describe, expect, test } from 'vitest';
import { crowdedStorm, heldStorm, largeStorm } from './large-storm.ts';
import { loadMutant } from './mutants.ts';
import type { Mutation } from './mutants.ts';
import type { RouterParts } from './routing-mesh.ts';
import { seedsFor } from './swarm.ts';

/** Storms of the right code; SIM_SEEDS makes it more. */
const seedCount = 8;

/** Storms that a mistake may survive at most. */
const patience = 24;

const intake = 'routing/intake.ts';
const parts = 'routing/parts.ts';
const order = 'routing/order-buffer.ts';

const mistakes: Readonly<Record<string, Mutation>> = {
  'acknowledging parts before the message is whole': {
    file: parts,
    from: 'return { ...progress, upTo: known.first - 1, ranges: [held, ...progress.ranges] };',
    to: 'return progress;',
  },
  'giving out a message that lacks its last part': {
    file: parts,
    from: 'if (one.bytes < one.totalBytes) return undefined;',
    to: 'if (one.bytes + partBytes < one.totalBytes) return undefined;',
  },
  'taking the first part of a message for the next one of a torn message': {
    file: parts,
    from: 'if (isNext) return known;',
    to: 'if (known !== undefined) return known;',
  },
  'keeping the torn message of a journal': {
    file: parts,
    from: 'return events.slice(0, Math.max(0, events.length - 1 - part.index));',
    to: 'return events;',
  },
  'dropping one part too few of a torn message': {
    file: parts,
    from: 'return events.slice(0, Math.max(0, events.length - 1 - part.index));',
    to: 'return events.slice(0, Math.max(0, events.length - part.index));',
  },
  'putting the parts together in the wrong order': {
    file: parts,
    from: 'one.parts.push(new Uint8Array(payload));',
    to: 'one.parts.unshift(new Uint8Array(payload));',
  },
};

/** What a receiver says of parts. */
const told: Readonly<Record<string, Mutation>> = {
  'taking a first part before its turn': {
    file: intake,
    from: "if (standing === 'ahead') return 'parts-early';",
    to: "if (standing === 'ahead') return undefined;",
  },
  'telling the origin nothing of what is held': {
    file: parts,
    from: 'ranges: [held, ...progress.ranges] };',
    to: 'ranges: progress.ranges };',
  },
};

const crowded: Readonly<Record<string, Mutation>> = {
  'forgetting a stalled message without asking for it again': {
    file: parts,
    from: 'outputs.again(now, origin, boot, first);',
    to: 'void [now, boot, first];',
  },
  'letting a stalled message keep its room': {
    file: parts,
    from: 'putBack(now, now - stalledMs, part.totalBytes);',
    to: 'void stalledMs;',
  },
  'taking more than there is room for': {
    file: parts,
    from: 'return left === 0 || left + part.totalBytes <= joiningBytesMax;',
    to: 'return left + part.totalBytes >= 0;',
  },
  'not putting the stream back with the message': {
    file: order,
    from: '      stream.next = seq;\n      if (stream.held.size > 0) stream.holeSince = now;',
    to: '      if (stream.held.size > 0) stream.holeSince = now;',
  },
  'counting the room of a message that is whole for ever': {
    file: parts,
    from: 'promised -= open.get(origin)?.totalBytes ?? 0;',
    to: 'promised -= 0;',
  },
};

async function mutant(mutation: Mutation): Promise<RouterParts> {
  const router = await loadMutant<Pick<RouterParts, 'createRouter'>>('routing/router.ts', mutation);
  const isInParts = mutation.file === parts;
  const cutting = await loadMutant<Pick<RouterParts, 'withoutTorn'>>(
    parts,
    ...(isInParts ? [mutation] : []),
  );
  return { createRouter: router.createRouter, withoutTorn: cutting.withoutTorn };
}

/** What a storm says of a router; one that stops working at all says that. */
function verdict(storm: typeof largeStorm, seed: number, made?: RouterParts): string[] {
  try {
    return storm(seed, made);
  } catch (error) {
    return [String(error)];
  }
}

describe('large messages in storms', () => {
  test('come whole, once and in order, and none that was safe is lost', () => {
    for (const seed of seedsFor(seedCount, [])) {
      expect(largeStorm(seed), `seed ${seed}`).toEqual([]);
    }
  });

  test('wait for room, and one that stands still gives way and comes again', () => {
    expect(crowdedStorm(1)).toEqual([]);
  });

  test('show how far they have come, and begin in their turn', () => {
    expect(heldStorm(1)).toEqual([]);
  });

  test.each(Object.entries(told))('do not survive %s', async (_name, mutation) => {
    const caught = verdict(heldStorm, 1, await mutant(mutation));
    console.info(caught[0] ?? 'nothing');
    expect(caught).not.toEqual([]);
  });

  test.each(Object.entries(mistakes))('do not survive %s', async (_name, mutation) => {
    const made = await mutant(mutation);
    const caught: string[] = [];
    let seed = 1;
    while (seed <= patience && caught.length === 0) {
      caught.push(...verdict(largeStorm, seed, made));
      seed += 1;
    }
    console.info(`storm ${seed - 1}: ${caught[0] ?? 'nothing'}`);
    expect(caught).not.toEqual([]);
  });

  test.each(Object.entries(crowded))('do not survive %s', async (_name, mutation) => {
    const caught = verdict(crowdedStorm, 1, await mutant(mutation));
    console.info(caught[0] ?? 'nothing');
    expect(caught).not.toEqual([]);
  });
});
