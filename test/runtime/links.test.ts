import { describe, expect, test } from 'vitest';
import { createMemoryClock } from '../../src/adapters/memory/clock.ts';
import type { MemoryClock } from '../../src/adapters/memory/clock.ts';
import { createMemoryLinkNetwork } from '../../src/adapters/memory/link.ts';
import type { MemoryLinkTransport } from '../../src/adapters/memory/link.ts';
import { createMemoryLog } from '../../src/adapters/memory/log.ts';
import { createMetrics } from '../../src/adapters/system/metrics.ts';
import type { LinkSession } from '../../src/ports/link.ts';
import type { Envelope } from '../../src/protocol/routing/messages.ts';
import { createLinks } from '../../src/runtime/links.ts';
import type { Hello, LinkInfo, Links } from '../../src/runtime/links.ts';
import type { ControlMessage } from '../../src/wire/control.ts';
import { encodeEnvelope } from '../../src/wire/envelope.ts';
import { createFrameWriter } from '../../src/wire/frame.ts';
import { eventOf } from '../protocol/routing/arbitraries.ts';
import { simNodeId } from '../sim/routing-mesh.ts';
import { until } from './loopback-nodes.ts';

const pace = { heartbeatMs: 500, silentMsMax: 1_500 };

interface End {
  readonly links: Links;
  readonly transport: MemoryLinkTransport;
  readonly hellos: { readonly link: LinkInfo; readonly hello: Hello }[];
  readonly controls: ControlMessage[];
  readonly data: Envelope[];
  readonly drained: LinkInfo[];
  readonly closed: string[];
  readonly quiet: boolean[];
  drops(): string;
}

interface Pair {
  readonly clock: MemoryClock;
  readonly ann: End;
  readonly bob: End;
  /** Ann's session with bob, which she dialled. */
  readonly session: LinkSession;
}

/** Two tables of links over the memory twin of the transport, joined by one session that each has chosen. */
async function linked(): Promise<Pair> {
  const clock = createMemoryClock();
  const network = createMemoryLinkNetwork();
  const end = (at: number): End => {
    const metrics = createMetrics();
    const lists = { hellos: [], controls: [], data: [], drained: [], closed: [], quiet: [] };
    const all: Omit<End, 'links' | 'transport' | 'drops'> = lists;
    const links = createLinks({
      clock,
      log: createMemoryLog(),
      metrics,
      pace,
      hello: () => ({
        kind: 'hello',
        boot: at + 1,
        instance: at,
        name: `node ${at}`,
        port: 1,
        overlay: 'full-mesh',
        neighbours: [],
      }),
      greeted(link, hello) {
        all.hellos.push({ link, hello });
        links.choose(link.session.peer, link.id);
      },
      control: (_link, message) => void all.controls.push(message),
      overlay: () => undefined,
      quiet: (_link, isQuiet) => void all.quiet.push(isQuiet),
      data: (_link, envelope) => void all.data.push(envelope),
      drained: (link) => void all.drained.push(link),
      closed: (_link, reason) => void all.closed.push(reason),
    });
    const transport = network.join({
      node: simNodeId(at),
      address: { host: '10.0.0.1', port: at + 1 },
      certificate: Uint8Array.of(at),
      refuse: () => undefined,
      handlers: { ...links, opened: (session) => void links.opened(session) },
    });
    const drops = (): string => JSON.stringify(metrics.snapshot().drops);
    return Object.assign(all, { links, transport, drops });
  };
  const [ann, bob] = [end(0), end(1)];
  const address = { host: '10.0.0.1', port: 2 };
  const session = await ann.transport.dial(undefined, [address], new AbortController().signal);
  ann.links.opened(session);
  await until(() => ann.hellos.length === 1 && bob.hellos.length === 1);
  return { clock, ann, bob, session };
}

const bobId = simNodeId(1);

function recordOf(seq: number, bytes = 64): Uint8Array {
  return encodeEnvelope(eventOf(simNodeId(0), seq, 1, bytes));
}

