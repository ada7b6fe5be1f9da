import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeCbor } from '../../src/wire/cbor.ts';
import { decodeOverlayMessage, encodeOverlayMessage } from '../../src/wire/overlay-codec.ts';
import { someWireMessage } from '../protocol/overlay/arbitraries.ts';
import { hint } from '../protocol/overlay/stage.ts';

const id = new Uint8Array(16);

describe('overlay messages', () => {
  test('come back as they were sent', () => {
    fc.assert(
      fc.property(someWireMessage, (message) => {
        expect(decodeOverlayMessage(encodeOverlayMessage(message))).toEqual(message);
      }),
    );
  });

  test('are refused when they are cut, longer, or have a byte changed into something else', () => {
    fc.assert(
      fc.property(someWireMessage, fc.nat(), fc.nat(255), (message, place, byte) => {
        const bytes = encodeOverlayMessage(message);
        for (let length = 0; length < bytes.length; length += 1) {
          expect(decodeOverlayMessage(bytes.subarray(0, length))).toBeUndefined();
        }
        expect(decodeOverlayMessage(new Uint8Array([...bytes, 0]))).toBeUndefined();
        const changed = Uint8Array.from(bytes);
        changed[place % bytes.length] = byte;
        const read = decodeOverlayMessage(changed);
        if (read !== undefined)
          expect(decodeOverlayMessage(encodeOverlayMessage(read))).toEqual(read);
      }),
    );
  });

  test('beyond their bounds are refused', () => {
    const address = ['n1', 1883];
    const peer = [id, [address]];
    for (const bad of [
      [],
      [0],
      [10],
      ['join', []],
      [1],
      [1, [], 0],
      [1, [address, address, address, address, address]],
      [1, [['', 1]]],
      [1, [['n', 0]]],
      [1, [['n', 65_536]]],
      [1, [['n'.repeat(254), 1]]],
      [2, 2, []],
      [2, true, []],
      [3, 0],
      [4, Array.from({ length: 17 }, () => peer)],
      [6, [new Uint8Array(15), []], 1],
      [6, peer, -1],
      [6, peer, 256],
      [6, peer, 1.5],
      [7, peer, 0, 1, Array.from({ length: 17 }, () => id), []],
      [7, peer, 0, 1, []],
      [8, [id], [[id]]],
      [9, id, 2 ** 48, 1],
      [9, id, 1, -1],
      { 0: 3 },
      7,
    ]) {
      expect(decodeOverlayMessage(encodeCbor(bad)), JSON.stringify(bad)).toBeUndefined();
    }
  });

  test('are small: a shuffle of eight peers at the end of its walk takes at most 420 bytes', () => {
    const peers = [1, 2, 3, 4, 5, 6, 7].map((at) => ({
      ...hint(at),
      addresses: [{ host: '192.168.100.200', port: 1883 }],
    }));
    const origin = peers[0] ?? hint(1);
    const path = peers.slice(0, 6).map(({ node }) => node);
    const bytes = encodeOverlayMessage({
      kind: 'shuffle',
      origin,
      hasRoom: true,
      ttl: 1,
      path,
      peers,
    });
    expect(bytes.length).toBeLessThanOrEqual(420);
  });
});
