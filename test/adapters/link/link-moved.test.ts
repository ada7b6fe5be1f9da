import { expect, onTestFinished, test } from 'vitest';
import { generateNodeKeys } from '../../../src/wire/keys.ts';
import { createCredentials, startLinkHost } from './link-fixture.ts';

test('links over an address that this computer has no more are closed, the others stay', async () => {
  const mesh = generateNodeKeys();
  const [ann, bob] = [
    await startLinkHost(createCredentials(mesh)),
    await startLinkHost(createCredentials(mesh)),
  ];
  onTestFinished(async () => {
    await ann.transport.stop();
    await bob.transport.stop();
  });
  const dialled = await ann.transport.dial(bob.node, [bob.address], AbortSignal.timeout(5000));
  await bob.heard.until(() => bob.heard.opened.length === 1);

  for (const end of [ann, bob]) end.transport.closeMoved((host) => host === '127.0.0.1');
  expect(ann.transport.sessions()).toEqual([dialled]);
  expect(bob.transport.sessions()).toEqual(bob.heard.opened);

  bob.transport.closeMoved((host) => host === '192.0.2.1');
  expect(bob.transport.sessions()).toEqual([]);
  expect(bob.heard.closed).toMatchObject([{ reason: 'this computer has another address' }]);
  await ann.heard.until(() => ann.heard.closed.length === 1);

  await ann.transport.dial(bob.node, [bob.address], AbortSignal.timeout(5000));
  ann.transport.closeMoved(() => false);
  expect(ann.transport.sessions()).toEqual([]);
});
