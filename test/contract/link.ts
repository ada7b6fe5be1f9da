/** What every link transport must do, whatever carries it. */

import { describe, expect, onTestFinished, test } from 'vitest';
import type { Address } from '../../src/kernel/address.ts';
import { MycelError } from '../../src/kernel/errors.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import type { Lane, LinkSession, LinkTransport } from '../../src/ports/link.ts';
import { frameBytesMax } from '../../src/ports/link.ts';

/** A node of the suite: a transport and everything it reports. */
export interface LinkHost {
  readonly node: NodeId;
  readonly address: Address;
  readonly transport: LinkTransport & { sessions(): readonly LinkSession[]; stop(): Promise<void> };
  readonly heard: LinkRecord;
}

/** Everything a transport reported, and a way to wait for more. */
export interface LinkRecord {
  readonly opened: LinkSession[];
  readonly frames: { session: LinkSession; lane: Lane; bytes: Uint8Array }[];
  readonly drained: LinkSession[];
  readonly closed: { session: LinkSession; reason: string }[];
  /** Called on every report. */
  changed(): void;
  /** Resolves when the condition holds. @throws when it does not within 5 s. */
  until(condition: () => boolean): Promise<void>;
}

/** Builds a record. */
export function createLinkRecord(): LinkRecord {
  const waiters = new Set<() => void>();
  return {
    opened: [],
    frames: [],
    drained: [],
    closed: [],
    changed() {
      for (const wake of waiters) wake();
    },
    until(condition) {
      return new Promise((resolve, reject) => {
        const look = (): void => {
          if (!condition()) return;
          waiters.delete(look);
          clearTimeout(deadline);
          resolve();
        };
        const deadline = setTimeout(() => {
          waiters.delete(look);
          reject(new Error(`never: ${String(condition)}`));
        }, 5000);
        waiters.add(look);
        look();
      });
    },
  };
}

/** Handlers that write into a record. */
export function recording(record: LinkRecord): {
  opened(session: LinkSession): void;
  frame(session: LinkSession, lane: Lane, bytes: Uint8Array): void;
  drained(session: LinkSession): void;
  closed(session: LinkSession, reason: string): void;
} {
  return {
    opened(session) {
      record.opened.push(session);
      record.changed();
    },
    frame(session, lane, bytes) {
      record.frames.push({ session, lane, bytes: bytes.slice() });
      record.changed();
    },
    drained(session) {
      record.drained.push(session);
      record.changed();
    },
    closed(session, reason) {
      record.closed.push({ session, reason });
      record.changed();
    },
  };
}

const patience = (): AbortSignal => AbortSignal.timeout(8000);

