/** What every broker must do for the node and for its clients, whatever carries it. */

import { describe, expect, onTestFinished, test } from 'vitest';
import type { Broker, BrokerMessage } from '../../src/ports/broker.ts';
import type { ShareMembers } from '../../src/protocol/routing/share-members.ts';
import type { Published } from '../adapters/aedes/broker-fixture.ts';

/** A client of the broker under test. */
export interface ContractClient {
  readonly heard: readonly { topic: string; payload: string; qos: number; retain: boolean }[];
  subscribe(filter: string, qos: 0 | 1): Promise<boolean>;
  unsubscribe(filter: string): Promise<void>;
  /** Does not wait for the acknowledgement. */
  publish(topic: string, payload: string, options?: { qos?: 0 | 1; retain?: boolean }): void;
  /** How many of its QoS 1 publishes were acknowledged. */
  acknowledged(): number;
  /** Everything that was sent to it before has arrived. */
  settle(): Promise<void>;
  break(): Promise<void>;
}

/** A broker under test. */
export interface ContractBroker {
  readonly broker: Broker;
  readonly published: readonly Published[];
  readonly interest: readonly (readonly [string, boolean])[];
  readonly groups: ShareMembers<BrokerMessage>;
  connect(clientId: string, will?: { topic: string; payload: string }): Promise<ContractClient>;
  stop(): Promise<void>;
}

const message = (
  topic: string,
  payload: string,
  more: Partial<BrokerMessage> = {},
): BrokerMessage => ({
  topic,
  payload: Buffer.from(payload),
  qos: 0,
  retain: false,
  ...more,
});

