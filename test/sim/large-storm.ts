/** Large messages under everything that can happen to them, and what must be true of each that somebody hears. */

import { partBytes } from '../../src/kernel/large-message.ts';
import type { Envelope } from '../../src/protocol/routing/messages.ts';
import { encodeEnvelope } from '../../src/wire/envelope.ts';
import { comeBack, cutOff, flapLinks, full, line, quietMesh, ring } from './routing-shapes.ts';
import type { RouterParts, RoutingMesh } from './routing-mesh.ts';

/** A message of so many parts (0: a small one) that names its number and ends with it, too. */
export function textOf(number: number, parts: number): string {
  const mark = `${number} `;
  const size = parts === 0 ? 16 : (parts - 1) * partBytes + 100;
  return mark.padEnd(size - mark.length, `${number % 10}`) + mark;
}

/** What is wrong with what a node heard in one life: torn, foreign, twice, or out of order. */
function troubleOf(heard: readonly string[], published: readonly string[]): string[] {
  const trouble: string[] = [];
  let before = -1;
  for (const text of heard) {
    const number = Number.parseInt(text, 10);
    if (published[number] !== text) trouble.push(`torn: ${text.slice(0, 8)} of ${text.length}`);
    else if (number <= before) trouble.push(`${number} after ${before}`);
    else before = number;
  }
  return trouble;
}

interface Book {
  readonly published: string[];
  /** Numbers that were on their origin's disk. */
  readonly safe: Set<number>;
  /** The last number that each message needs. */
  readonly ends: [number, number][];
}

const emptyBook = (): Book => ({ published: [], safe: new Set(), ends: [] });

/** Events of messages that need not have come. */
function unsafeEvents({ published, safe }: Book): number {
  return published.reduce(
    (sum, text, number) => sum + (safe.has(number) ? 0 : Math.ceil(text.length / partBytes)),
    0,
  );
}

function publish(mesh: RoutingMesh, at: number, book: Book, parts: number): void {
  const number = book.published.length;
  book.published.push(textOf(number, parts));
  mesh.publishTo(at, 't', book.published[number] as string);
  book.ends.push([number, mesh.node(at).router.lastSeq()]);
}

/**
 * Two origins publish, links flap and repeat, the last node and the first origin lose their power in the middle of
 * messages. @returns what is wrong; empty: nothing.
 */
export function largeStorm(seed: number, parts?: RouterParts): string[] {
  const shapes = [line(3), ring(4), full(3)];
  const edges = shapes[seed % shapes.length] ?? line(3);
  const count = Math.max(...edges.flat()) + 1;
  /** Messages take long, and a cut is in the middle of one; or they are over soon, and one is the last of its stream. */
  const isSlow = seed % 2 === 0;
  const mesh = quietMesh({
    seed,
    count,
    edges,
    duplication: 0.05,
    linkRoom: isSlow ? 2 : 6,
    latencyMs: { min: 1, spread: 20 },
    ...(parts === undefined ? {} : { parts }),
  });
  const last = count - 1;
  flapLinks(mesh, 4_000);
  const books = [emptyBook(), emptyBook()] as const;
  let down: number | undefined;
  // What an earlier life left is on the disk, however little this one adds.
  let leftTo = 0;
  const lives: { origin: number; heard: readonly string[] }[] = [];
  const endLife = (): void => {
    for (const origin of [0, 1]) lives.push({ origin, heard: heardBy(mesh, last, origin) });
  };
  for (let round = 0; round < (isSlow ? 6 : 4); round += 1) {
    for (const origin of [0, 1]) {
      for (let step = 0; step < 4; step += 1) {
        const size = mesh.random.below(isSlow ? 8 : 5);
        mesh.at(mesh.now + mesh.random.below(800), () => {
          // While it is down it publishes nothing.
          if (origin === down) return;
          publish(mesh, origin, books[origin as 0 | 1], size === 1 ? 0 : size);
        });
      }
    }
    mesh.runUntil(mesh.now + 200 + mesh.random.below(700));
    const victim = round % (isSlow ? 3 : 2) === 1 ? 0 : last;
    if (victim === 0) {
      const lastSeq = mesh.node(0).router.lastSeq();
      const writtenTo = Math.max(leftTo, lastSeq - mesh.random.below(6));
      for (const [number, end] of books[0].ends.splice(0)) {
        if (end <= writtenTo) books[0].safe.add(number);
      }
      cutOff(mesh, 0);
      mesh.powerCut(0, writtenTo);
      leftTo = mesh.node(0).router.lastSeq();
    } else {
      endLife();
      cutOff(mesh, last);
      mesh.powerCut(last, 0);
    }
    down = victim;
    mesh.runUntil(mesh.now + mesh.random.below(300));
    down = undefined;
    comeBack(mesh, victim);
  }
  mesh.runUntil(mesh.now + 60_000);
  // The very last thing that an origin does is half a message: nobody may wait for the rest of it.
  publish(mesh, 0, books[0], 6);
  const [torn] = books[0].ends.splice(-1);
  for (const [number] of books[0].ends.splice(0)) books[0].safe.add(number);
  cutOff(mesh, 0);
  mesh.powerCut(0, (torn?.[1] ?? 0) - 3);
  comeBack(mesh, 0);
  mesh.runUntil(mesh.now + 60_000);
  // What no cut came after cannot have been lost with it.
  for (const { ends, safe } of books) for (const [number] of ends) safe.add(number);
  endLife();

  const trouble: string[] = [];
  for (const origin of [0, 1] as const) {
    const { published, safe } = books[origin];
    const all = new Set<number>();
    for (const { heard } of lives.filter((one) => one.origin === origin)) {
      trouble.push(...troubleOf(heard, published));
      for (const text of heard) all.add(Number.parseInt(text, 10));
    }
    for (const number of safe) if (!all.has(number)) trouble.push(`${number} of ${origin} is lost`);
    const { router, log } = mesh.node(origin);
    if (router.view().outbox.count > 0) trouble.push(`${origin} still owes something`);
    // What its origin had not on its disk may be told to be missing.
    if (log.gaps > unsafeEvents(books[1 - origin] ?? books[0])) {
      trouble.push(`${origin} missed ${log.gaps}`);
    }
  }
  return trouble;
}

