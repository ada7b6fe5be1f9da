/** Agreements between nodes: ballots, bargains, markets and allotments, over services. */

import type { PartWorld } from '../parts.ts';
import type { Pages } from '../services/pages.ts';
import type { Services } from '../services/services.ts';
import { takePart } from './allotments.ts';
import type { Allotment, AllotmentOptions } from './allotments.ts';
import { createBallots } from './ballots.ts';
import type { Ballots } from './ballots.ts';
import { createBargains } from './bargains.ts';
import type { Bargains } from './bargains.ts';
import { createMarkets } from './markets.ts';
import type { Markets } from './markets.ts';

/** All four. */
export interface Agreements extends Ballots, Bargains, Markets {
  takePart(name: string, options: AllotmentOptions): Allotment;
}

/** Builds them. */
export function createAgreements(world: PartWorld, services: Services, pages: Pages): Agreements {
  return {
    ...createBallots(world, services),
    ...createBargains(world, services),
    ...createMarkets(world, services),
    takePart: (name, options) => takePart(world, services, pages, name, options),
  };
}
