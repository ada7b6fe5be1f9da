/** Consensus as a part of a node: nothing of it is loaded, and no group begun, before somebody needs it. */

import { MycelError } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type { NodePart, PartWorld } from '../parts.ts';
import type { GroupClient } from './client.ts';
import type { Group } from './group-types.ts';
import type { Service } from './service.ts';
import type { Sessions } from './session.ts';

/** What the floors above use. */
export interface Consensus extends NodePart {
  /** The way to the group; loads it at first. @throws {MycelError} MYCEL_NOT_RUNNING */
  client(): Promise<GroupClient>;
  sessions(): Promise<Sessions>;
  /** This node's own part in the group; undefined while nobody needed it. */
  group(): Group | undefined;
}

interface Loaded {
  readonly group: Group;
  readonly client: GroupClient;
  readonly sessions: Sessions;
  readonly service: Service;
  stop(): Promise<void>;
}

/** The methods by which others ask this node; the first such call loads the rest. */
const wakingMethods = [
  'consensus.where',
  'consensus.write',
  'consensus.read',
  'consensus.seat',
] as const;

/** Builds the part. */
export function createConsensus(world: PartWorld): Consensus {
  const random: Random = world.random();
  let loading: Promise<Loaded> | undefined;
  let loaded: Loaded | undefined;
  let isRunning = false;
  let stopWaking = (): void => {};

  async function load(): Promise<Loaded> {
    stopWaking();
    const [
      { openGroup },
      { createGroupClient },
      { createSessions },
      { serveGroup },
      { keepGroup },
      { watchStates },
    ] = await Promise.all([
      import('./group.ts'),
      import('./client.ts'),
      import('./session.ts'),
      import('./service.ts'),
      import('./keeper.ts'),
      import('./state-watch.ts'),
    ]);
    const group = await openGroup(world);
    const service = serveGroup(group);
    const client = createGroupClient(group, service, random);
    const sessions = createSessions(world, async () => client);
    const keeper = keepGroup(group);
    const states = watchStates(group);
    loaded = {
      group,
      client,
      sessions,
      service,
      async stop() {
        await sessions.stop();
        keeper.stop();
        states.stop();
        await group.stop();
        service.stop();
      },
    };
    return loaded;
  }

  function get(): Promise<Loaded> {
    if (!isRunning) return Promise.reject(new MycelError('MYCEL_NOT_RUNNING'));
    loading ??= load();
    return loading;
  }

  /** Answers the first call of another node by loading, and lets it ask again: it does so anyway. */
  function wakeOnCall(): void {
    const stoppers = wakingMethods.map((method) =>
      world.calls.serve(method, async () => {
        await get();
        throw new MycelError('MYCEL_UNREACHABLE', { reason: 'It has just begun to take part.' });
      }),
    );
    stopWaking = () => {
      stopWaking = () => {};
      for (const stop of stoppers) stop();
    };
  }

  return {
    async start() {
      isRunning = true;
      wakeOnCall();
      // Whoever has a seat takes part from the start.
      if ((await world.store.list()).includes('consensus')) await get();
    },
    async stop() {
      isRunning = false;
      stopWaking();
      await loading?.catch(() => undefined);
      await loaded?.stop();
      loaded = undefined;
    },
    client: async () => (await get()).client,
    sessions: async () => (await get()).sessions,
    group: () => loaded?.group,
  };
}
