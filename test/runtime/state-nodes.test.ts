import { expect, test } from 'vitest';
import type { AgentHandles, MeshEvent, MeshNode } from '../../src/index.ts';
import { createLoopback, linked, until } from './loopback.ts';

type Furnished = MeshNode & AgentHandles;

test('state and events of real nodes: written on one, known on all, asked of all, there after a restart', async () => {
  await using home = await createLoopback();
  const nodes = (await Promise.all(
    ['ann', 'bob', 'eve'].map((name) => home.up(name)),
  )) as Furnished[];
  const [ann, bob, eve] = nodes as [Furnished, Furnished, Furnished];
  const { invite } = await ann.invite({ uses: 2 });
  // Written before there is a mesh: it is brought along.
  await eve.state.register('brought').set('along');
  await bob.join(invite);
  await eve.join(invite);
  await linked(...nodes);

  await ann.state.set('rooms').add('kitchen');
  await bob.state.set('rooms').add('cellar');
  await until(() => nodes.every(({ state }) => state.set('rooms').values().length === 2));
  await until(() => nodes.every(({ state }) => state.register('brought').get() === 'along'));
  await until(() => new Set(nodes.map(({ state }) => state.fingerprint())).size === 1);

  const heard: MeshEvent[] = [];
  eve.events.subscribe('door.*', (event) => heard.push(event));
  const opened = await ann.events.emit('door.opened', { by: 'cat' });
  const closed = await bob.events.emit('door.closed', null, { because: opened });
  await ann.events.emit('lamp.on');
  await until(() => heard.length === 2);
  expect(closed).toMatchObject({ causation: opened.id, correlation: opened.id, node: bob.id });
  const story = await eve.events.query({ correlation: opened.correlation });
  expect(story.missing).toEqual([]);
  expect(story.events.map(({ type }) => type)).toEqual(['door.opened', 'door.closed']);
  expect((await eve.events.query({ type: 'door.*', limit: 1 })).events).toHaveLength(1);
  expect(ann.events.local().map(({ type }) => type)).toEqual(['door.opened', 'lamp.on']);

  await ann.stop();
  const again = (await home.up('ann')) as Furnished;
  expect(again.state.set('rooms').values()).toEqual(['cellar', 'kitchen']);
  expect(again.events.local({ type: 'lamp.on' })).toHaveLength(1);
  await until(() => bob.state.fingerprint() === again.state.fingerprint());
});

test('a text of three real nodes: edited everywhere, one text, there after a restart', async () => {
  await using home = await createLoopback();
  const nodes = (await Promise.all(
    ['ann', 'bob', 'eve'].map((name) => home.up(name)),
  )) as Furnished[];
  const [ann, bob, eve] = nodes as [Furnished, Furnished, Furnished];
  const { invite } = await ann.invite({ uses: 2 });
  await bob.join(invite);
  await eve.join(invite);
  await linked(...nodes);
  const texts = await Promise.all(nodes.map(({ state }) => state.text('notes')));
  await texts[0]?.insert(0, 'to do: ');
  await until(() => texts.every((text) => text.length === 7));
  await Promise.all(texts.map((text, at) => text.insert(7, `(${at}) `)));
  await until(() => texts.every((text) => text.length === 19));
  expect(new Set(texts.map(String)).size).toBe(1);
  await eve.stop();
  await texts[1]?.insert(0, 'bob, ');
  const again = (await home.up('eve')) as Furnished;
  const text = await again.state.text('notes');
  await until(() => text.length === 24);
  expect(text.toString()).toBe(String(texts[0]));
});

test('a node that is not running says so', async () => {
  await using home = await createLoopback();
  const ann = (await home.build('ann')) as Furnished;
  const refused = { code: 'MYCEL_NOT_RUNNING' };
  await expect(ann.state.register('a').set(1)).rejects.toMatchObject(refused);
  await expect(ann.events.emit('a')).rejects.toMatchObject(refused);
  expect(ann.state.register('a').get()).toBeUndefined();
});
