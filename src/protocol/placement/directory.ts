/**
 * What every node says about itself (services, agents, load), known everywhere: each node owns one page, numbered by
 * its boot and a count; news goes to every peer at once, and a digest to one peer a period repairs what was lost. A peer
 * that has just come up and told nothing is asked sooner: its page may have come before this node took it for a peer.
 */

import type { Core, Millis } from '../../kernel/core.ts';
import { unreachable } from '../../kernel/invariant.ts';
import type { Random } from '../../kernel/random.ts';

/** Pages of other nodes; the page of one more is not kept. */
export const directoryPagesMax = 1024;

/** Pages sent in answer to one digest; the rest comes with the next one. */
export const pagesPerAnswerMax = 64;

/** How the directory keeps itself. */
export interface DirectoryConfig {
  readonly self: string;
  readonly boot: number;
  /** Time between two digests of a node, in ms. @default 15_000 */
  readonly periodMs?: Millis;
  /** How long a peer that has come up may take to tell its page before it is asked, in ms. @default 500 */
  readonly unheardMs?: Millis;
}

/** One node's page. */
export interface Page<Content> {
  readonly node: string;
  readonly boot: number;
  readonly count: number;
  readonly content: Content;
}

/** What nodes tell one another. */
export type DirectoryMessage<Content> =
  | { readonly type: 'page'; readonly page: Page<Content> }
  | {
      readonly type: 'digest';
      /** It answers a digest and is not answered by another one. */
      readonly isReply: boolean;
      readonly known: readonly {
        readonly node: string;
        readonly boot: number;
        readonly count: number;
      }[];
    };

/** Facts for a node. */
export type DirectoryInput<Content> =
  | { readonly type: 'tick' }
  | { readonly type: 'wrote'; readonly content: Content }
  | { readonly type: 'peer-up'; readonly node: string }
  /** Its page is gone with it; it comes back with the node. */
  | { readonly type: 'peer-down'; readonly node: string }
  | {
      readonly type: 'received';
      readonly from: string;
      readonly message: DirectoryMessage<Content>;
    };

/** Orders of a node. */
export type DirectoryEffect<Content> =
  | { readonly type: 'send'; readonly to: string; readonly message: DirectoryMessage<Content> }
  /** A page is new, has changed, or is gone. */
  | { readonly type: 'changed'; readonly node: string };

/** All pages known here, the own one first. */
export interface DirectoryView<Content> {
  readonly pages: readonly Page<Content>[];
  readonly peerCount: number;
}

/** Builds a directory with an empty page of its own. */
export function createDirectory<Content>(
  config: DirectoryConfig,
  random: Random,
): Core<DirectoryInput<Content>, DirectoryEffect<Content>, DirectoryView<Content>> {
  const { self, boot } = config;
  const periodMs = Math.max(1, config.periodMs ?? 15_000);
  const unheardMs = Math.max(1, config.unheardMs ?? 500);
  const peers = new Set<string>();
  const pages = new Map<string, Page<Content>>();
  /** Peers that came up and whose page has not come. */
  const unheard = new Set<string>();
  let own: Page<Content> | undefined;
  let count = 0;
  let digestAt: Millis = Infinity;

  type Effects = DirectoryEffect<Content>[];

  function isNewer(page: Page<Content>, than: Page<Content> | undefined): boolean {
    if (than === undefined) return true;
    return page.boot > than.boot || (page.boot === than.boot && page.count > than.count);
  }

  const pageFor = (to: string, page: Page<Content>): DirectoryEffect<Content> => ({
    type: 'send',
    to,
    message: { type: 'page', page },
  });

  function write(content: Content): Effects {
    count += 1;
    const page: Page<Content> = { node: self, boot, count, content };
    own = page;
    return [...[...peers].map((to) => pageFor(to, page)), { type: 'changed', node: self }];
  }

  function take(page: Page<Content>): Effects {
    // A page may come through others; one of a node that is not held alive waits until it is.
    const isSound = Number.isSafeInteger(page.boot) && Number.isSafeInteger(page.count);
    if (page.node === self || !peers.has(page.node) || !isSound) return [];
    const known = pages.get(page.node);
    if (!isNewer(page, known)) return [];
    if (known === undefined && pages.size >= directoryPagesMax) return [];
    pages.set(page.node, page);
    unheard.delete(page.node);
    return [{ type: 'changed', node: page.node }];
  }

  type Digest = Extract<DirectoryMessage<Content>, { type: 'digest' }>;

  function compare(from: string, { known, isReply }: Digest): Effects {
    const theirs = new Map(known.slice(0, directoryPagesMax + 1).map((one) => [one.node, one]));
    const effects: Effects = [];
    for (const page of [...(own === undefined ? [] : [own]), ...pages.values()]) {
      if (page.node === from || effects.length >= pagesPerAnswerMax) continue;
      const has = theirs.get(page.node);
      const isBehind =
        has === undefined ||
        has.boot < page.boot ||
        (has.boot === page.boot && has.count < page.count);
      if (isBehind) effects.push(pageFor(from, page));
    }
    const isAhead = [...theirs.values()].some(({ node, boot: at, count: number }) => {
      if (node === self || !peers.has(node)) return false;
      const page = pages.get(node);
      return page === undefined || at > page.boot || (at === page.boot && number > page.count);
    });
    // Whoever is behind asks in turn.
    if (isAhead && !isReply) effects.push(digestTo(from, true));
    return effects;
  }

  function digestTo(to: string, isReply: boolean): DirectoryEffect<Content> {
    const known = [...(own === undefined ? [] : [own]), ...pages.values()].map(
      ({ node, boot: at, count: number }) => ({ node, boot: at, count: number }),
    );
    return { type: 'send', to, message: { type: 'digest', isReply, known } };
  }

  function digest(now: Millis): Effects {
    if (now < digestAt) return [];
    const [silent] = unheard;
    const to = silent ?? [...peers][random.below(peers.size)];
    if (silent !== undefined) unheard.delete(silent);
    digestAt = peers.size === 0 ? Infinity : now + (unheard.size > 0 ? unheardMs : periodMs);
    if (to === undefined) return [];
    return [digestTo(to, false)];
  }

  function hear(now: Millis, input: DirectoryInput<Content>): Effects {
    switch (input.type) {
      case 'tick':
        return [];
      case 'wrote':
        return write(input.content);
      case 'peer-up':
        if (input.node === self || peers.size >= directoryPagesMax) return [];
        peers.add(input.node);
        if (!pages.has(input.node)) unheard.add(input.node);
        digestAt = Math.min(digestAt, now + unheardMs * (1 + random.unit()));
        return own === undefined ? [] : [pageFor(input.node, own)];
      case 'peer-down':
        peers.delete(input.node);
        unheard.delete(input.node);
        return pages.delete(input.node) ? [{ type: 'changed', node: input.node }] : [];
      case 'received':
        if (!peers.has(input.from)) return [];
        if (input.message.type === 'page') return take(input.message.page);
        return compare(input.from, input.message);
      default:
        return unreachable(input);
    }
  }

  return {
    step: (now, input) => [...digest(now), ...hear(now, input)],
    deadline: () => digestAt,
    view: () => ({
      pages: [...(own === undefined ? [] : [own]), ...pages.values()],
      peerCount: peers.size,
    }),
  };
}
