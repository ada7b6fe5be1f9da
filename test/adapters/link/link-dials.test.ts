import { getEventListeners } from 'node:events';
import { types } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { nodeKeysFromSeeds } from '../../../src/wire/keys.ts';
import { createCredentials, startLinkHost } from './link-fixture.ts';

const mesh = nodeKeysFromSeeds(new Uint8Array(32).fill(3), new Uint8Array(32).fill(4));
const nobody = { host: '127.0.0.1', port: 1 };

test('a signal that outlives many dials keeps no trace of them', async () => {
  const ann = await startLinkHost(createCredentials(mesh));
  onTestFinished(() => ann.transport.stop());
  const life = new AbortController();
  const failures = Array.from({ length: 50 }, () =>
    ann.transport.dial(undefined, [nobody], life.signal).catch((error: unknown) => error),
  );
  expect(await Promise.all(failures)).toHaveLength(50);
  expect(getEventListeners(life.signal, 'abort')).toEqual([]);
  // What AbortSignal.any leaves behind on Node 20.
  const sets = Object.getOwnPropertySymbols(life.signal)
    .map((symbol) => Reflect.get(life.signal, symbol) as unknown)
    .filter((value) => types.isSet(value));
  expect(sets.flatMap((set) => [...Set.prototype.values.call(set)])).toEqual([]);
});

test('aborting the signal of a dial, and stopping the transport, each end a dial that waits', async () => {
  const ann = await startLinkHost(createCredentials(mesh));
  onTestFinished(() => ann.transport.stop());
  const life = new AbortController();
  // TEST-NET-1 (RFC 5737): nobody is there to answer or to refuse.
  const lost = { host: '192.0.2.1', port: 9 };
  const aborted = ann.transport.dial(undefined, [lost], life.signal);
  const stopped = ann.transport.dial(undefined, [lost], new AbortController().signal);
  life.abort();
  await expect(aborted).rejects.toThrow('given up');
  await ann.transport.stop();
  await expect(stopped).rejects.toThrow('given up');
});