/** Runs the suite. `host` builds a node of one common mesh; `stranger` one that no member admits. */
export function linkContract(
  name: string,
  host: () => Promise<LinkHost>,
  stranger: () => Promise<LinkHost>,
): void {
  async function fresh(build: () => Promise<LinkHost> = host): Promise<LinkHost> {
    const made = await build();
    onTestFinished(() => made.transport.stop());
    return made;
  }
  async function pair(): Promise<{
    ann: LinkHost;
    bob: LinkHost;
    near: LinkSession;
    far: LinkSession;
  }> {
    const [ann, bob] = [await fresh(), await fresh()];
    const near = await ann.transport.dial(bob.node, [bob.address], patience());
    await bob.heard.until(() => bob.heard.opened.length === 1);
    return { ann, bob, near, far: bob.heard.opened[0] as LinkSession };
  }

  describe(`link contract: ${name}`, () => {
    test('both ends know who the other is', async () => {
      const { ann, bob, near, far } = await pair();
      expect([near.peer, near.isDialler]).toEqual([bob.node, true]);
      expect([far.peer, far.isDialler]).toEqual([ann.node, false]);
      expect(near.certificate.length).toBeGreaterThan(0);
      expect(ann.heard.opened).toEqual([]);
    });

    test('frames arrive whole, in order and on their lane, both ways', async () => {
      const { ann, bob, near, far } = await pair();
      for (let at = 0; at < 200; at += 1) near.send('data', Uint8Array.of(at, 1, 2));
      for (let at = 0; at < 200; at += 1) far.send('control', Uint8Array.of(at, 9));
      await bob.heard.until(() => bob.heard.frames.length === 200);
      await ann.heard.until(() => ann.heard.frames.length === 200);
      expect(bob.heard.frames.map((frame) => frame.bytes[0])).toEqual([...Array(200).keys()]);
      expect(ann.heard.frames.map((frame) => frame.bytes[0])).toEqual([...Array(200).keys()]);
      expect(new Set(bob.heard.frames.map((frame) => frame.lane))).toEqual(new Set(['data']));
      expect(new Set(ann.heard.frames.map((frame) => frame.lane))).toEqual(new Set(['control']));
      expect(bob.heard.frames[0]?.session).toBe(far);
    });

    test('frames that are hurried arrive once and in order, among those that are not', async () => {
      const { ann, bob, near, far } = await pair();
      for (let at = 0; at < 200; at += 1) {
        near.send('control', Uint8Array.of(at));
        far.send(at % 2 === 0 ? 'data' : 'control', Uint8Array.of(at));
        if (at % 3 === 0) near.hurry();
        if (at % 5 === 0) far.hurry();
      }
      await bob.heard.until(() => bob.heard.frames.length === 200);
      await ann.heard.until(() => ann.heard.frames.length === 200);
      expect(bob.heard.frames.map((frame) => frame.bytes[0])).toEqual([...Array(200).keys()]);
      for (const lane of ['data', 'control'] as const) {
        const came = ann.heard.frames.filter((frame) => frame.lane === lane);
        const places = came.map((frame) => frame.bytes[0] ?? -1);
        expect(places).toEqual(places.toSorted((left, right) => left - right));
        expect(places).toHaveLength(100);
      }
    });

    test('the largest frame passes unchanged and an empty one too', async () => {
      const { bob, near } = await pair();
      const large = Uint8Array.from({ length: frameBytesMax }, (_, at) => (at * 31) & 255);
      near.send('data', large);
      near.send('data', new Uint8Array());
      await bob.heard.until(() => bob.heard.frames.length === 2);
      expect(Buffer.compare(bob.heard.frames[0]?.bytes ?? Buffer.alloc(0), large)).toBe(0);
      expect(bob.heard.frames[1]?.bytes.length).toBe(0);
    });

    test('above the high-water mark send says false, and drained follows once', async () => {
      const { ann, bob, near } = await pair();
      const frame = new Uint8Array(64 * 1024);
      let count = 0;
      while (near.send('data', frame)) count += 1;
      expect(count).toBeGreaterThan(8);
      expect(near.queuedBytes()).toBeGreaterThanOrEqual(1024 * 1024);
      await ann.heard.until(() => ann.heard.drained.length === 1);
      await bob.heard.until(() => bob.heard.frames.length === count + 1);
      expect(ann.heard.drained).toEqual([near]);
      expect(near.send('data', Uint8Array.of(1))).toBe(true);
    });

    test('a control frame overtakes data that is still queued', async () => {
      const { bob, near } = await pair();
      for (let at = 0; at < 60; at += 1) near.send('data', new Uint8Array(64 * 1024));
      near.send('control', Uint8Array.of(7));
      await bob.heard.until(() => bob.heard.frames.length === 61);
      const place = bob.heard.frames.findIndex((frame) => frame.lane === 'control');
      expect(place).toBeLessThan(20);
    });

    test('a close is reported once to each end, and what was sent before it arrives', async () => {
      const { ann, bob, near, far } = await pair();
      near.send('control', Uint8Array.of(1));
      near.close('goodbye');
      near.close('again');
      await ann.heard.until(() => ann.heard.closed.length > 0);
      await bob.heard.until(() => bob.heard.closed.length > 0);
      expect(ann.heard.closed).toEqual([{ session: near, reason: 'goodbye' }]);
      expect(bob.heard.closed.map((one) => one.session)).toEqual([far]);
      expect(bob.heard.frames.length).toBe(1);
      expect(near.send('data', Uint8Array.of(1))).toBe(false);
      expect([...ann.transport.sessions(), ...bob.transport.sessions()]).toEqual([]);
    });

    test('two sessions with one peer may live side by side', async () => {
      const { ann, bob, near } = await pair();
      const second = await bob.transport.dial(ann.node, [ann.address], patience());
      await ann.heard.until(() => ann.heard.opened.length === 1);
      expect(ann.transport.sessions().length).toBe(2);
      near.close('the other one stays');
      await bob.heard.until(() => bob.heard.closed.length === 1);
      second.send('data', Uint8Array.of(5));
      await ann.heard.until(() => ann.heard.frames.length === 1);
    });

    test('a second session dialled by the same node leaves the first one alone', async () => {
      const { ann, bob, near, far } = await pair();
      const second = await ann.transport.dial(bob.node, [bob.address], patience());
      await bob.heard.until(() => bob.heard.opened.length === 2);
      near.send('data', Uint8Array.of(1));
      second.send('data', Uint8Array.of(2));
      far.send('data', Uint8Array.of(3));
      await bob.heard.until(() => bob.heard.frames.length === 2);
      await ann.heard.until(() => ann.heard.frames.length === 1);
      expect([...ann.heard.closed, ...bob.heard.closed]).toEqual([]);
    });

    test('another node than the expected one is refused', async () => {
      const [ann, bob, eve] = [await fresh(), await fresh(), await fresh()];
      const dial = ann.transport.dial(eve.node, [bob.address], patience());
      await expect(dial).rejects.toThrow(/another node answers/);
      expect(ann.transport.sessions()).toEqual([]);
    });

    test('a bare seed address reaches whoever is a member', async () => {
      const [ann, bob] = [await fresh(), await fresh()];
      const session = await ann.transport.dial(undefined, [bob.address], patience());
      expect(session.peer).toBe(bob.node);
    });

    test('a stranger gets in nowhere, dialled or dialling', async () => {
      const [ann, eve] = [await fresh(), await fresh(stranger)];
      await expect(eve.transport.dial(undefined, [ann.address], patience())).rejects.toThrow();
      await expect(ann.transport.dial(undefined, [eve.address], patience())).rejects.toThrow();
      expect([...ann.heard.opened, ...eve.heard.opened]).toEqual([]);
    });

    test('a failed dial names the reason of each address', async () => {
      const ann = await fresh();
      const nowhere = { host: '127.0.0.1', port: 1 };
      const failure: unknown = await ann.transport
        .dial(undefined, [nowhere, ann.address], patience())
        .catch((error: unknown) => error);
      expect(MycelError.is(failure) && failure.code).toBe('MYCEL_LINK_FAILED');
      const reasons = MycelError.is(failure) ? (failure.details['reasons'] as object) : {};
      expect(Object.keys(reasons)).toContain('127.0.0.1:1');
      expect(JSON.stringify(reasons)).toContain('this node itself');
    });

    test('an aborted dial fails and leaves nothing behind', async () => {
      const [ann, bob] = [await fresh(), await fresh()];
      const dial = ann.transport.dial(bob.node, [bob.address], AbortSignal.abort());
      await expect(dial).rejects.toMatchObject({ code: 'MYCEL_LINK_FAILED' });
      expect(ann.transport.sessions()).toEqual([]);
    });

    test('stopping closes every session', async () => {
      const { ann, bob, near } = await pair();
      await ann.transport.stop();
      await bob.heard.until(() => bob.heard.closed.length === 1);
      await ann.heard.until(() => ann.heard.closed.length === 1);
      expect(ann.heard.closed[0]?.session).toBe(near);
    });
  });
}
