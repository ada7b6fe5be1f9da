import fc from 'fast-check';
import nacl from 'tweetnacl';
import { expect, test } from 'vitest';
import { isNodeId } from '../../src/kernel/ids.ts';
import { fromHex, isSameBytes, toHex } from '../../src/wire/bytes.ts';
import {
  boxOverheadBytes,
  decodeNodeKeys,
  encodeNodeKeys,
  generateNodeKeys,
  generateXPair,
  hkdf,
  isBound,
  nodeIdOf,
  nodeKeysFromSeeds,
  openBox,
  publicKeyCacheMax,
  sealBox,
  sha256,
  signBytes,
  verifyBytes,
  xPairOf,
} from '../../src/wire/keys.ts';

const seed = fc.uint8Array({ minLength: 32, maxLength: 32 });
const message = fc.uint8Array({ maxLength: 300 });

test('signatures of node:crypto and tweetnacl are the same bytes from the same raw seed', () => {
  fc.assert(
    fc.property(seed, message, (edSeed, bytes) => {
      const pair = nacl.sign.keyPair.fromSeed(edSeed);
      const signature = signBytes(edSeed, bytes);
      expect(toHex(signature)).toBe(toHex(nacl.sign.detached(bytes, pair.secretKey)));
      expect(verifyBytes(pair.publicKey, bytes, signature)).toBe(true);
    }),
    { numRuns: 20 },
  );
});