/** What a receiver tells of parts: a first one before its turn is none of its, and what it holds shows that it gets on. */
export function heldStorm(seed: number, parts?: RouterParts): string[] {
  const mesh = quietMesh({
    seed,
    count: 2,
    edges: line(2),
    linkRoom: 2,
    latencyMs: { min: 100, spread: 5 },
    ...(parts === undefined ? {} : { parts }),
  });
  const trouble: string[] = [];
  const [origin, receiver] = [mesh.node(0), mesh.node(1)];
  mesh.publishTo(0, 't', 'first');
  mesh.runUntil(mesh.now + 2_000);
  const early: Envelope = {
    ttl: 0,
    class: 'event',
    retain: false,
    origin: origin.id,
    boot: origin.boot,
    seq: origin.router.lastSeq() + 2,
    skipped: 0,
    hlc: { wallMs: 1, count: 0 },
    topic: 't',
    payload: new Uint8Array(partBytes),
    passage: undefined,
    channel: undefined,
    share: undefined,
    part: { index: 0, totalBytes: 3 * partBytes, isSignal: false },
  };
  receiver.router.received(mesh.now, origin.id, early, encodeEnvelope(early));
  if (receiver.router.view().held > 0) trouble.push('a first part was kept before its turn');
  mesh.publishTo(0, 't', textOf(0, 160));
  let attempts = 0;
  for (const until = mesh.now + 20_000; mesh.now < until;) {
    mesh.runUntil(mesh.now + 50);
    const [to] = origin.router.view().outbox.destinations;
    attempts = Math.max(attempts, to?.attempts ?? 0);
  }
  if (attempts > 1) trouble.push(`${attempts} attempts in a row while parts came all the time`);
  if (heardBy(mesh, 1, 0).length !== 2) trouble.push('a message did not come');
  return trouble;
}

/**
 * Four origins send more than a receiver has room for at once; the two that began first stop in the middle of their
 * messages for longer than the others have patience, and come back. @returns what is wrong
 */
export function crowdedStorm(seed: number, parts?: RouterParts): string[] {
  const mesh = quietMesh({
    seed,
    count: 5,
    edges: full(5),
    linkRoom: 16,
    ...(parts === undefined ? {} : { parts }),
  });
  const text = 'x'.repeat(12 * 1024 * 1024);
  const origins = [1, 2, 3, 4];
  for (const at of origins) mesh.want(at, []);
  for (const at of [1, 2]) mesh.publishTo(at, 't', `${text}${at}`);
  mesh.runUntil(mesh.now + 12);
  for (const at of [1, 2]) cutOff(mesh, at);
  for (const at of [3, 4]) mesh.publishTo(at, 't', `${text}${at}`);
  const trouble: string[] = [];
  const arrived = (): string =>
    origins.filter((at) => heardBy(mesh, 0, at).includes(`${text}${at}`)).join();
  mesh.runUntil(mesh.now + 5_000);
  if (arrived() !== '') trouble.push(`${arrived()} came although there was no room`);
  mesh.runUntil(mesh.now + 90_000);
  if (arrived() !== '3,4') trouble.push(`only ${arrived()} came past those that stopped`);
  for (const at of [1, 2]) comeBack(mesh, at);
  mesh.runUntil(mesh.now + 90_000);
  if (arrived() !== '1,2,3,4') trouble.push(`in the end ${arrived()} came`);
  for (const at of origins) if (heardBy(mesh, 0, at).length > 1) trouble.push(`${at} came twice`);
  if ((mesh.drops.get('parts-full') ?? 0) === 0) trouble.push('nobody had to wait for room');
  return trouble;
}

function heardBy(mesh: RoutingMesh, at: number, origin: number): string[] {
  return (mesh.node(at).log.heard.get(mesh.node(origin).id) ?? []).map(({ text }) => text);
}
