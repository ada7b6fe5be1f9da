/** The agents' section of a node's page, read once: it is the same object until its node writes another. */

import type { Clock } from '../../ports/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Pages } from '../services/pages.ts';
import { readAgentsPage } from './agents-page.ts';
import type { AgentsPage } from './agents-page.ts';
import type { HeldClaim } from './claims.ts';

/** What a node says, and what it holds. */
export interface LivePage {
  readonly node: NodeId;
  readonly page: Pick<AgentsPage, 'isDraining' | 'deployments'>;
  held(): readonly HeldClaim[];
}

const read = new WeakMap<object, LivePage>();

/** Reads a section, or remembers it. A section that is none holds nothing. */
export function livePage(node: NodeId, section: unknown): LivePage {
  const isKept = typeof section === 'object' && section !== null;
  const known = isKept ? read.get(section) : undefined;
  if (known?.node === node) return known;
  const page = readAgentsPage(section);
  const held = page.claims.map((claim) => ({ ...claim, node }));
  const live: LivePage = { node, page, held: () => held };
  if (isKept) read.set(section, live);
  return live;
}

/** A page that does not come in this time is not waited for, in ms. */
const pageMsMax = 5_000;

/** Waits until the page of a node says whether it is being drained: what is placed here goes by its page. */
export function untilDraining(
  pages: Pages,
  clock: Clock,
  node: NodeId,
  isDraining: boolean,
): Promise<void> {
  const isTold = (): boolean => {
    const section = pages.read('agents').find((one) => one.node === node);
    return livePage(node, section?.value).page.isDraining === isDraining;
  };
  if (isTold()) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      stop();
      cancel();
      resolve();
    };
    const stop = pages.onChange(() => isTold() && end());
    const cancel = clock.alarm(clock.now() + pageMsMax, end);
  });
}
