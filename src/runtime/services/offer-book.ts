/** Every service of every member, gathered once and kept until a page, a peer or an own service changes: calls look here. */

import type { NodeId } from '../../kernel/ids.ts';
import { readOffers } from './offer.ts';
import type { Offer, OfferOf } from './offer.ts';
import type { Pages } from './pages.ts';

/** Where the offers come from. */
export interface OfferSources {
  readonly self: NodeId;
  readonly pages: Pages;
  peers(): readonly NodeId[];
  /** What this node offers. */
  own(): readonly Offer[];
  /** What every node offers, on no page. */
  readonly everywhere: Offer;
}

/** The offers of a mesh. */
export interface OfferBook {
  all(): readonly OfferOf[];
  named(namespace: string, service: string): readonly OfferOf[];
  /** An own service or a peer came, went or changed. */
  changed(): void;
}

const none: readonly OfferOf[] = [];

/** Builds it. */
export function createOfferBook(sources: OfferSources): OfferBook {
  const { self, pages, everywhere } = sources;
  const read = new WeakMap<object, readonly OfferOf[]>();
  let known: readonly OfferOf[] | undefined;
  let byName = new Map<string, OfferOf[]>();
  let revision = -1;

  /** A page is read once: it is the same object until its node writes another. */
  function offersOn(node: NodeId, page: unknown): readonly OfferOf[] {
    if (typeof page !== 'object' || page === null) return [];
    const before = read.get(page);
    if (before !== undefined) return before;
    const found = readOffers(page).map((offer) => ({ node, offer }));
    read.set(page, found);
    return found;
  }

  function all(): readonly OfferOf[] {
    if (known !== undefined && revision === pages.revision()) return known;
    revision = pages.revision();
    const own = sources.own().map((offer) => ({ node: self, offer }));
    const others = pages
      .read('services')
      .filter(({ node }) => node !== self)
      .flatMap(({ node, value }) => offersOn(node, value));
    const system = [self, ...sources.peers()].map((node) => ({ node, offer: everywhere }));
    known = [...own, ...others, ...system];
    byName = new Map();
    for (const one of known) {
      const name = `${one.offer.ns}/${one.offer.n}`;
      const same = byName.get(name);
      if (same === undefined) byName.set(name, [one]);
      else same.push(one);
    }
    return known;
  }

  return {
    all,
    named(namespace, service) {
      all();
      return byName.get(`${namespace}/${service}`) ?? none;
    },
    changed: () => void (known = undefined),
  };
}