/** Runs the suite. `hold`: the test calls `taken` itself. */
export function brokerContract(
  name: string,
  start: (hold: boolean) => Promise<ContractBroker>,
): void {
  async function fresh(hold = false): Promise<ContractBroker> {
    const made = await start(hold);
    onTestFinished(() => made.stop());
    return made;
  }
  const breath = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  describe(`broker contract: ${name}`, () => {
    test('a publish reaches the node and the local subscribers once', async () => {
      const { connect, published } = await fresh();
      const [ann, bob] = [await connect('ann'), await connect('bob')];
      await bob.subscribe('t/#', 1);
      await bob.subscribe('t/+', 0);
      ann.publish('t/x', 'hi', { qos: 1 });
      while (bob.heard.length === 0) await breath();
      await bob.settle();
      expect(bob.heard).toEqual([{ topic: 't/x', payload: 'hi', qos: 1, retain: false }]);
      expect(published.length).toBe(1);
      expect(published[0]).toMatchObject({ client: { clientId: 'ann', zone: 'local' } });
    });

    test('nothing is acknowledged or delivered before the node has taken it', async () => {
      const { connect, published } = await fresh(true);
      const [ann, bob] = [await connect('ann'), await connect('bob')];
      await bob.subscribe('t', 1);
      ann.publish('t', 'x', { qos: 1 });
      while (published.length === 0) await breath();
      await bob.settle();
      expect([ann.acknowledged(), bob.heard.length]).toEqual([0, 0]);
      published[0]?.taken();
      while (bob.heard.length === 0 || ann.acknowledged() === 0) await breath();
    });

    test('what the node delivers reaches subscribers and is not reported', async () => {
      const { broker, connect, published } = await fresh();
      const ann = await connect('ann');
      await ann.subscribe('#', 1);
      broker.deliver(message('m', 'x', { qos: 1 }));
      broker.deliver(message('$mycel/d', 'x'));
      while (ann.heard.length === 0) await breath();
      await ann.settle();
      expect(ann.heard.length).toBe(1);
      expect(published).toEqual([]);
    });

    test('it knows whether anybody would hear of a topic', async () => {
      const { broker, connect } = await fresh();
      const ann = await connect('ann');
      const heard = (): boolean[] => ['h/a', 'h/a/b', 'k'].map((topic) => broker.isHeard(topic));
      expect(heard()).toEqual([false, false, false]);
      await ann.subscribe('h/+', 0);
      expect(heard()).toEqual([true, false, false]);
      await ann.subscribe('h/#', 1);
      expect(heard()).toEqual([true, true, false]);
    });

    test('retained messages wait, are replaced and deleted', async () => {
      const { broker, connect } = await fresh();
      broker.deliver(message('r', '1', { retain: true }));
      broker.deliver(message('r', '2', { retain: true }));
      const ann = await connect('ann');
      await ann.subscribe('r', 0);
      while (ann.heard.length === 0) await breath();
      expect(ann.heard).toEqual([{ topic: 'r', payload: '2', qos: 0, retain: true }]);
      broker.deliver(message('r', '', { retain: true }));
      expect(broker.retainedCount()).toBe(0);
    });

    test('a value that is only kept waits for later subscribers and disturbs no present one', async () => {
      const { broker, connect } = await fresh();
      const [ann, bob] = [await connect('ann'), await connect('bob')];
      await ann.subscribe('k/#', 1);
      broker.keep('k/a', Buffer.from('1'));
      broker.keep('k/b', Buffer.from('2'));
      broker.keep('k/b', Buffer.alloc(0));
      await bob.subscribe('k/#', 1);
      while (bob.heard.length === 0) await breath();
      await ann.settle();
      expect(bob.heard).toEqual([{ topic: 'k/a', payload: '1', qos: 1, retain: true }]);
      expect([ann.heard.length, broker.retainedCount()]).toEqual([0, 1]);
    });

    test('interest is counted over clients', async () => {
      const { connect, interest } = await fresh();
      const [ann, bob] = [await connect('ann'), await connect('bob')];
      await ann.subscribe('i', 0);
      await bob.subscribe('i', 1);
      await ann.break();
      await bob.settle();
      expect(interest).toEqual([['i', true]]);
      await bob.break();
      while (interest.length < 2) await breath();
      expect(interest).toEqual([
        ['i', true],
        ['i', false],
      ]);
    });

    test('the reserved root and malformed shared subscriptions are refused', async () => {
      const { connect, interest, groups } = await fresh();
      const ann = await connect('ann');
      for (const filter of [
        '$mycel/#',
        '$share/g/$mycel/d',
        '$share/g',
        '$share//t',
        '$share/+/t',
      ]) {
        expect(await ann.subscribe(filter, 1), filter).toBe(false);
      }
      expect([interest, groups.has('$share/g')]).toEqual([[], false]);
    });

    test('members of a group take turns, each with the QoS it asked for, and are no interest', async () => {
      const { broker, connect, groups, interest } = await fresh();
      const [ann, bob] = [await connect('ann'), await connect('bob')];
      expect(await ann.subscribe('$share/g/t/+', 1)).toBe(true);
      expect(await bob.subscribe('$share/g/t/+', 0)).toBe(true);
      for (let count = 0; count < 10; count += 1) {
        expect(groups.give('$share/g/t/+', message('t/x', `${count}`, { qos: 1 }))).toBe(true);
      }
      broker.deliver(message('t/x', 'to everybody else', { qos: 1 }));
      while (ann.heard.length + bob.heard.length < 10) await breath();
      await Promise.all([ann.settle(), bob.settle()]);
      expect(ann.heard.map(({ payload, qos }) => [payload, qos])).toEqual(
        [0, 2, 4, 6, 8].map((count) => [`${count}`, 1]),
      );
      expect(bob.heard.map(({ payload, qos }) => [payload, qos])).toEqual(
        [1, 3, 5, 7, 9].map((count) => [`${count}`, 0]),
      );
      expect(interest).toEqual([]);
    });

    test('a member that unsubscribes or breaks off is out of its group', async () => {
      const { connect, groups } = await fresh();
      const [ann, bob] = [await connect('ann'), await connect('bob')];
      await ann.subscribe('$share/g/t', 1);
      await bob.subscribe('$share/g/t', 1);
      await ann.unsubscribe('$share/g/t');
      await ann.settle();
      expect(groups.count('$share/g/t')).toBe(1);
      await bob.break();
      while (groups.has('$share/g/t')) await breath();
      expect(groups.give('$share/g/t', message('t', 'x'))).toBe(false);
    });

    test('a shared subscription gets no retained message', async () => {
      const { broker, connect } = await fresh();
      broker.deliver(message('r', '1', { retain: true }));
      const ann = await connect('ann');
      await ann.subscribe('$share/g/r', 1);
      await ann.subscribe('r', 1);
      while (ann.heard.length === 0) await breath();
      await ann.settle();
      expect(ann.heard.length).toBe(1);
    });

    test('the will of a broken client is published', async () => {
      const { connect, published } = await fresh();
      const ann = await connect('ann', { topic: 'w', payload: 'gone' });
      await ann.break();
      while (published.length === 0) await breath();
      expect(published[0]).toMatchObject({ message: { topic: 'w' }, client: { clientId: 'ann' } });
    });
  });
}
