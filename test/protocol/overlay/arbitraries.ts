/** Inputs of overlays: as the wiring gives them, and as nobody should. */

import fc from 'fast-check';
import type { Address } from '../../../src/kernel/address.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import type { OverlayMessage } from '../../../src/protocol/overlay/messages.ts';
import type { OverlayInput } from '../../../src/protocol/overlay/overlay.ts';
import { simNodeId } from '../../sim/routing-mesh.ts';

/** Twelve nodes, sorted. */
export const ids: readonly NodeId[] = Array.from({ length: 12 }, (_, at) => simNodeId(at)).sort();

const someNode = fc.constantFrom(...ids);
const someNodes = fc.array(someNode, { maxLength: 6 });

const addressesOf = (maxLength: number): fc.Arbitrary<Address[]> =>
  fc.array(fc.record({ host: fc.constantFrom('a', 'b', '::1'), port: fc.nat(9) }), { maxLength });

const someHint = (maxLength: number) =>
  fc.record({ node: someNode, addresses: addressesOf(maxLength) });

const kind = <Kind extends OverlayMessage['kind']>(name: Kind): fc.Arbitrary<Kind> =>
  fc.constant(name);

/** Messages between overlays; `size` bounds lists, `hops` the hops they claim to have left. */
export const someMessage = (
  size: number,
  hops: fc.Arbitrary<number>,
): fc.Arbitrary<OverlayMessage> =>
  fc.oneof(
    fc.record({ kind: kind('join'), addresses: addressesOf(4) }),
    fc.record({ kind: kind('neighbour'), isUrgent: fc.boolean(), addresses: addressesOf(4) }),
    fc.record({ kind: kind('accept') }),
    fc.record({ kind: kind('refuse'), peers: fc.array(someHint(4), { maxLength: size }) }),
    fc.record({ kind: kind('disconnect') }),
    fc.record({ kind: kind('forward-join'), newcomer: someHint(4), ttl: hops }),
    fc.record({
      kind: kind('shuffle'),
      origin: someHint(4),
      hasRoom: fc.boolean(),
      ttl: hops,
      path: fc.array(someNode, { maxLength: size }),
      peers: fc.array(someHint(4), { maxLength: size }),
    }),
    fc.record({
      kind: kind('shuffle-reply'),
      path: fc.array(someNode, { maxLength: size }),
      peers: fc.array(someHint(4), { maxLength: size }),
    }),
    fc.record({ kind: kind('pulse'), root: someNode, boot: hops, count: hops }),
    fc.record({ kind: kind('holding'), epoch: hops, by: someNode }),
  );

/** Messages within the bounds of the wire. */
export const someWireMessage: fc.Arbitrary<OverlayMessage> = someMessage(16, fc.nat(255)).map(
  (message) =>
    JSON.parse(JSON.stringify(message).replaceAll('"port":0', '"port":1')) as OverlayMessage,
);

const type = <Type extends OverlayInput['type']>(name: Type): fc.Arbitrary<Type> =>
  fc.constant(name);

/** Inputs of an overlay, with sessions and other numbers from `numbers`. */
export const someInput = (numbers: fc.Arbitrary<number>): fc.Arbitrary<OverlayInput> =>
  fc.oneof(
    fc.record({
      type: type('sighted'),
      node: fc.option(someNode, { nil: undefined }),
      addresses: addressesOf(20),
    }),
    fc.record({ type: type('memberUp'), node: someNode, addresses: addressesOf(20) }),
    fc.record({
      type: type('memberGone'),
      node: someNode,
      reason: fc.constantFrom('dead' as const, 'left' as const, 'evicted' as const),
    }),
    fc.record({ type: type('memberSlept'), node: someNode }),
    fc.record({
      type: type('linkOpened'),
      node: someNode,
      boot: fc.nat(3),
      isDialler: fc.boolean(),
      session: numbers,
      seed: fc.option(fc.constantFrom('a 1', 'x'), { nil: undefined }),
      overlay: fc.constantFrom('full-mesh' as const, 'hyparview' as const),
      neighbours: someNodes,
    }),
    fc.record({ type: type('linkClosed'), node: someNode, session: numbers, reason: fc.string() }),
    fc.record({
      type: type('dialFailed'),
      target: fc.oneof(
        fc.record({ kind: fc.constant('node' as const), node: someNode }),
        fc.record({ kind: fc.constant('seed' as const), seed: fc.constantFrom('a 1', 'x') }),
      ),
      answeredBySelf: fc.boolean(),
    }),
    fc.record({ type: type('neighboursHeard'), node: someNode, neighbours: someNodes }),
    fc.record({ type: type('linkQuiet'), node: someNode, session: numbers, isQuiet: fc.boolean() }),
    fc.record({
      type: type('received'),
      node: someNode,
      session: numbers,
      message: someMessage(20, numbers),
    }),
    fc.record({ type: type('selfMoved'), addresses: addressesOf(20) }),
    fc.record({ type: type('wanted'), node: someNode }),
    fc.record({ type: type('torn'), towards: someNode }),
    fc.constant({ type: 'tick' } as const),
  );
