import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MycelError } from '../../src/kernel/errors.ts';
import { fromHex, toHex, utf8 } from '../../src/wire/bytes.ts';
import { generateNodeKeys, randomBytes, xPairOf } from '../../src/wire/keys.ts';
import { createNoise, noisePlainMax } from '../../src/wire/noise.ts';
import type { NoiseHandshake, NoisePattern, NoiseSession } from '../../src/wire/noise.ts';

interface Vector {
  source: string;
  pattern: NoisePattern;
  prologue: string;
  psk?: string;
  initStatic: string;
  initEphemeral: string;
  respStatic: string;
  respEphemeral: string;
  handshakeHash?: string;
  messages: { payload: string; ciphertext: string }[];
}

/** Published vectors of the cacophony and snow projects (25519, ChaChaPoly, SHA256). */
const vectors = JSON.parse(
  readFileSync(new URL('noise-vectors.json', import.meta.url), 'utf8'),
) as Vector[];

function side(vector: Vector, isInitiator: boolean): NoiseHandshake {
  const xSeed = fromHex(isInitiator ? vector.initStatic : vector.respStatic);
  return createNoise({
    pattern: vector.pattern,
    isInitiator,
    prologue: fromHex(vector.prologue),
    xSeed,
    xPublic: xPairOf(xSeed).xPublic,
    ephemeral: fromHex(isInitiator ? vector.initEphemeral : vector.respEphemeral),
    ...(vector.psk === undefined ? {} : { psk: fromHex(vector.psk) }),
  });
}

test.each(vectors)('the published vector of $source for $pattern is reproduced', (vector) => {
  const handshakes = [side(vector, true), side(vector, false)] as const;
  for (const [at, message] of vector.messages.slice(0, 3).entries()) {
    const [writer, reader] = at % 2 === 0 ? handshakes : [handshakes[1], handshakes[0]];
    const bytes = writer.write(fromHex(message.payload));
    expect(toHex(bytes)).toBe(message.ciphertext);
    expect(toHex(reader.read(bytes))).toBe(message.payload);
  }
  const sessions = [handshakes[0].finish(), handshakes[1].finish()] as const;
  for (const session of sessions) {
    if (vector.handshakeHash !== undefined) {
      expect(toHex(session.handshakeHash)).toBe(vector.handshakeHash);
    }
  }
  expect(toHex(sessions[0].remoteStatic)).toBe(toHex(xPairOf(fromHex(vector.respStatic)).xPublic));
  for (const [at, message] of vector.messages.slice(3).entries()) {
    const [sender, receiver] = at % 2 === 1 ? sessions : [sessions[1], sessions[0]];
    const sealed = sender.seal(fromHex(message.payload));
    expect(toHex(sealed)).toBe(message.ciphertext);
    expect(toHex(receiver.open(sealed))).toBe(message.payload);
  }
});

interface PairOptions {
  pattern?: NoisePattern;
  prologues?: [string, string];
  psks?: [Uint8Array, Uint8Array];
}

function pair(options: PairOptions = {}): [NoiseHandshake, NoiseHandshake] {
  const { pattern = 'XX', prologues = ['p', 'p'], psks } = options;
  const make = (at: 0 | 1): NoiseHandshake => {
    const keys = generateNodeKeys();
    const psk = psks === undefined ? {} : { psk: psks[at] };
    return createNoise({
      pattern,
      isInitiator: at === 0,
      prologue: utf8(prologues[at]),
      ...keys,
      ...psk,
    });
  };
  return [make(0), make(1)];
}

function shake([left, right]: [NoiseHandshake, NoiseHandshake]): [NoiseSession, NoiseSession] {
  right.read(left.write());
  left.read(right.write());
  right.read(left.write());
  return [left.finish(), right.finish()];
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return MycelError.is(error) ? error.code : String(error);
  }
  return 'accepted';
}

test('both sides take turns and end with the same hash and each other’s key', () => {
  const [left, right] = pair();
  expect([left.isMyTurn, right.isMyTurn]).toEqual([true, false]);
  const [one, two] = shake([left, right]);
  expect([left.isDone, right.isDone, left.isMyTurn, right.isMyTurn]).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect(one.handshakeHash).toEqual(two.handshakeHash);
  expect(left.remoteStatic()).toEqual(one.remoteStatic);
});

test('no two sessions share a handshake hash', () => {
  const keys = generateNodeKeys();
  const hashes = new Set<string>();
  for (let run = 0; run < 5; run += 1) {
    const base = { pattern: 'XX', prologue: utf8('p'), ...keys } as const;
    const [one] = shake([
      createNoise({ ...base, isInitiator: true }),
      createNoise({ ...base, isInitiator: false }),
    ]);
    hashes.add(toHex(one.handshakeHash));
  }
  expect(hashes.size).toBe(5);
});

