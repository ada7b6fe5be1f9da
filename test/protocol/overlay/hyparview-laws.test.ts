import fc from 'fast-check';
import { createRandom } from '../../../src/kernel/random.ts';
import { createHyparview } from '../../../src/protocol/overlay/hyparview.ts';
import type {
  OverlayEffect,
  OverlayInput,
  OverlayView,
} from '../../../src/protocol/overlay/overlay.ts';
import { describeLaws } from '../../laws/laws.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';
import { ids, someInput } from './arbitraries.ts';

const self = ids[1] ?? simNodeId(1);

describeLaws<OverlayInput, OverlayEffect, OverlayView>('HyParView', {
  create: (seed) =>
    createHyparview(
      {
        self,
        activeMax: 3,
        passiveMax: 4,
        contactsMax: 8,
        seedsMax: 4,
      },
      createRandom(seed),
    ),
  inputs: someInput(fc.nat(20)),
  hostile: someInput(fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger())),
  effectsPerStepMax: 64,
});
