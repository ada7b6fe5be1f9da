/** Hostile bytes for every parser of src/wire that a stranger can reach. FUZZ_RUNS sets the inputs per parser. */

import { expect, test } from 'vitest';
import { MycelError } from '../../src/kernel/errors.ts';
import { createRandom } from '../../src/kernel/random.ts';
import type { Random } from '../../src/kernel/random.ts';
import {
  createGenesis,
  meshIdOf,
  readAuthorityEntry,
  readGenesis,
  signAuthorityEntry,
} from '../../src/wire/authority-entry.ts';
import { decodeCbor, encodeCbor } from '../../src/wire/cbor.ts';
import { issueCertificate, readCertificate } from '../../src/wire/certificate.ts';
import { createDatagramSeal } from '../../src/wire/datagram-seal.ts';
import { mintInvite, parseInvite } from '../../src/wire/invite.ts';
import { createInvitedJoiner, createInviter } from '../../src/wire/join.ts';
import { generateNodeKeys, nodeIdOf, randomBytes } from '../../src/wire/keys.ts';
import { createNoise } from '../../src/wire/noise.ts';
import { createOpenHost, createOpenJoiner } from '../../src/wire/open-join.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 20_000);
const seed = Number(process.env['FUZZ_SEED'] ?? 20_261);

/** No input may cost more processor time, in ms. Not wall time: that would measure the neighbours. */
const inputMsMax = 50;

/**
 * How much a process may grow over all runs of a parser, in bytes. Parsed keys live outside the JavaScript heap and wait
 * for a major collection: some 90 MB after 5000 handshakes in a row, and no more after 40 000.
 */
const growthBytesMax = 128 * 1024 * 1024;

const keys = generateNodeKeys();
const subject = { node: nodeIdOf(keys.edPublic), key: Buffer.from(keys.edPublic).toString('hex') };
const genesis = createGenesis([keys.edPublic], 'home');
const meshId = meshIdOf(genesis);
const certificate = issueCertificate(keys, {
  meshId,
  edPublic: keys.edPublic,
  xPublic: keys.xPublic,
  name: 'kitchen',
  roles: ['node', 'admin'],
  certSeq: 1,
  epoch: 1,
  epochMax: 100,
});
const link = { seq: 1, prev: readGenesis(genesis)?.hash ?? '', lamport: 1 };
const entry = signAuthorityEntry(keys, link, { kind: 'revoke', ...subject, chainLength: 3 });
const epochKeys = { current: { epoch: 1, key: randomBytes(32) }, others: [] };
const sender = createDatagramSeal({ node: subject.node, bootCounter: 1, keys: () => epochKeys });
const hosts = [{ host: '192.168.1.20', port: 1883 }];
const minted = mintInvite({ meshId, inviterXPublic: keys.xPublic, hosts });

/** Damages a good sample in one to four places, or makes bytes up. */
function mutate(random: Random, samples: readonly Uint8Array[]): Uint8Array {
  if (random.below(10) === 0) {
    return Uint8Array.from({ length: random.below(300) }, () => random.below(256));
  }
  let bytes = Uint8Array.from(samples[random.below(samples.length)] ?? []);
  for (let count = random.below(4); count >= 0; count -= 1) bytes = damage(random, bytes);
  return bytes;
}

function damage(random: Random, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length);
  const end = at + random.below(bytes.length - at + 1);
  const interesting = [0x00, 0xff, 0x7f, 0x80, 0x9b, 0xbb, 0x5b, 0xc2, 0xd9, 0x1b, 0xf9, 0xa1];
  const result = Uint8Array.from(bytes);
  switch (random.below(6)) {
    case 0:
      result[at] = (result[at] ?? 0) ^ (1 << random.below(8));
      return result;
    case 1:
      result[at] = interesting[random.below(interesting.length)] ?? 0;
      return result;
    case 2:
      return result.slice(0, end);
    case 3:
      return Uint8Array.from([...result.slice(0, end), ...result.slice(at)]);
    case 4:
      return Uint8Array.from([...result.slice(0, at), ...result.slice(end)]);
    default:
      return Uint8Array.from([...result, ...result.slice(at, end)]);
  }
}

/** Whether the parser took it. Throws for anything but a `MycelError`. */
async function tryParse(
  parse: (bytes: Uint8Array) => unknown,
  bytes: Uint8Array,
  run: number,
): Promise<boolean> {
  try {
    const outcome = parse(bytes);
    const result = outcome instanceof Promise ? await outcome : outcome;
    return result !== undefined && result !== false;
  } catch (error) {
    if (MycelError.is(error)) return false;
    throw new Error(`run ${run}: ${Buffer.from(bytes).toString('hex')}`, { cause: error });
  }
}

