import fc from 'fast-check';
import { createRandom } from '../../../src/kernel/random.ts';
import { createHyparview } from '../../../src/protocol/overlay/hyparview.ts';
import type {
  OverlayEffect,
  OverlayInput,
  OverlayView,
} from '../../../src/protocol/overlay/overlay.ts';
import { createUnity } from '../../../src/protocol/overlay/unity.ts';
import { describeLaws } from '../../laws/laws.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';
import { ids, someInput } from './arbitraries.ts';

const self = ids[1] ?? simNodeId(1);
const config = { self, activeMax: 3, passiveMax: 4, contactsMax: 8, seedsMax: 4 };
const inputs = someInput(fc.nat(20));
const hostile = someInput(fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger()));

describeLaws<OverlayInput, OverlayEffect, OverlayView>('HyParView', {
  create: (seed) => createHyparview(config, createRandom(seed)),
  inputs,
  hostile,
  effectsPerStepMax: 64,
});

describeLaws<OverlayInput, OverlayEffect, OverlayView>('a watched HyParView', {
  create(seed) {
    const random = createRandom(seed);
    const inner = createHyparview(config, random.split());
    return createUnity(inner, { self, boot: 2, overlay: 'hyparview', beatMs: 500 }, random);
  },
  inputs,
  hostile,
  effectsPerStepMax: 64,
});
