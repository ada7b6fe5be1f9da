/** The guard before the MQTT parsers: what it lets through is well-formed, however the bytes are cut. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createFrameGuard } from '../../../src/adapters/mqtt/frame-guard.ts';
import type { GuardedSender } from '../../../src/adapters/mqtt/frame-guard.ts';

const connect = '100c00044d5154540402003c0000';
const connack = '20020000';

function judge(sender: GuardedSender, hex: string): string | undefined {
  const guard = createFrameGuard({ sender, packetBytesMax: 1000 });
  const opening = sender === 'client' ? connect : connack;
  return guard.check(Buffer.from(opening + hex, 'hex'));
}

test.each([
  ['a publish', '3005000161ffff'],
  ['a QoS 1 publish without payload', '32050001610007'],
  ['acknowledgements', '40020001500200016202000170020001'],
  ['a subscribe and a ping', '82060001000161' + '00' + 'c000'],
  ['a disconnect', 'e000'],
])('%s from a client passes', (_, hex) => {
  expect(judge('client', hex)).toBeUndefined();
});

test.each([
  ['PUBREL without an id', '6200', /PUBREL of 0 bytes is too short/],
  ['QoS 1 PUBLISH too short for an id', '32070005612f622f63', /too short for its topic/],
  ['PUBLISH with QoS 3', '3605000161ffff', /QoS 3/],
  ['PUBLISH of QoS 0 with DUP', '3805000161ffff', /DUP/],
  ['PUBLISH with an empty topic', '30030000ff', /empty topic/],
  ['wrong flags', '8006000100016100', /flags 0/],
  ['a reserved type', 'f000', /type 15/],
  ['a type of the server', 'd000', /type 13/],
  ['a length of five bytes', '30ffffffff01', /four bytes/],
  ['a long packet', '30e907', /too long/],
  ['a second CONNECT', connect, /second CONNECT/],
  ['a PINGREQ with a body', 'c00100', /too long/],
])('%s from a client is refused', (_, hex, reason) => {
  expect(judge('client', hex)).toMatch(reason);
});

test('the first packet must be the one that opens the conversation', () => {
  const client = createFrameGuard({ sender: 'client', packetBytesMax: 1000 });
  expect(client.check(Buffer.from('c000', 'hex'))).toMatch(/first packet is PINGREQ/);
  const server = createFrameGuard({ sender: 'server', packetBytesMax: 1000 });
  expect(server.check(Buffer.from('3005000161ffff', 'hex'))).toMatch(/first packet is PUBLISH/);
});

test('a refusal is repeated for whatever follows', () => {
  const guard = createFrameGuard({ sender: 'client', packetBytesMax: 1000 });
  const reason = guard.check(Buffer.from('ff', 'hex'));
  expect(guard.check(Buffer.from(connect, 'hex'))).toBe(reason);
});

test('the verdict does not depend on how the bytes are cut', () => {
  const pieces = fc.array(
    fc.constantFrom(
      connect,
      connack,
      '3005000161ffff',
      '32050001610007',
      '6200',
      '62020001',
      'c000',
      '82060001000161' + '00',
      '30e907',
    ),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(
      pieces,
      fc.array(fc.nat(40), { maxLength: 8 }),
      fc.constantFrom('client', 'server'),
      (parts, cuts, sender) => {
        const bytes = Buffer.from(parts.join(''), 'hex');
        const whole = createFrameGuard({ sender, packetBytesMax: 1000 }).check(bytes);
        const guard = createFrameGuard({ sender, packetBytesMax: 1000 });
        let at = 0;
        let verdict: string | undefined;
        for (const cut of [...cuts, bytes.length]) {
          verdict = guard.check(bytes.subarray(at, at + cut));
          at += cut;
        }
        verdict = guard.check(bytes.subarray(Math.min(at, bytes.length)));
        expect(verdict).toBe(whole);
      },
    ),
    { numRuns: 3000 },
  );
});

test('random bytes never make it throw', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom('client', 'server'),
      (bytes, sender) => {
        createFrameGuard({ sender, packetBytesMax: 1000 }).check(bytes);
      },
    ),
    { numRuns: 20_000 },
  );
});