describe('links', () => {
  test('say hello first, and gather the records of a turn into few frames, in order', async () => {
    const { ann, bob } = await linked();
    expect(bob.hellos[0]?.hello).toMatchObject({ name: 'node 0', boot: 1 });
    for (let seq = 1; seq <= 100; seq += 1) ann.links.data(bobId, recordOf(seq));
    ann.links.control(bobId, { kind: 'bye', reason: 'x' });
    await until(() => bob.data.length === 100);
    expect(bob.data.map(({ seq }) => seq)).toEqual(Array.from({ length: 100 }, (_, at) => at + 1));
    expect(bob.controls).toEqual([{ kind: 'bye', reason: 'x' }]);
  });

  test('take nothing more for a saturated link until it has drained, and lose nothing', async () => {
    const { ann, bob } = await linked();
    let sent = 0;
    while (ann.links.data(bobId, recordOf(sent + 1, 32 * 1024))) {
      sent += 1;
      if (sent > 5_000) throw new Error('it takes anything');
    }
    await until(() => ann.drained.length === 1);
    await until(() => bob.data.length === sent);
    expect(ann.links.data(bobId, recordOf(sent + 1))).toBe(true);
    await until(() => bob.data.length === sent + 1);
    expect(bob.data.map(({ seq }) => seq)).toEqual(
      Array.from({ length: sent + 1 }, (_, at) => at + 1),
    );
  });

  test('measure the round trip by pings', async () => {
    const { clock, ann } = await linked();
    const trips: number[] = [];
    ann.links.ping(bobId, (rttMs) => trips.push(rttMs));
    clock.advance(7);
    await until(() => trips.length === 1);
    expect(trips).toEqual([7]);
    expect(ann.links.current(bobId)?.rttMs).toBeGreaterThan(0);
  });

  test('stay open while the peer answers, and close when it has been silent for too long', async () => {
    const { clock, ann, bob } = await linked();
    for (let beat = 0; beat < 10; beat += 1) {
      clock.advance(pace.heartbeatMs);
      await new Promise((resolve) => setTimeout(resolve, 1));
      await until(() => bob.drops() === '{}' && ann.closed.length === 0);
    }
    // Time passes without a turn of the loop: nothing that either says can arrive.
    clock.advance(pace.silentMsMax + pace.heartbeatMs);
    await until(() => ann.closed.length === 1 && bob.closed.length === 1);
    expect(ann.closed[0]).toMatch(/silent for 2 s/);
    expect(ann.links.current(bobId)).toBeUndefined();
    expect(ann.links.data(bobId, recordOf(1))).toBe(false);
  });

  test('drop and count what cannot be read, and hang up on who sends a hundred of it', async () => {
    const { ann, bob, session } = await linked();
    const writer = createFrameWriter();
    writer.add(Uint8Array.of(1, 2, 3));
    const unreadable = writer.take() ?? new Uint8Array();
    for (let count = 0; count < 99; count += 1) session.send('data', unreadable);
    ann.links.data(bobId, recordOf(1));
    await until(() => bob.data.length === 1);
    expect(bob.drops()).toContain('"link: malformed envelope":99');
    expect(bob.closed).toEqual([]);
    session.send('data', unreadable);
    await until(() => bob.closed.length === 1);
    expect(bob.closed[0]).toMatch(/hostile/);
  });

  test('hear no data from a peer that has not said hello', async () => {
    const { ann, bob } = await linked();
    const address = { host: '10.0.0.1', port: 2 };
    const second = await ann.transport.dial(undefined, [address], new AbortController().signal);
    const writer = createFrameWriter();
    writer.add(recordOf(1));
    second.send('data', writer.take() ?? new Uint8Array());
    await until(() => bob.drops().includes('spoke before its hello'));
    expect(bob.data).toEqual([]);
  });

  test('let the last words out before a hang-up, and hear nothing after it', async () => {
    const { ann, bob } = await linked();
    const link = ann.links.current(bobId);
    if (link === undefined) throw new Error('they are linked');
    ann.links.data(bobId, recordOf(1));
    ann.links.control(bobId, { kind: 'bye', reason: 'over' });
    ann.links.hangUp(link.id, 'over');
    bob.links.control(simNodeId(0), { kind: 'bye', reason: 'too late' });
    await until(() => ann.closed.length === 1 && bob.closed.length === 1);
    expect(bob.data.length).toBe(1);
    expect(bob.controls).toEqual([{ kind: 'bye', reason: 'over' }]);
    expect(ann.controls).toEqual([]);
    expect([ann.links.all(), bob.links.all()]).toEqual([[], []]);
  });
});
