/** Which cards a `mycel flash` writes, and what each board will be called. */

import { extname, join } from 'node:path';

import { usageFailure } from '../failure.ts';

/** Most cards of one batch: their invites must fit beside the others that one node keeps open. */
export const cardsMax = 200;

/** One card to be written. */
export interface Card {
  /** What is written to: a boot partition, or an image. */
  readonly target: string;
  /** The image that `target` is first copied from. */
  readonly source: string | undefined;
  /** Undefined: the board goes by its host name. */
  readonly name: string | undefined;
  /** Undefined: what the image says. */
  readonly hostname: string | undefined;
}

/** What was asked for. */
export interface CardWish {
  readonly targets: readonly string[];
  readonly count: number | undefined;
  /** May hold `{n}`, the number of the card. */
  readonly name: string | undefined;
  /** May hold `{n}` too. */
  readonly hostname: string | undefined;
  /** Where the copies of an image go. */
  readonly out: string | undefined;
}

/**
 * One card for each target; or `count` copies of one image. Names are told apart by `{n}`, or by a number at the end.
 * @throws {Failure} MYCEL_USAGE
 */
export function planCards(wish: CardWish): readonly Card[] {
  const { targets, out } = wish;
  const [first] = targets;
  if (first === undefined) throw usageFailure('No target is given.', 'Give a boot partition.');
  const isCopying = out !== undefined;
  const count = wish.count ?? targets.length;
  if (isCopying && targets.length > 1) {
    throw usageFailure(
      '--out copies one image, not several.',
      'Give one .img, or leave --out out.',
    );
  }
  if (!isCopying && count !== targets.length) {
    throw usageFailure(
      `${count} cards are wanted and ${targets.length} targets are given.`,
      'Give the boot partition of each card, or one .img and --out DIR for its copies.',
    );
  }
  const names = namesOf(wish.name, count);
  const hostnames =
    wish.hostname === undefined ? names.map(() => undefined) : namesOf(wish.hostname, count);
  return names.map((name, at) => {
    const target = targets[at] ?? first;
    const hostname = hostnames[at];
    if (!isCopying) return { target, source: undefined, name, hostname };
    return {
      target: join(out, `${name ?? 'mycel'}${extname(first) || '.img'}`),
      source: first,
      name,
      hostname,
    };
  });
}

/** Distinct names with leading zeros, so that they sort. */
function namesOf(template: string | undefined, count: number): readonly (string | undefined)[] {
  if (count === 1) return [template?.replaceAll('{n}', '1')];
  const whole = template ?? 'mycel';
  const numbered = whole.includes('{n}') ? whole : `${whole}-{n}`;
  const width = Math.max(2, String(count).length);
  return Array.from({ length: count }, (_, at) =>
    numbered.replaceAll('{n}', String(at + 1).padStart(width, '0')),
  );
}