/** Feeds a parser; it may return or throw a `MycelError`, in time, and keep nothing. */
async function fuzz(
  samples: readonly Uint8Array[],
  parse: (bytes: Uint8Array) => unknown,
): Promise<void> {
  const random = createRandom(seed);
  const rssBefore = process.memoryUsage().rss;
  const startedAt = performance.now();
  let accepted = 0;
  let slowestMs = 0;
  for (let run = 0; run < runs; run += 1) {
    const bytes = mutate(random, samples);
    let costMs = Infinity;
    // An input that is slow by itself is slow again; a garbage collection is not.
    for (let attempt = 0; attempt < 3 && costMs > inputMsMax; attempt += 1) {
      const before = process.cpuUsage();
      const isAccepted = await tryParse(parse, bytes, run);
      const { user, system } = process.cpuUsage(before);
      costMs = (user + system) / 1000;
      if (isAccepted && attempt === 0) accepted += 1;
    }
    slowestMs = Math.max(slowestMs, costMs);
  }
  const grownBytes = process.memoryUsage().rss - rssBefore;
  if (process.env['FUZZ_RUNS'] !== undefined) {
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    const rss = (process.memoryUsage().rss / 1e6).toFixed(0);
    console.log(
      `${expect.getState().currentTestName}: ${runs} inputs, ${accepted} accepted, ${seconds} s, slowest ${slowestMs.toFixed(1)} ms, RSS ${rss} MB (${(grownBytes / 1e6).toFixed(0)} more)`,
    );
  }
  expect(slowestMs).toBeLessThan(inputMsMax);
  expect(grownBytes).toBeLessThan(growthBytesMax);
}

const timeout = Math.max(120_000, runs * 5);

test('CBOR', { timeout }, async () => {
  const value = { a: [1, -1, 2.5, 2n ** 60n, null, true], ü: { b: new Uint8Array(9) }, c: 'text' };
  await fuzz([encodeCbor(value), genesis, certificate.slice(0, -64)], (bytes) => {
    decodeCbor(bytes);
    return true;
  });
});

test('certificates', { timeout }, async () => {
  await fuzz([certificate], (bytes) => {
    const read = readCertificate(bytes);
    // Only the sample itself, restored by two changes that cancel out.
    if (read !== undefined) expect(bytes).toEqual(certificate);
    return read;
  });
});

test('log entries and genesis', { timeout }, async () => {
  await fuzz([entry.bytes, genesis], (bytes) => {
    readGenesis(bytes);
    const read = readAuthorityEntry(bytes);
    if (read !== undefined) expect(bytes).toEqual(entry.bytes);
    return read;
  });
});

test('invites', { timeout }, async () => {
  const text = new TextEncoder().encode(minted.text);
  await fuzz([text], (bytes) => {
    const { inviteId } = parseInvite(Buffer.from(bytes).toString('latin1'));
    expect(inviteId).toBe(minted.inviteId);
    return true;
  });
});

test('datagrams', { timeout }, async () => {
  const receiver = createDatagramSeal({
    node: nodeIdOf(generateNodeKeys().edPublic),
    bootCounter: 1,
    keys: () => epochKeys,
  });
  const samples = Array.from({ length: 20 }, (_, at) => sender.seal(randomBytes(at * 10)));
  for (const sample of samples) receiver.open(sample);
  // Each sample was opened before: whatever is accepted now is a forgery.
  await fuzz(samples, (bytes) => {
    const outcome = receiver.open(bytes);
    expect('plain' in outcome).toBe(false);
  });
});

test('handshake messages', { timeout }, async () => {
  const psk = randomBytes(32);
  const side = (isInitiator: boolean, pattern: 'XX' | 'XXpsk3') =>
    createNoise({
      pattern,
      isInitiator,
      prologue: new Uint8Array(),
      xSeed: keys.xSeed,
      xPublic: keys.xPublic,
      psk,
      ephemeral: keys.edSeed,
    });
  const first = side(true, 'XX').write(randomBytes(20));
  const responder = side(false, 'XX');
  responder.read(first);
  const second = responder.write(randomBytes(40));
  let turn = 0;
  await fuzz([first, second], (bytes) => {
    turn += 1;
    if (turn % 2 === 0) return side(false, turn % 4 === 0 ? 'XX' : 'XXpsk3').read(bytes);
    const initiator = side(true, 'XX');
    initiator.write();
    initiator.read(bytes);
    return false;
  });
});

test('join conversations', { timeout }, async () => {
  const never = (): Promise<never> => Promise.reject(new MycelError('MYCEL_WINDOW_CLOSED'));
  const inviter = () =>
    createInviter({
      keys,
      meshId,
      remoteAddress: '192.168.1.66',
      findSecret: () => minted.psk,
      wrongSecret: () => {},
      grant: never,
    });
  const joiner = () => createInvitedJoiner({ keys, invite: parseInvite(minted.text), name: 'x' });
  const greeting = Buffer.concat(joiner().start());
  const answer = Buffer.concat((await inviter().received(greeting)).send);
  const openGreeting = Buffer.concat(createOpenJoiner({ keys, name: 'x' }).start());
  const openAnswer = Buffer.concat(
    (await createOpenHost({ keys, grant: never }).received(openGreeting)).send,
  );
  const sides = [
    inviter,
    joiner,
    () => createOpenHost({ keys, grant: never }),
    () => createOpenJoiner({ keys, name: 'x' }),
  ];
  let turn = 0;
  await fuzz([greeting, answer, openGreeting, openAnswer], async (bytes) => {
    turn += 1;
    const side = sides[turn % sides.length]?.();
    side?.start();
    const step = await side?.received(bytes);
    expect(step?.result).toBeUndefined();
    return step?.failure === undefined;
  });
});
