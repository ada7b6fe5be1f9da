/** Which overlay's session speaks for a neighbour that two overlays are linked with, and what the router is told of it. */

import type { NodeId } from '../../kernel/ids.ts';
import type { OverlayEffect, OverlayView } from './overlay.ts';
import type { Running } from './running.ts';

type Announcement = Extract<OverlayEffect, { readonly type: 'announce' }>;

/** The choice. */
export interface ChosenLinks {
  /** One of the overlays announced something. Where several have a link, the last one's carries the messages. */
  announced(running: Running, effect: Announcement, all: readonly Running[]): void;
  /** An overlay is stopped; its links are the other's, or down. */
  dropped(running: Running, other: Running | undefined, reason: string): void;
  view(): OverlayView['neighbours'];
}

/** Builds it. */
export function createChosenLinks(emit: (effect: Announcement) => void): ChosenLinks {
  const owners = new Map<NodeId, Running>();

  function move(node: NodeId, to: Running): void {
    const session = to.links.get(node);
    if (session === undefined) return;
    owners.set(node, to);
    emit({ type: 'announce', what: 'neighbourMoved', node, session });
  }

  function down(node: NodeId, reason: string): void {
    owners.delete(node);
    emit({ type: 'announce', what: 'neighbourDown', node, reason });
  }

  function up(
    running: Running,
    effect: Announcement & { what: 'neighbourUp' },
    isNewest: boolean,
  ): void {
    const { node, session } = effect;
    running.links.set(node, session);
    const owner = owners.get(node);
    if (owner === undefined) {
      owners.set(node, running);
      emit(effect);
    } else if (isNewest || owner === running) move(node, running);
  }

  return {
    announced(running, effect, all) {
      const { node } = effect;
      if (effect.what === 'neighbourUp') return up(running, effect, all.at(-1) === running);
      const owner = owners.get(node);
      if (effect.what === 'neighbourMoved') {
        running.links.set(node, effect.session);
        if (owner === running) emit(effect);
        return;
      }
      running.links.delete(node);
      if (owner !== running) return;
      const other = all.find(({ links }) => links.has(node));
      if (other !== undefined) return move(node, other);
      owners.delete(node);
      emit(effect);
    },
    dropped(running, other, reason) {
      for (const node of running.links.keys()) {
        if (owners.get(node) !== running) continue;
        if (other?.links.has(node) === true) move(node, other);
        else down(node, reason);
      }
    },
    view: () =>
      [...owners].map(([node, owner]) => ({ node, session: owner.links.get(node) ?? -1 })),
  };
}
