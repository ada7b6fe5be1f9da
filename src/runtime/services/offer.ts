/** What a node offers, as its page tells it: services with their actions, labels and health. */

import * as z from 'zod/mini';
import type { NodeId } from '../../kernel/ids.ts';

/** Services of one node. */
export const servicesMax = 64;

/** Actions of one service. */
export const actionsMax = 64;

/** Characters of the description of an action. */
export const descriptionLengthMax = 1024;

const text = z.string().check(z.maxLength(128));

/** An action as a page tells it. */
export interface OfferedAction {
  /** The hash of its schemas. */
  readonly h: string;
  /** Whether it is a stream. */
  readonly s: boolean;
  /** Whether it may be repeated. */
  readonly i: boolean;
  /** Whether it changes anything; one that does not say so does. */
  readonly e?: boolean | undefined;
}

/** A service as a page tells it. */
export interface Offer {
  readonly n: string;
  readonly v: string;
  readonly ns: string;
  readonly l: Readonly<Record<string, string>>;
  readonly ok: boolean;
  readonly w: number;
  readonly a: Readonly<Record<string, OfferedAction>>;
}

const offerSchema: z.ZodMiniType<Offer> = z.object({
  n: text,
  v: text,
  ns: text,
  l: z.record(text, text),
  ok: z.boolean(),
  w: z.number(),
  a: z.record(
    text,
    z.object({ h: text, s: z.boolean(), i: z.boolean(), e: z.optional(z.boolean()) }),
  ),
});

/** A service of one node. */
export interface OfferOf {
  readonly node: NodeId;
  readonly offer: Offer;
}

/** Reads a page's section; what is none is left out. */
export function readOffers(section: unknown): Offer[] {
  if (!Array.isArray(section)) return [];
  return section.slice(0, servicesMax).flatMap((one) => {
    const read = offerSchema.safeParse(one);
    return read.success ? [read.data] : [];
  });
}

/** Whether a version fits what was asked for: the same, or the same leading parts (`1`, `1.2`). */
export function versionFits(version: string, wanted: string | undefined): boolean {
  if (wanted === undefined || version === wanted) return true;
  return version.startsWith(`${wanted}.`);
}

/** The known name nearest to a misspelt one; undefined when none is near (Levenshtein distance up to a third). */
export function nearest(wanted: string, known: Iterable<string>): string | undefined {
  let best: { name: string; distance: number } | undefined;
  for (const name of known) {
    const distance = distanceOf(wanted.slice(0, 128), name);
    const isNear = distance <= Math.max(1, Math.ceil(name.length / 3));
    if (isNear && (best === undefined || distance < best.distance)) best = { name, distance };
  }
  return best?.name;
}

function distanceOf(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, at) => at);
  for (let i = 1; i <= left.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const swap = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}