test('RFC 8032 test 2 is reproduced', () => {
  const keys = nodeKeysFromSeeds(
    fromHex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb'),
    new Uint8Array(32).fill(1),
  );
  expect(toHex(keys.edPublic)).toBe(
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
  );
  expect(toHex(signBytes(keys.edSeed, fromHex('72')))).toBe(
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
      '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  );
});

test('Diffie–Hellman agrees with tweetnacl from the same raw keys', () => {
  fc.assert(
    fc.property(seed, seed, (left, right) => {
      const expected = nacl.scalarMult(left, nacl.scalarMult.base(right));
      const actual = xPairOf(left).agree(xPairOf(right).xPublic);
      expect(actual).toEqual(expected);
    }),
    { numRuns: 20 },
  );
});

test('a pair made for one handshake agrees with any other, and no two are the same', () => {
  const other = generateNodeKeys();
  const seen = new Set<string>();
  for (let run = 0; run < 20; run += 1) {
    const pair = generateXPair();
    seen.add(toHex(pair.xPublic));
    expect(pair.agree(other.xPublic)).toEqual(nacl.scalarMult(other.xSeed, pair.xPublic));
  }
  expect(seen.size).toBe(20);
});

test('a low-order public key gives no secret', () => {
  const { xSeed } = generateNodeKeys();
  const lowOrder = [
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ];
  for (const text of lowOrder) expect(xPairOf(xSeed).agree(fromHex(text))).toBeUndefined();
  expect(xPairOf(xSeed).agree(new Uint8Array(31))).toBeUndefined();
});

test('a malleated signature (S + L) that tweetnacl accepts is refused', () => {
  const { edSeed, edPublic } = generateNodeKeys();
  const bytes = new Uint8Array([1, 2, 3]);
  const signature = signBytes(edSeed, bytes);
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  let scalar = 0n;
  for (let at = 63; at >= 32; at -= 1) scalar = scalar * 256n + BigInt(signature[at] ?? 0);
  let malleated = scalar + order;
  const twin = signature.slice();
  for (let at = 32; at < 64; at += 1) {
    twin[at] = Number(malleated & 255n);
    malleated >>= 8n;
  }
  expect(nacl.sign.detached.verify(bytes, twin, edPublic)).toBe(true);
  expect(verifyBytes(edPublic, bytes, twin)).toBe(false);
});

test('no bit of message, signature or key can change', () => {
  const { edSeed, edPublic } = generateNodeKeys();
  const bytes = new Uint8Array(20).fill(7);
  const signature = signBytes(edSeed, bytes);
  for (const part of [bytes, signature, edPublic]) {
    for (let bit = 0; bit < part.length * 8; bit += 1) {
      const at = bit >> 3;
      part[at] = (part[at] ?? 0) ^ (1 << (bit & 7));
      expect(verifyBytes(edPublic, bytes, signature)).toBe(false);
      part[at] = (part[at] ?? 0) ^ (1 << (bit & 7));
    }
  }
  expect(verifyBytes(edPublic, bytes, signature)).toBe(true);
});

test('malformed keys and signatures are false, not exceptions', () => {
  fc.assert(
    fc.property(message, message, message, (edPublic, bytes, signature) => {
      expect(verifyBytes(edPublic, bytes, signature)).toBe(false);
    }),
  );
});

test('a node id follows from the key and is a whole node id', () => {
  const keys = nodeKeysFromSeeds(new Uint8Array(32).fill(1), new Uint8Array(32).fill(2));
  expect(isNodeId(nodeIdOf(keys.edPublic))).toBe(true);
  expect(nodeIdOf(keys.edPublic)).toBe(nodeIdOf(keys.edPublic.slice()));
  expect(nodeIdOf(keys.edPublic)).not.toBe(nodeIdOf(keys.xPublic));
});

test('the Noise key is bound to the identity', () => {
  const ann = generateNodeKeys();
  const eve = generateNodeKeys();
  expect(isBound(ann.edPublic, ann.xPublic, ann.binding)).toBe(true);
  expect(isBound(ann.edPublic, eve.xPublic, ann.binding)).toBe(false);
  expect(isBound(eve.edPublic, ann.xPublic, ann.binding)).toBe(false);
});

test('an identity survives the disk, and every damaged byte of it is noticed', () => {
  const keys = generateNodeKeys();
  const file = encodeNodeKeys(keys);
  expect(decodeNodeKeys(file)).toEqual(keys);
  for (let at = 0; at < file.length; at += 1) {
    const damaged = file.slice();
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    let decoded: unknown;
    try {
      decoded = decodeNodeKeys(damaged);
    } catch (error) {
      expect((error as { code: string }).code).toBe('MYCEL_BAD_BYTES');
    }
    // X25519 ignores five bits of a seed: such damage changes nothing that matters.
    if (decoded !== undefined) {
      const { edPublic, xPublic } = decoded as typeof keys;
      expect(isSameBytes(edPublic, keys.edPublic) && isSameBytes(xPublic, keys.xPublic)).toBe(true);
    }
  }
});

test('a sealed box opens for its receiver alone and not after any change', () => {
  const bob = generateNodeKeys();
  const plain = new Uint8Array(40).fill(9);
  const sealed = sealBox(bob.xPublic, plain);
  expect(sealed).toHaveLength(plain.length + boxOverheadBytes);
  expect(openBox(bob, sealed)).toEqual(plain);
  expect(openBox(generateNodeKeys(), sealed)).toBeUndefined();
  for (let at = 0; at < sealed.length; at += 5) {
    const changed = sealed.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect(openBox(bob, changed)).toBeUndefined();
  }
  expect(openBox(bob, sealed.subarray(0, 47))).toBeUndefined();
  expect(sealBox(bob.xPublic, plain)).not.toEqual(sealed);
});

test('RFC 5869 HKDF with an empty salt (test case 3) is reproduced', () => {
  expect(toHex(hkdf(new Uint8Array(22).fill(0x0b), '', 42))).toBe(
    '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
  );
});

test('hashing parts is hashing their concatenation', () => {
  expect(sha256(fromHex('61'), fromHex('6263'))).toEqual(sha256(fromHex('616263')));
});

test('verification stays right when more keys pass than the cache holds', () => {
  const { edSeed, edPublic } = generateNodeKeys();
  const bytes = new Uint8Array(5);
  const signature = signBytes(edSeed, bytes);
  for (let count = 0; count < publicKeyCacheMax + 10; count += 1) {
    verifyBytes(sha256(new Uint8Array([count & 255, count >> 8])), bytes, signature);
  }
  expect(verifyBytes(edPublic, bytes, signature)).toBe(true);
});
