/** What every mesh port promises; run on real nodes and on the memory twin. */

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parcelBytesMax } from '../../src/kernel/parcel.ts';
import type { MeshPort, PeerChange } from '../../src/ports/mesh.ts';

/** Three members that know each other. */
export interface MeshPlace {
  readonly ports: readonly [MeshPort, MeshPort, MeshPort];
  /** The third one says goodbye and stops. */
  leave(): Promise<void>;
  dispose(): Promise<void>;
}

/** Runs the contract. */
export function meshContract(kind: string, makePlace: () => Promise<MeshPlace>): void {
  describe(`a ${kind} mesh port`, () => {
    let place: MeshPlace;
    beforeEach(async () => {
      place = await makePlace();
    });
    afterEach(() => place.dispose());

    const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
    const bytes = (words: string): Uint8Array => new TextEncoder().encode(words);

    test('knows its peers and not itself', () => {
      for (const port of place.ports) {
        const others = place.ports.filter((one) => one !== port).map(({ self }) => self);
        expect([...port.peers()].sort()).toEqual(others.sort());
        expect(port.boot()).toBeGreaterThan(0);
      }
    });

    test('carries parcels to the one they are for, in order, and tells who sent them', async () => {
      const [ann, bob, eve] = place.ports;
      const heard: string[] = [];
      const overheard: string[] = [];
      bob.handle('talk', (from, what) => heard.push(`${from} ${text(what)}`));
      eve.handle('talk', (_, what) => overheard.push(text(what)));
      for (let count = 0; count < 100; count += 1) {
        expect(ann.send(bob.self, 'talk', bytes(`${count}`))).toBe(true);
      }
      expect(heard).toEqual([]);
      await vi.waitFor(() => expect(heard).toHaveLength(100), { timeout: 5_000 });
      expect(heard).toEqual(Array.from({ length: 100 }, (_, count) => `${ann.self} ${count}`));
      expect(overheard).toEqual([]);
    });

    test('carries a parcel of the largest size, and refuses a larger one', async () => {
      const [ann, bob] = place.ports;
      const sizes: number[] = [];
      bob.handle('talk', (_, what) => sizes.push(what.byteLength));
      ann.send(bob.self, 'talk', new Uint8Array(parcelBytesMax));
      await vi.waitFor(() => expect(sizes).toEqual([parcelBytesMax]), { timeout: 5_000 });
      expect(() => ann.send(bob.self, 'talk', new Uint8Array(parcelBytesMax + 1))).toThrow(
        RangeError,
      );
      expect(() => ann.send(bob.self, '', bytes('x'))).toThrow(RangeError);
    });

    test('reaches itself, later', async () => {
      const [ann] = place.ports;
      const heard: string[] = [];
      ann.handle('talk', (from, what) => heard.push(`${from} ${text(what)}`));
      expect(ann.send(ann.self, 'talk', bytes('hello'))).toBe(true);
      expect(heard).toEqual([]);
      await vi.waitFor(() => expect(heard).toEqual([`${ann.self} hello`]), { timeout: 5_000 });
    });

    test('has one handler a protocol, and drops what nobody handles', async () => {
      const [ann, bob] = place.ports;
      const giveBack = bob.handle('talk', () => {});
      expect(() => bob.handle('talk', () => {})).toThrow(RangeError);
      giveBack();
      const heard: string[] = [];
      ann.send(bob.self, 'talk', bytes('to nobody'));
      ann.send(bob.self, 'other', bytes('to nobody'));
      bob.handle('end', (_, what) => heard.push(text(what)));
      ann.send(bob.self, 'end', bytes('end'));
      await vi.waitFor(() => expect(heard).toEqual(['end']), { timeout: 5_000 });
    });

    test('tells when a member leaves, and sends it nothing any more', async () => {
      const [ann, , eve] = place.ports;
      const changes: PeerChange[] = [];
      ann.onChange((change) => changes.push(change));
      await place.leave();
      await vi.waitFor(
        () => expect(changes).toContainEqual({ kind: 'down', node: eve.self, reason: 'left' }),
        { timeout: 10_000 },
      );
      expect(ann.peers()).not.toContain(eve.self);
      await vi.waitFor(() => expect(ann.isLinked(eve.self)).toBe(false), { timeout: 5_000 });
      await vi.waitFor(() => expect(eve.send(ann.self, 'talk', bytes('x'))).toBe(false));
    });
  });
}