/** Shakes hands with one bit of one message flipped; gives the code of the failure. */
function shakeTampered(victim: number, at: number): string {
  const sides = pair();
  return codeOf(() => {
    for (let round = 0; round < 3; round += 1) {
      const [writer, reader] = round % 2 === 0 ? sides : [sides[1], sides[0]];
      const bytes = writer.write(utf8('load'));
      if (round === victim) bytes[at] = (bytes[at] ?? 0) ^ 1;
      reader.read(bytes);
    }
  });
}

test('a changed bit in any byte of any handshake message ends the handshake before either side is misled', () => {
  for (const [victim, length] of [32 + 4, 32 + 48 + 20, 48 + 20].entries()) {
    for (let at = 0; at < length; at += 1) {
      expect(shakeTampered(victim, at)).toBe('MYCEL_HANDSHAKE_FAILED');
    }
  }
});

test('a failed handshake stays failed', () => {
  const [left, right] = pair();
  expect(codeOf(() => right.read(new Uint8Array(5)))).toBe('MYCEL_HANDSHAKE_FAILED');
  expect(codeOf(() => right.read(left.write()))).toBe('MYCEL_HANDSHAKE_FAILED');
  expect(codeOf(() => right.write())).toBe('MYCEL_HANDSHAKE_FAILED');
  expect([right.isDone, right.isMyTurn]).toEqual([false, false]);
});

test('another prologue is another protocol', () => {
  const [left, right] = pair({ prologues: ['mesh one', 'mesh two'] });
  right.read(left.write());
  expect(codeOf(() => left.read(right.write()))).toBe('MYCEL_HANDSHAKE_FAILED');
});

test('a wrong secret is found out by the responder at the third message', () => {
  const [left, right] = pair({ pattern: 'XXpsk3', psks: [randomBytes(32), randomBytes(32)] });
  right.read(left.write());
  left.read(right.write());
  expect(codeOf(() => right.read(left.write()))).toBe('MYCEL_HANDSHAKE_FAILED');
});

test('the two patterns do not mix', () => {
  const psk = randomBytes(32);
  const [left] = pair({ pattern: 'XXpsk3', psks: [psk, psk] });
  const [, right] = pair();
  expect(codeOf(() => right.read(left.write()))).toBe('accepted');
  expect(codeOf(() => left.read(right.write()))).toBe('MYCEL_HANDSHAKE_FAILED');
});

test('an ephemeral key of low order is refused', () => {
  const [, right] = pair();
  right.read(new Uint8Array(32));
  expect(codeOf(() => right.write())).toBe('MYCEL_HANDSHAKE_FAILED');
});

test('messages of any size up to the limit arrive as they were sent', () => {
  const [one, two] = shake(pair());
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), (plain) => {
      expect(two.open(one.seal(plain))).toEqual(plain);
      expect(one.open(two.seal(plain))).toEqual(plain);
    }),
  );
  const large = new Uint8Array(noisePlainMax).fill(3);
  expect(two.open(one.seal(large))).toEqual(large);
  expect(() => one.seal(new Uint8Array(noisePlainMax + 1))).toThrow(/65 519/);
});

test.each(['changed', 'replayed', 'reordered', 'cut', 'from elsewhere'])(
  'a message that was %s breaks the session for good',
  (fault) => {
    const [one, two] = shake(pair());
    const [other] = shake(pair());
    const first = one.seal(utf8('first'));
    const second = one.seal(utf8('second'));
    const bad: Record<string, Uint8Array> = {
      changed: first.map((byte, at) => (at === 3 ? byte ^ 4 : byte)),
      reordered: second,
      cut: first.subarray(0, 10),
      'from elsewhere': other.seal(utf8('first')),
    };
    if (fault === 'replayed') two.open(first);
    expect(codeOf(() => two.open(bad[fault] ?? first))).toBe('MYCEL_SEAL_BROKEN');
    expect(codeOf(() => two.open(fault === 'replayed' ? second : first))).toBe('MYCEL_SEAL_BROKEN');
  },
);

test('a session reflects nothing: what one side sealed it cannot open itself', () => {
  const [one] = shake(pair());
  expect(codeOf(() => one.open(one.seal(utf8('echo'))))).toBe('MYCEL_SEAL_BROKEN');
});

test('more than 65 536 messages keep their order and stay open', () => {
  const [one, two] = shake(pair());
  const plain = utf8('x');
  for (let count = 0; count < 66_000; count += 1) two.open(one.seal(plain));
  expect(two.open(one.seal(utf8('end')))).toEqual(utf8('end'));
});
