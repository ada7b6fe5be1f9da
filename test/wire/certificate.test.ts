import { expect, test } from 'vitest';
import { parseMeshId } from '../../src/kernel/ids.ts';
import { concatBytes } from '../../src/wire/bytes.ts';
import { encodeCbor } from '../../src/wire/cbor.ts';
import {
  certificateBytesMax,
  issueCertificate,
  readCertificate,
} from '../../src/wire/certificate.ts';
import type { CertificateFields } from '../../src/wire/certificate.ts';
import { generateNodeKeys, nodeIdOf, signBytes } from '../../src/wire/keys.ts';

const admin = generateNodeKeys();
const ann = generateNodeKeys();
const fields: CertificateFields = {
  meshId: parseMeshId('00112233445566778899aabbccddeeff'),
  edPublic: ann.edPublic,
  xPublic: ann.xPublic,
  name: 'Küche ☕',
  roles: ['node', 'gateway'],
  certSeq: 3,
  epoch: 70_000,
  epochMax: 71_000,
};

test('a certificate says what was issued, names its issuer and keeps its bytes', () => {
  const bytes = issueCertificate(admin, fields);
  const certificate = readCertificate(Buffer.from(bytes));
  expect(certificate).toEqual({
    ...fields,
    node: nodeIdOf(ann.edPublic),
    issuer: admin.edPublic,
    bytes,
  });
});

test('a node may issue one to itself: whether that counts is for the authority log to say', () => {
  expect(readCertificate(issueCertificate(ann, fields))?.issuer).toEqual(ann.edPublic);
});

test('no bit of a certificate can change', () => {
  const bytes = issueCertificate(admin, fields);
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = bytes.slice();
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(readCertificate(changed)).toBeUndefined();
  }
});

test('bytes added or missing make it worthless', () => {
  const bytes = issueCertificate(admin, fields);
  for (let length = 0; length < bytes.length; length += 1) {
    expect(readCertificate(bytes.subarray(0, length))).toBeUndefined();
  }
  expect(readCertificate(concatBytes(bytes, new Uint8Array(1)))).toBeUndefined();
  expect(readCertificate(new Uint8Array(certificateBytesMax + 1))).toBeUndefined();
});

test('a signature made for another purpose is no certificate', () => {
  const body = issueCertificate(admin, fields).slice(0, -64);
  expect(readCertificate(concatBytes(body, signBytes(admin.edSeed, body)))).toBeUndefined();
});

test.each([
  ['control characters in the name', { name: 'a\u0007b' }],
  ['an empty name', { name: '' }],
  ['a long name', { name: 'x'.repeat(65) }],
  ['an unknown role', { roles: ['king'] }],
  ['a short key', { edPublic: new Uint8Array(31) }],
  ['a fraction', { certSeq: 1.5 }],
  ['a negative epoch', { epoch: -1 }],
])('a rightly signed certificate with %s is refused', (_name, wrong) => {
  expect(() =>
    issueCertificate(admin, { ...fields, ...(wrong as Partial<CertificateFields>) }),
  ).toThrow(/bounds/);
});

test('a signed body of another shape is refused', () => {
  for (const body of [null, 1, [], {}, [1], encodeCbor([1])]) {
    const bytes = encodeCbor(body);
    expect(readCertificate(concatBytes(bytes, signBytes(admin.edSeed, bytes)))).toBeUndefined();
  }
});
